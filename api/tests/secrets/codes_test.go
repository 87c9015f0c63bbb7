package secrets_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const (
	shortForm = `^\d{6}$`
	longForm  = `^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`
)

// codeAt is a code, and the calls that take it.
type codeAt struct {
	portal apitest.Portal
	path   string
	code   apitest.Object
}

// guess types a wrong code n times, to verify and to redeem in turn. All must count.
func guess(t testing.TB, o *apitest.MailHarness, c codeAt, n int) {
	t.Helper()
	for i := range n {
		call := o.Verify
		if i%2 == 1 {
			call = o.Redeem
		}
		call(t, c.portal, c.path, c.code).Problem(http.StatusBadRequest, "token_invalid")
	}
}

// An input that cannot be a code is wrong, and costs no try.
func TestInputThatIsNoCode(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		for _, typed := range []string{"12345", "1234567", "abcdef", mail.Code[:3], "१२३४५६", "123456789", "12345678U"} {
			o.Verify(t, p, k.Path, apitest.Object{"email": ada.Email, "code": typed}).Problem(http.StatusBadRequest, "token_invalid").
				Lacks("attempts_remaining")
		}
		require.Equal(t, "0", o.QueryValue(t, "SELECT tries FROM onetime_secrets"))
	})
}

// A code is read however it is typed, and an invitation's code is read in the same way.
func TestCodesAreReadForgivingly(t *testing.T) {
	t.Parallel()
	fullWidth := func(code string) string {
		return strings.Map(func(r rune) rune { return r - '!' + '！' }, code)
	}
	spellings := []func(string) string{
		strings.ToLower, fullWidth,
		func(code string) string { return " " + code[:3] + " " + code[3:] + " " },
		func(code string) string { return strings.ReplaceAll(code, "-", "") },
		func(code string) string { return strings.Join(strings.Split(fullWidth(code), ""), "\u3000") },
		func(code string) string { return strings.Join(strings.Split(code, ""), "\u2014") },
		func(code string) string {
			return "\u200e" + strings.Join(strings.Split(code, ""), "\u00ad\ufe0f") + "\u202c"
		},
		func(code string) string { return strings.NewReplacer("0", "o", "1", "l").Replace(code) },
		func(code string) string { return strings.NewReplacer("0", "O", "1", "I").Replace(code) },
	}
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		for _, spelling := range spellings {
			requireGood(t, o, p, k, apitest.Object{"email": ada.Email, "code": spelling(mail.Code)})
		}
		o.Redeem(t, p, k.Path, apitest.Object{"email": ada.Email, "code": fullWidth(mail.Code)}).Status(http.StatusOK)

		invited, _ := o.Invite(t, p, apitest.Object{"email": k.Path + "@example.com"})
		for _, spelling := range spellings {
			o.Post(t, p.Front+"/invitations/verify", apitest.Object{"code": spelling(invited.Code)}).Status(http.StatusOK)
		}
	})
}

// A short code takes five wrong tries, at verify and redeem together, and then none, not even the right one. The link of
// the same secret stays good, and a new code may be asked for.
func TestShortCode(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		if k.Long {
			t.Skip("no code of this kind is short")
		}
		p := ada.Portal
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		require.Regexp(t, shortForm, mail.Code)
		for left := 4; left >= 0; left-- {
			call := o.Verify
			if left%2 == 0 {
				call = o.Redeem
			}
			requireGood(t, o, p, k, mail.ByCode(ada.Email))
			call(t, p, k.Path, mail.WrongCode(ada.Email)).Problem(http.StatusBadRequest, "token_invalid").
				Is("attempts_remaining", left).Remedies("retry", k.Remedy)
		}
		for _, secret := range []apitest.Object{mail.WrongCode(ada.Email), mail.ByCode(ada.Email)} {
			o.RequireRefused(t, p, k, secret, apitest.Refusal(http.StatusTooManyRequests, "code_attempts_exhausted"))
			o.Verify(t, p, k.Path, secret).HasHeader("Retry-After", "60").Remedies(k.Remedy, "check_spam")
		}
		requireGood(t, o, p, k, mail.ByLink())
		o.Clock.Advance(apitest.ResendInterval)
		o.RequireRefused(t, p, k, mail.ByCode(ada.Email), apitest.Refusal(http.StatusTooManyRequests, "code_attempts_exhausted"))
		next := o.RequestSecret(t, p, k.Path, ada.Email)
		o.Redeem(t, p, k.Path, next.ByCode(ada.Email)).Status(http.StatusOK)
	})
}

