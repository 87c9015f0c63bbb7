-- +goose Up

-- One row for each address that wrong passwords were typed for, existing or not, and for each kind of count.
-- failures is a log of 13-digit Unix milliseconds, newest first: fixed width, so that SQL can read the nth.
CREATE TABLE lockouts (
    portal_id     TEXT    NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    kind          TEXT    NOT NULL,
    subject       BLOB    NOT NULL,
    failures      TEXT    NOT NULL,
    in_a_row      BIGINT  NOT NULL, -- failures since the last success, across locks
    locked_at     BIGINT  NOT NULL, -- 0 before the first lock
    locked_until  BIGINT  NOT NULL,
    lock_length   BIGINT  NOT NULL, -- of the last lock, in milliseconds
    counted       BOOLEAN NOT NULL, -- whether the last failure was
    updated_at    BIGINT  NOT NULL,
    PRIMARY KEY (portal_id, kind, subject)
);

-- The portal of a key for every portal is the nil UUID, so there is no foreign key.
CREATE TABLE api_keys (
    portal_id     TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    scopes        TEXT    NOT NULL,
    key_hash      BLOB    NOT NULL, -- SHA-256 of 256 random bits
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT,
    last_used_at  BIGINT,
    PRIMARY KEY (portal_id, id)
);
