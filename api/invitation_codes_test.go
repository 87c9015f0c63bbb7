package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// swap writes one text for another, in pairs.
func swap(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }

// wide is a code in the full-width letters of an East Asian keyboard.
func wide(code string) string {
	return strings.Map(func(r rune) rune { return r + 0xfee0 }, code)
}

// misspellings are how people type, copy and paste a code.
var misspellings = map[string]func(code string) string{
	"as mailed":           func(code string) string { return code },
	"lower case":          strings.ToLower,
	"no dashes":           swap("-", ""),
	"lower, no dashes":    func(code string) string { return strings.ToLower(swap("-", "")(code)) },
	"spaces":              swap("-", " "),
	"space around":        func(code string) string { return "  " + code + " " },
	"a space each":        func(code string) string { return strings.Join(strings.Split(code, ""), " ") },
	"groups of four":      func(code string) string { c := swap("-", "")(code); return c[:4] + "-" + c[4:8] + " " + c[8:] },
	"O for 0":             swap("0", "O"),
	"o for 0":             swap("0", "o"),
	"I for 1":             swap("1", "I"),
	"i for 1":             swap("1", "i"),
	"L for 1":             swap("1", "L"),
	"l for 1":             swap("1", "l"),
	"hyphens":             swap("-", "\u2010"),
	"no-break hyphens":    swap("-", "\u2011"),
	"en dashes":           swap("-", "–"),
	"em dashes":           swap("-", " — "),
	"minus signs":         swap("-", "\u2212"),
	"horizontal bars":     swap("-", "\u2015"),
	"no-break spaces":     swap("-", "\u00a0"),
	"narrow spaces":       swap("-", "\u202f"),
	"ideographic spaces":  swap("-", "\u3000"),
	"full-width":          wide,
	"full-width, lower":   func(code string) string { return wide(strings.ToLower(code)) },
	"zero-width spaces":   swap("-", "\u200b"),
	"zero-width joiners":  swap("-", "-\u200d"),
	"byte order mark":     func(code string) string { return "\ufeff" + code },
	"soft hyphens":        swap("-", "\u00ad"),
	"right-to-left marks": func(code string) string { return "\u200f" + code + "\u200e" },
}

func TestACodeIsReadForgivingly(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		n := 0
		for name, typed := range misspellings {
			var i invited
			for !strings.Contains(i.code, "0") || !strings.Contains(i.code, "1") {
				n++
				i = h.invite(t, p, object{"email": fmt.Sprintf("ada%d@example.com", n)})
			}
			h.log.forbid(typed(i.code))
			a := h.verifies(t, p, typed(i.code))
			require.Equal(t, http.StatusOK, a.httpStatus, "%s: %q: %s", name, typed(i.code), a.body)
			h.accepts(t, i, object{"code": typed(i.code)}).status(http.StatusCreated).is("account.email", i.email)
		}
	})
}

// What no invitation has for its code is invalid, and costs nothing but the asking.
func TestWrongCodesOfInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p, other := o.portal(t), o.portal(t, object{"slug": "other"})
		i, _ := o.invite(t, p, object{})
		elsewhere, _ := o.invite(t, other, object{})
		_, confirmation := o.registers(t, p)
		plain := strings.ReplaceAll(i.code, "-", "")
		wrong := []string{
			elsewhere.code, confirmation.code, plain[:19], plain + "0", plain[1:], i.code + i.code, plain[:19] + "U", plain[:19] + "*", plain[:19] + "é",
			"-----", "\u200b", "'; DROP TABLE invitations; --", "00000-00000-00000-00000", "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ", plain + "!", "code: " + i.code,
			strings.Replace(i.code, "-", "_", 1), strings.Replace(i.code, "-", "/", 1), plain[:19] + "٠", strings.Repeat("0", 128),
		}
		if len(confirmation.token) <= 128 {
			wrong = append(wrong, confirmation.token)
		}
		const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
		for at := range plain {
			place := strings.IndexByte(alphabet, plain[at])
			for _, bit := range []int{1, 2, 16} {
				wrong = append(wrong, plain[:at]+string(alphabet[place^bit])+plain[at+1:])
			}
			if at > 0 && plain[at] != plain[at-1] {
				wrong = append(wrong, plain[:at-1]+string(plain[at])+string(plain[at-1])+plain[at+1:]) // two changed places
			}
		}
		o.quiet(t)
		before := o.counts(t)
		for _, code := range wrong {
			bad := i
			bad.code = code
			o.refuses(t, bad, http.StatusBadRequest, "token_invalid").remedies("retry", "resend_invitation").
				is("remedies.1.href", p.front+"/invitations/resend").is("remedies.1.body.email", invitee)
		}
		o.verifies(t, p, plain[1:]).remedies("retry", "resend_invitation").lacks("remedies.1.body")
		require.Equal(t, before, o.counts(t))
		for code, why := range map[string]string{
			"": "required", "  ": "required", "\u00a0": "required", strings.Repeat("0", 129): "too_long", plain + strings.Repeat(" ", 109): "too_long",
		} {
			o.verifies(t, p, code).problem(http.StatusUnprocessableEntity, "validation_failed").field("/code", why)
			o.accepts(t, i, object{"code": code}).problem(http.StatusUnprocessableEntity, "validation_failed").field("/code", why)
		}
		o.verifies(t, p, plain+strings.Repeat(" ", 108)).status(http.StatusOK)
		bad := elsewhere
		bad.portal = p
		o.refuses(t, bad, http.StatusBadRequest, "token_invalid")
		o.accepts(t, i).status(http.StatusCreated)
		o.accepts(t, elsewhere).status(http.StatusCreated)
	})
}

