package onetime

import (
	"fmt"

	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// The statements of this file are raw SQL because each has to decide a race by itself: of any number of calls at once,
// on any number of instances, exactly as many pass as may.

// history is the number of generations and times that the logs keep, as many as the longest quota needs. The log of
// wrong codes is longer.
const history = 20

// loggedIn is the SQL of row.loggedIn: @login is after the newest wrong short code.
var loggedIn = `(` + slidinglog.SQLTime("onetime_secrets.wrong", slidinglog.Start(1)) + ` < @login)`

// acceptsShort and acceptsLong are the SQL of row.accepts, for a short and for a long code.
var (
	acceptsShort = fmt.Sprintf(`onetime_secrets.tries < %d AND (NOT onetime_secrets.long_next OR %s)`, Tries, loggedIn)
	acceptsLong  = fmt.Sprintf(`onetime_secrets.tries < %d`, LongTries)
)

var (
	issueAsked = issueUnless(slidinglog.SQLFull("onetime_secrets.asked", "asked", askQuotas))
	issueSent  = issueUnless(slidinglog.SQLFull("onetime_secrets.sent", "sent", sendQuotas))
)

// issueUnless gives the row its next generation, and says whether it carries a long code. Where held is true it changes
// nothing and returns no row.
func issueUnless(held string) string {
	const next = `CASE WHEN onetime_secrets.generation < excluded.generation THEN excluded.generation
			ELSE onetime_secrets.generation + 1 END`
	return fmt.Sprintf(`INSERT INTO onetime_secrets (portal_id, purpose, subject, generation, key_id, variant, expires_at,
		redeemed, tries, wrong_in_a_row, account_id, security_stamp, delivery_id, issued, asked, sent, wrong, long_codes,
		long_next, updated_at)
	VALUES (@portal, @purpose, @subject, @now, @key, @variant, @expires, '', 0, 0, @account, @stamp, @delivery, @issued,
		@asked, @sent, '', @long, FALSE, @now)
	ON CONFLICT (portal_id, purpose, subject) DO UPDATE SET
		generation = %[1]s, key_id = excluded.key_id, variant = excluded.variant, expires_at = excluded.expires_at,
		tries = 0, account_id = excluded.account_id, security_stamp = excluded.security_stamp,
		delivery_id = excluded.delivery_id,
		issued = substr(CAST(%[1]s AS TEXT) || substr(excluded.issued, %[2]d) || onetime_secrets.issued, 1, %[3]d),
		asked = %[4]s,
		sent = %[5]s,
		long_codes = CASE WHEN excluded.long_codes <> '' OR onetime_secrets.long_next AND NOT %[6]s
			THEN %[7]s ELSE onetime_secrets.long_codes END,
		updated_at = excluded.updated_at
	WHERE NOT %[8]s
	RETURNING generation, asked, sent`,
		next, slidinglog.Width+1, history*issueWidth,
		slidinglog.SQLAdd("excluded.asked", "onetime_secrets.asked", slidinglog.Octets(history)),
		slidinglog.SQLAdd("excluded.sent", "onetime_secrets.sent", slidinglog.Octets(history)),
		loggedIn, slidinglog.SQLAdd("CAST("+next+" AS TEXT)", "onetime_secrets.long_codes", slidinglog.Octets(history)), held)
}

// missShort counts a wrong code where the newest code is short. After too many of them the next code is long.
var missShort = fmt.Sprintf(miss, `1, @entry`, `
		wrong_in_a_row = CASE WHEN `+loggedIn+` THEN 1 ELSE onetime_secrets.wrong_in_a_row + 1 END,
		wrong = `+wrongAfter+`,
		long_next = `+slidinglog.SQLFull(wrongAfter, "wrong", wrongQuotas)+fmt.Sprintf(`
			OR NOT %s AND onetime_secrets.wrong_in_a_row >= %d,`, loggedIn, triesInARow-1), acceptsShort)

// wrongAfter is the log of wrong short codes with this one.
var wrongAfter = `(CASE WHEN ` + loggedIn + ` THEN excluded.wrong ELSE ` + slidinglog.SQLAdd("excluded.wrong",
	"onetime_secrets.wrong", slidinglog.Octets(wrongQuotas[len(wrongQuotas)-1].N)) + ` END)`

// missLong counts a wrong code where the newest code is long.
var missLong = fmt.Sprintf(miss, `0, ''`, ``, acceptsLong)

// miss counts nothing and returns no row where codes are no longer accepted, or a newer secret was issued meanwhile. An
// address without a row gets one of generation 0.
const miss = `INSERT INTO onetime_secrets (portal_id, purpose, subject, generation, key_id, variant, expires_at,
		redeemed, tries, issued, asked, sent, updated_at, wrong_in_a_row, wrong)
	VALUES (@portal, @purpose, @subject, 0, 0, '', 0, '', 1, '', '', '', @now, %s)
	ON CONFLICT (portal_id, purpose, subject) DO UPDATE SET
		tries = onetime_secrets.tries + 1,%s
		updated_at = excluded.updated_at
	WHERE onetime_secrets.generation = @generation AND %s
	RETURNING tries, wrong_in_a_row, wrong`

// redeem consumes a secret. Its parts are filled in by redeeming.
const redeem = `UPDATE onetime_secrets SET %s updated_at = @now,
		redeemed = %s
	WHERE portal_id = @portal AND purpose = @purpose AND subject = @subject AND generation = @generation
		AND key_id = @key AND %s <> @entry AND expires_at > @now
		AND EXISTS (SELECT 1 FROM accounts a WHERE a.portal_id = @portal
			AND a.id = onetime_secrets.account_id AND a.security_stamp = onetime_secrets.security_stamp
			AND a.disabled_at IS NULL) AND %s
	RETURNING account_id, security_stamp, variant, expires_at`

// forgetWrong takes an address back to the short code.
const forgetWrong = `wrong = '', wrong_in_a_row = 0, long_next = FALSE,`

// redeeming is redeem with what else it sets, and with a condition.
func redeeming(set, condition string) string {
	return fmt.Sprintf(redeem, set, slidinglog.SQLAdd("@entry", "redeemed", slidinglog.Octets(history)),
		slidinglog.SQLTime("redeemed", slidinglog.Start(1)), condition)
}
