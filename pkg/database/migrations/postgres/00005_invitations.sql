-- +goose Up

-- The last number that a portal gave to an invitation: none is given twice.
CREATE TABLE invitation_numbers (
    portal_id  UUID    PRIMARY KEY REFERENCES portals (id) ON DELETE CASCADE,
    last       BIGINT  NOT NULL
);

-- The code of an invitation is derived from its number and counter, and is not stored. A row outlives the person's
-- data in it: a deleted invitation keeps the digest of its address, so that its codes can be recognised as superseded.
CREATE TABLE invitations (
    portal_id       UUID    NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    id              UUID    NOT NULL,
    number          BIGINT  NOT NULL,
    counter         BIGINT  NOT NULL, -- of the newest code: one more with each that is made
    key_id          BIGINT  NOT NULL, -- that the newest code is derived under
    subject         BYTEA   NOT NULL, -- the keyed digest of the address
    email           TEXT    NOT NULL,
    email_canonical TEXT    NOT NULL,
    roles           JSONB   NOT NULL,
    entitlements    JSONB   NOT NULL,
    metadata        JSONB   NOT NULL,
    locale          TEXT    NOT NULL,
    inviter_id      UUID,             -- the account that invited
    inviter         TEXT    NOT NULL, -- who did, where it was no account; else ''
    term            BIGINT  NOT NULL, -- how long a code is good, in milliseconds
    open            BOOLEAN NOT NULL, -- whether it holds its address: no other invitation may
    issued_at       BIGINT  NOT NULL, -- when the newest code was made
    expires_at      BIGINT  NOT NULL,
    accepted_at     BIGINT,
    account_id      UUID,             -- that accepting it made, or that came in its place
    deleted_at      BIGINT,
    sent_at         BIGINT,           -- when it was last handed to delivery; NULL for never
    delivery_id     UUID,             -- the message that did
    search          TEXT    NOT NULL, -- what an administrator's q is looked for in, case-folded
    created_at      BIGINT  NOT NULL,
    PRIMARY KEY (portal_id, id)
);
CREATE UNIQUE INDEX invitations_number_key ON invitations (portal_id, number);
CREATE UNIQUE INDEX invitations_email_canonical_key ON invitations (portal_id, email_canonical) WHERE open;
CREATE INDEX invitations_email_canonical ON invitations (portal_id, email_canonical);
CREATE INDEX invitations_subject ON invitations (portal_id, subject);
CREATE INDEX invitations_account ON invitations (portal_id, account_id) WHERE account_id IS NOT NULL;
CREATE INDEX invitations_expires_at ON invitations (expires_at);

-- The invitation whose address a message goes to, where that is no account's.
ALTER TABLE deliveries ADD COLUMN invitation_id UUID;
CREATE INDEX deliveries_invitation ON deliveries (portal_id, invitation_id) WHERE invitation_id IS NOT NULL;
