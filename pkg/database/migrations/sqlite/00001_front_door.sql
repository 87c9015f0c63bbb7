-- Times are Unix milliseconds. Every table of a portal's data has a primary key that begins with portal_id.

-- +goose Up
CREATE TABLE installation (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    digest_key    BLOB    NOT NULL, -- sealed under the secret key: what fits this row fits the database
    created_at    BIGINT  NOT NULL
);

CREATE TABLE signing_keys (
    id            TEXT    PRIMARY KEY, -- the kid
    public_key    BLOB    NOT NULL,
    private_key   BLOB    NOT NULL, -- sealed under the secret key
    created_at    BIGINT  NOT NULL,
    active_at     BIGINT  NOT NULL
);

CREATE TABLE portals (
    id            TEXT    PRIMARY KEY,
    slug          TEXT    NOT NULL,
    settings      TEXT    NOT NULL,
    version       BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    deleted_at    BIGINT -- the row of a deleted portal stays, so that its slug is never used again
);
CREATE UNIQUE INDEX portals_slug_key ON portals (slug);

CREATE TABLE portal_domains (
    domain        TEXT    NOT NULL CONSTRAINT portal_domains_domain_key PRIMARY KEY,
    portal_id     TEXT    NOT NULL REFERENCES portals (id) ON DELETE CASCADE
);
CREATE INDEX portal_domains_portal_id ON portal_domains (portal_id);

CREATE TABLE accounts (
    portal_id       TEXT    NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    id              TEXT    NOT NULL,
    email           TEXT    NOT NULL,
    email_canonical TEXT    NOT NULL,
    phone           TEXT,
    given_name      TEXT,
    family_name     TEXT,
    locale          TEXT    NOT NULL,
    roles           TEXT    NOT NULL,
    entitlements    TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,
    password_hash   TEXT,
    security_stamp  TEXT    NOT NULL,
    confirmed_at    BIGINT,
    disabled_at     BIGINT,
    opted_out       BOOLEAN NOT NULL,
    search          TEXT    NOT NULL, -- what an administrator's q is looked for in, case-folded
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    PRIMARY KEY (portal_id, id)
);
CREATE UNIQUE INDEX accounts_email_canonical_key ON accounts (portal_id, email_canonical);
CREATE UNIQUE INDEX accounts_phone_key ON accounts (portal_id, phone) WHERE phone IS NOT NULL;

CREATE TABLE sessions (
    portal_id      TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    account_id     TEXT    NOT NULL,
    generation     BIGINT  NOT NULL,
    key_id         BIGINT  NOT NULL,
    security_stamp TEXT    NOT NULL,
    transport      TEXT    NOT NULL,
    device_name    TEXT,
    network        TEXT    NOT NULL,
    user_agent     TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    rotated_at     BIGINT  NOT NULL, -- 0 before the first rotation
    expires_at     BIGINT  NOT NULL, -- the idle end: it moves with every refresh
    ends_at        BIGINT  NOT NULL, -- the absolute end
    ended_at       BIGINT,
    PRIMARY KEY (portal_id, id),
    FOREIGN KEY (portal_id, account_id) REFERENCES accounts (portal_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_account ON sessions (portal_id, account_id, created_at);

-- The portal of an event that belongs to none is the nil UUID, so there is no foreign key.
CREATE TABLE audit_events (
    portal_id     TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    at            BIGINT  NOT NULL,
    type          TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    code          TEXT    NOT NULL,
    email_digest  BLOB,
    account_id    TEXT,
    actor         TEXT    NOT NULL,
    network       TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL,
    request_id    TEXT    NOT NULL,
    hints         TEXT    NOT NULL,
    PRIMARY KEY (portal_id, id)
);
CREATE INDEX audit_events_email ON audit_events (portal_id, email_digest, id) WHERE email_digest IS NOT NULL;
CREATE INDEX audit_events_account ON audit_events (portal_id, account_id, id) WHERE account_id IS NOT NULL;