// A code outlives the rotation of the secret key for as long as the older key stands in the list.
func TestCodesUnderAnOlderKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		newer := keyring.Generate()
		h.log.forbid(newer)
		under := func(keys string) *harness {
			t.Helper()
			ring, err := keyring.Parse(keys)
			require.NoError(t, err)
			return h.calling(h.another(t, db, func(o *options) { o.App.Ring = ring }))
		}
		accepted, waiting := h.invite(t, p, object{}), h.invite(t, p, object{"email": "waiting@example.com"})
		both := under(newer + "," + secretKey)
		both.verifies(t, p, accepted.code).status(http.StatusOK)
		require.Equal(t, accepted.code, both.exported(t, p, accepted.email), "the code that was mailed")
		both.accepts(t, accepted).status(http.StatusCreated)
		both.refuses(t, accepted, http.StatusGone, "token_used")
		made := both.invite(t, p, object{"email": "made@example.com"})

		alone := under(newer)
		alone.refuses(t, waiting, http.StatusBadRequest, "token_invalid")
		require.Empty(t, alone.exported(t, p, waiting.email))
		alone.stands(t, waiting, "pending") // for an administrator to renew
		require.Equal(t, made.code, alone.exported(t, p, made.email))
		alone.accepts(t, made).status(http.StatusCreated)

		// He renews what the older key took with it.
		alone.renews(t, waiting).status(http.StatusAccepted)
		older := waiting
		waiting.code = alone.exported(t, p, waiting.email)
		both.refuses(t, older, http.StatusGone, "token_superseded")
		alone.refuses(t, older, http.StatusBadRequest, "token_invalid")
		alone.accepts(t, waiting).status(http.StatusCreated)
	})
}

// Until 30 days after its end an invitation is known for what it is; after that every genuine code has expired.
func TestSweepingInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		all := map[string]invited{}
		for _, name := range []string{"used", "expired", "deleted", "renewed"} {
			all[name] = h.invite(t, p, object{"email": name + "@example.com"})
		}
		h.accepts(t, all["used"]).status(http.StatusCreated)
		h.delete(t, all["deleted"].admin, asOperator).status(http.StatusNoContent)
		h.renews(t, all["renewed"]).status(http.StatusAccepted)
		living := h.invite(t, p, object{"email": "living@example.com", "expires_in": 30 * 86400})

		h.clock.advance(30 * day)
		h.refuses(t, living, http.StatusGone, "token_expired")
		h.renews(t, living).status(http.StatusAccepted)
		living.code = h.exported(t, p, living.email)
		h.clock.advance(7 * day)
		h.sweep(t, "invitations")
		for name, code := range map[string]string{
			"used": "token_used", "expired": "token_expired", "deleted": "token_expired", "renewed": "token_superseded",
		} {
			h.refuses(t, all[name], http.StatusGone, code)
		}
		h.clock.advance(time.Millisecond)
		h.sweep(t, "invitations")
		for _, i := range all {
			h.refuses(t, i, http.StatusGone, "token_expired").remedies("contact_administrator")
			h.get(t, i.admin, asOperator).problem(http.StatusNotFound, "not_found")
		}
		require.Equal(t, "1", h.rows(t, "invitations"))
		h.accepts(t, living).status(http.StatusCreated)
		// Numbers are not given twice: a swept code stays what it is.
		h.accepts(t, h.invite(t, p, object{"email": "expired@example.com"})).status(http.StatusCreated)
		h.refuses(t, all["expired"], http.StatusGone, "token_expired")
	})
}
