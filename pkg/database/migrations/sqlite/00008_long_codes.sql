-- +goose Up

-- Typed codes have two forms. A generation that is not in long_codes carries a short code: those of the version before
-- this one, too. long_next says that the address saw too many wrong short codes, so that its next code is a long one.
ALTER TABLE onetime_secrets ADD COLUMN long_codes TEXT    NOT NULL DEFAULT ''; -- the last 20 generations with a long code
ALTER TABLE onetime_secrets ADD COLUMN long_next  BOOLEAN NOT NULL DEFAULT FALSE;

-- Codes that were off get a way back.
UPDATE onetime_secrets SET long_next = TRUE WHERE wrong_in_a_row >= 100;