// A stranger who guesses makes the person's next code longer, and never shuts the person out. Two instances agree.
func TestGuessesMakeTheNextCodeLonger(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		both := []*apitest.MailHarness{o, o.Calling(o.NewServer(t, o.DB))}
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		older := []apitest.Mail{mail}
		for i := range 3 { // 15 wrong ones within an hour, and one try is left of the last code
			guess(t, both[i%2], codeAt{p, k.Path, mail.WrongCode(ada.Email)}, 4)
			o.Clock.Advance(apitest.ResendInterval)
			mail = o.RequestSecret(t, p, k.Path, ada.Email)
			older = append(older, mail)
		}
		guess(t, both[1], codeAt{p, k.Path, mail.WrongCode(ada.Email)}, 3)
		if !k.Long {
			for _, instance := range both {
				instance.Verify(t, p, k.Path, mail.ByCode(ada.Email)).Problem(http.StatusTooManyRequests, "code_attempts_exhausted").
					HasHeader("Retry-After", "60").Remedies(k.Remedy, "check_spam")
			}
		}
		requireGood(t, o, p, k, mail.ByLink())

		o.Clock.Advance(apitest.ResendInterval)
		mail = o.RequestSecret(t, p, k.Path, ada.Email)
		require.Regexp(t, longForm, mail.Code)
		require.Contains(t, mail.Text, "\n    "+mail.Code+"\n")
		require.Contains(t, mail.HTML, mail.Code)
		for _, instance := range both {
			guess(t, instance, codeAt{p, k.Path, mail.WrongCode(ada.Email)}, 60)
			instance.Verify(t, p, k.Path, mail.WrongCode(ada.Email)).Problem(http.StatusBadRequest, "token_invalid").
				Lacks("attempts_remaining").Remedies("retry", k.Remedy)
		}
		o.Clock.Advance(10 * time.Minute)
		o.Redeem(t, p, k.Path, mail.ByCode(ada.Email)).Status(http.StatusOK)
		o.Verify(t, p, k.Path, mail.ByCode(ada.Email)).Problem(http.StatusGone, "token_used")
		if k.Long {
			for _, superseded := range older {
				o.Verify(t, p, k.Path, superseded.ByCode(ada.Email)).Problem(http.StatusGone, "token_superseded")
			}
		}
	})
}

// A login and an administrator's unlock take the address back to the short code, with all of its tries, within the hour.
func TestBackToTheShortCode(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		k := apitest.SecretKinds[0]
		for name, succeed := range map[string]func(who apitest.Person){
			"login": func(who apitest.Person) {
				o.Patch(t, who.Admin, apitest.Object{"confirmed": true}, apitest.AsOperator).Status(http.StatusOK)
				o.LogIn(t, who)
				o.Patch(t, who.Admin, apitest.Object{"confirmed": false}, apitest.AsOperator).Status(http.StatusOK)
			},
			"unlock": func(who apitest.Person) {
				o.Post(t, who.Admin+"/unlock", nil, apitest.AsOperator).Status(http.StatusOK)
			},
		} {
			who := o.Account(t, p, apitest.Object{"email": name + "@example.com", "confirmed": false})
			for range 3 {
				mail := o.RequestSecret(t, p, k.Path, who.Email)
				require.Regexp(t, shortForm, mail.Code)
				guess(t, o, codeAt{p, k.Path, mail.WrongCode(who.Email)}, 5)
				o.Clock.Advance(apitest.ResendInterval)
			}
			require.Regexp(t, longForm, o.RequestSecret(t, p, k.Path, who.Email).Code)
			o.Clock.Advance(apitest.ResendInterval)
			succeed(who)
			mail := o.RequestSecret(t, p, k.Path, who.Email)
			require.Regexp(t, shortForm, mail.Code, name)
			for left := 4; left > 0; left-- {
				o.Verify(t, p, k.Path, mail.WrongCode(who.Email)).Problem(http.StatusBadRequest, "token_invalid").
					Is("attempts_remaining", left)
			}
			o.Redeem(t, p, k.Path, mail.ByCode(who.Email)).Status(http.StatusOK)
		}
	})
}
