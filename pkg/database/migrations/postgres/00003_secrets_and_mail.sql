-- +goose Up

-- One row for each portal, purpose and subject (the keyed digest of an address, existing or not). The secret itself is
-- derived; logs are 13-digit Unix milliseconds, newest first, of fixed width, so that SQL can read the nth.
CREATE TABLE onetime_secrets (
    portal_id      UUID    NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    purpose        TEXT    NOT NULL,
    subject        BYTEA   NOT NULL,
    generation     BIGINT  NOT NULL, -- time of issue in milliseconds, and at least one more than the last; 0 before any
    key_id         BIGINT  NOT NULL,
    variant        TEXT    NOT NULL,
    expires_at     BIGINT  NOT NULL,
    redeemed       TEXT    NOT NULL, -- the last 20 generations that were
    tries          BIGINT  NOT NULL, -- wrong codes typed for this generation
    wrong_in_a_row BIGINT  NOT NULL, -- wrong codes since one was redeemed or the person logged in, across generations
    account_id     UUID,             -- NULL for nobody
    security_stamp UUID,             -- the account's at issue
    delivery_id    UUID,             -- of the newest generation
    issued         TEXT    NOT NULL, -- the last 20 generations, each with its key in 8 hex digits
    asked          TEXT    NOT NULL, -- the last 20 times that a person asked for one
    sent           TEXT    NOT NULL, -- the last 20 times that an administrator did
    wrong          TEXT    NOT NULL, -- the last 50 times that a wrong code was typed
    updated_at     BIGINT  NOT NULL,
    PRIMARY KEY (portal_id, purpose, subject)
);

-- Messages, sent or waiting. The address is in the account, and the secret is not stored.
CREATE TABLE deliveries (
    portal_id       UUID    NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    id              UUID    NOT NULL,
    kind            TEXT    NOT NULL,
    channel         TEXT    NOT NULL,
    masked          TEXT    NOT NULL, -- what the request named, masked
    account_id      UUID,             -- NULL for nobody: then nothing is sent
    purpose         TEXT    NOT NULL, -- of the secret in it; '' for none
    subject         BYTEA   NOT NULL,
    generation      BIGINT  NOT NULL,
    locale          TEXT    NOT NULL,
    network         TEXT    NOT NULL, -- where the request came from, for the mail to say
    status          TEXT    NOT NULL,
    attempts        BIGINT  NOT NULL,
    provider_answer TEXT    NOT NULL, -- without the message
    created_at      BIGINT  NOT NULL,
    sent_at         BIGINT,
    next_attempt_at BIGINT,
    PRIMARY KEY (portal_id, id)
);
CREATE INDEX deliveries_account ON deliveries (portal_id, account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX deliveries_waiting ON deliveries (created_at) WHERE status IN ('queued', 'delayed');
CREATE INDEX deliveries_created_at ON deliveries (created_at);

-- How many messages a recipient got in a day, over the whole installation: a digest, and a log of 50 times.
CREATE TABLE recipients (
    digest      BYTEA   PRIMARY KEY,
    messages    TEXT    NOT NULL,
    suppressed  BOOLEAN NOT NULL, -- whether the last one was
    updated_at  BIGINT  NOT NULL
);
CREATE INDEX recipients_updated_at ON recipients (updated_at);

-- Since when an account is an unverified registration: its mailbox was never proved. NULL for all others.
ALTER TABLE accounts ADD COLUMN claimed_at BIGINT;
