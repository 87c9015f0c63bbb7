-- +goose Up

-- When each portal last sent the first counted message of a day to the recipient: 16 letters for the portal and 13 digits
-- of Unix milliseconds each, newest first. The version before this one leaves it empty.
ALTER TABLE recipients ADD COLUMN portals TEXT NOT NULL DEFAULT '';

-- Until when no other worker may send the message: one is sending it, or its outcome at the relay is unknown. NULL for no
-- limit. Unix milliseconds.
ALTER TABLE deliveries ADD COLUMN held_until BIGINT;
