package invitations_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
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

func TestCodeSpellings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		n := 0
		for name, typed := range misspellings {
			var i apitest.Invitation
			for !strings.Contains(i.Code, "0") || !strings.Contains(i.Code, "1") {
				n++
				i = h.Invite(t, p, apitest.Object{"email": fmt.Sprintf("ada%d@example.com", n)})
			}
			h.Log.Forbid(typed(i.Code))
			a := h.VerifyCode(t, p, typed(i.Code))
			require.Equal(t, http.StatusOK, a.HTTPStatus, "%s: %q: %s", name, typed(i.Code), a.Body)
			h.AcceptInvitation(t, i, apitest.Object{"code": typed(i.Code)}).Status(http.StatusCreated).Is("account.email", i.Email)
		}
	})
}

// What no invitation has for its code is invalid, and costs nothing but the asking.
func TestWrongInvitationCodes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p, other := o.Portal(t), o.Portal(t, apitest.Object{"slug": "other"})
		i, _ := o.Invite(t, p, apitest.Object{})
		elsewhere, _ := o.Invite(t, other, apitest.Object{})
		_, confirmation := o.Register(t, p)
		plain := strings.ReplaceAll(i.Code, "-", "")
		wrong := []string{
			elsewhere.Code, confirmation.Code, plain[:19], plain + "0", plain[1:], i.Code + i.Code, plain[:19] + "U", plain[:19] + "*", plain[:19] + "é",
			"-----", "\u200b", "'; DROP TABLE invitations; --", "00000-00000-00000-00000", "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ", plain + "!", "code: " + i.Code,
			strings.Replace(i.Code, "-", "_", 1), strings.Replace(i.Code, "-", "/", 1), plain[:19] + "٠", strings.Repeat("0", 128),
		}
		if len(confirmation.Token) <= 128 {
			wrong = append(wrong, confirmation.Token)
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
		o.AwaitAllSent(t)
		before := o.RowCounts(t)
		for _, code := range wrong {
			bad := i
			bad.Code = code
			o.RequireCodeRefused(t, bad, http.StatusBadRequest, "token_invalid").Remedies("retry", "resend_invitation").
				Is("remedies.1.href", p.Front+"/invitations/resend").Is("remedies.1.body.email", apitest.Invitee)
		}
		o.VerifyCode(t, p, plain[1:]).Remedies("retry", "resend_invitation").Lacks("remedies.1.body")
		require.Equal(t, before, o.RowCounts(t))
		for code, why := range map[string]string{
			"": "required", "  ": "required", "\u00a0": "required", strings.Repeat("0", 129): "too_long", plain + strings.Repeat(" ", 109): "too_long",
		} {
			o.VerifyCode(t, p, code).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/code", why)
			o.AcceptInvitation(t, i, apitest.Object{"code": code}).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/code", why)
		}
		o.VerifyCode(t, p, plain+strings.Repeat(" ", 108)).Status(http.StatusOK)
		bad := elsewhere
		bad.Portal = p
		o.RequireCodeRefused(t, bad, http.StatusBadRequest, "token_invalid")
		o.AcceptInvitation(t, i).Status(http.StatusCreated)
		o.AcceptInvitation(t, elsewhere).Status(http.StatusCreated)
	})
}

// A code survives a rotation of the secret key as long as the older key is in the list.
func TestCodesUnderOlderKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		newer := keyring.Generate()
		h.Log.Forbid(newer)
		under := func(keys string) *apitest.Harness {
			t.Helper()
			ring, err := keyring.Parse(keys)
			require.NoError(t, err)
			return h.Calling(h.NewServer(t, db, apitest.UnderKeys(ring)))
		}
		accepted, waiting := h.Invite(t, p, apitest.Object{}), h.Invite(t, p, apitest.Object{"email": "waiting@example.com"})
		both := under(newer + "," + apitest.SecretKey)
		both.VerifyCode(t, p, accepted.Code).Status(http.StatusOK)
		require.Equal(t, accepted.Code, both.ExportedCode(t, p, accepted.Email), "the code that was mailed")
		both.AcceptInvitation(t, accepted).Status(http.StatusCreated)
		both.RequireCodeRefused(t, accepted, http.StatusGone, "token_used")
		made := both.Invite(t, p, apitest.Object{"email": "made@example.com"})

		alone := under(newer)
		alone.RequireCodeRefused(t, waiting, http.StatusBadRequest, "token_invalid")
		require.Empty(t, alone.ExportedCode(t, p, waiting.Email))
		alone.RequireInvitationStatus(t, waiting, "pending") // for an administrator to renew
		require.Equal(t, made.Code, alone.ExportedCode(t, p, made.Email))
		alone.AcceptInvitation(t, made).Status(http.StatusCreated)

		// An administrator renews invitations of the removed key.
		alone.PostRenewal(t, waiting).Status(http.StatusAccepted)
		older := waiting
		waiting.Code = alone.ExportedCode(t, p, waiting.Email)
		both.RequireCodeRefused(t, older, http.StatusGone, "token_superseded")
		alone.RequireCodeRefused(t, older, http.StatusBadRequest, "token_invalid")
		alone.AcceptInvitation(t, waiting).Status(http.StatusCreated)
	})
}
