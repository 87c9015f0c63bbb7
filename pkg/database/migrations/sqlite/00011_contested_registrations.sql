-- +goose Up

-- When the address of an unverified registration was registered again, so that nobody knows which of the passwords its
-- owner chose. NULL for one that was registered once, and for all accounts.
ALTER TABLE accounts ADD COLUMN contested_at BIGINT;

-- At a portal that requires no confirmation a registration is an account: nobody replaces it, and it is not swept.
UPDATE accounts SET claimed_at = NULL
WHERE claimed_at IS NOT NULL
    AND portal_id IN (SELECT id FROM portals WHERE settings ->> 'require_confirmation' = 0);
