-- +goose Up

-- For the refresh of a session. The defaults are for the version before this one, which writes none of these columns: it
-- rotates without them, and what they then say is still right for the generation that they name.
ALTER TABLE sessions ADD COLUMN key_from       BIGINT NOT NULL DEFAULT 0;  -- the first generation derived under key_id
ALTER TABLE sessions ADD COLUMN earlier_key_id BIGINT NOT NULL DEFAULT 0;  -- the key of the generations before key_from
ALTER TABLE sessions ADD COLUMN presented      BIGINT NOT NULL DEFAULT 0;  -- the newest generation that was presented
-- When the generation before the current one was forgiven after the grace: a log of 13-digit Unix milliseconds, newest
-- first.
ALTER TABLE sessions ADD COLUMN forgiven       TEXT   NOT NULL DEFAULT '';
-- How the person was authenticated, for the claim amr: names of RFC 8176, with spaces between. Every session so far began
-- with a password.
ALTER TABLE sessions ADD COLUMN amr            TEXT   NOT NULL DEFAULT 'pwd';

-- Signing keys of every algorithm but EdDSA. Those of EdDSA stay in signing_keys, because the version before this one takes
-- every row there for an Ed25519 key.
CREATE TABLE other_signing_keys (
    id            TEXT    PRIMARY KEY, -- the kid
    algorithm     TEXT    NOT NULL,    -- a JWS algorithm (RFC 7518)
    public_key    BLOB   NOT NULL,    -- PKIX
    private_key   BLOB   NOT NULL,    -- PKCS #8, sealed under the secret key
    created_at    BIGINT  NOT NULL,
    active_at     BIGINT  NOT NULL
);
