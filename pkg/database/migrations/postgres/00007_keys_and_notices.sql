-- +goose Up

-- Who made a key: the actor, as audit events name it, and the person behind it. The key of a person ends with their role.
-- The version before makes keys without either.
ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN maker_id   UUID;

CREATE INDEX api_keys_maker ON api_keys (portal_id, maker_id) WHERE maker_id IS NOT NULL;

-- The address of a security notice, sealed under the secret key until the notice is sent. The version before takes a
-- notice for a message to the account.
ALTER TABLE deliveries ADD COLUMN recipient BYTEA;
