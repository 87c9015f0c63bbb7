-- +goose Up

-- The target of an event that is not about a person: a portal, an API key, a signing key, an invitation. And the members
-- of an account or a portal that have another value since, by their names in JSON, with commas between. The defaults are
-- for the version before this one, which writes neither.
ALTER TABLE audit_events ADD COLUMN target_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN target_id   TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN target_name TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN changed     TEXT NOT NULL DEFAULT '';

CREATE INDEX audit_events_request ON audit_events (portal_id, request_id) WHERE request_id <> '';
