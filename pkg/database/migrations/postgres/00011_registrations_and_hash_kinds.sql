-- +goose Up

-- When the address of an unverified registration was registered again, so that nobody knows which of the passwords its
-- owner chose. NULL for one that was registered once, and for all accounts.
ALTER TABLE accounts ADD COLUMN contested_at BIGINT;

-- At a portal that requires no confirmation a registration is an account: nobody replaces it, and it is not swept.
UPDATE accounts SET claimed_at = NULL
WHERE claimed_at IS NOT NULL
    AND portal_id IN (SELECT id FROM portals WHERE settings->>'require_confirmation' = 'false');

-- The kinds of password hashes that a portal has, by algorithm, parameters and length. A login at a private portal hashes
-- once for each of them, so that its work depends on the portal and never on the account.
CREATE INDEX accounts_hash_kind ON accounts (portal_id, (CASE WHEN substr(password_hash, 1, 2) = '$2' AND substr(password_hash, 4, 1) = '$' THEN substr(password_hash, 1, 7)
        ELSE rtrim(rtrim(rtrim(password_hash, replace(password_hash, '$', '')), '$'), replace(password_hash, '$', ''))
        END || CAST(length(password_hash) AS TEXT)))
    WHERE password_hash IS NOT NULL;
