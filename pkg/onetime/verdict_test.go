package onetime

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// TestVerdicts checks the order of the reasons for both faces of a secret, the first that p got.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	redeem := func(t *testing.T, l *ledger, s Secret) { require.NoError(t, l.redeemToken(s.Token)) }
	tests := []struct {
		name    string
		arrange func(t *testing.T, l *ledger, p person, first Secret)
		want    fault.Code
		code    fault.Code // what the typed code is told, where that differs
	}{
		{
			name:    "good",
			arrange: func(*testing.T, *ledger, person, Secret) {},
		},
		{
			name:    "good to its last millisecond",
			arrange: func(_ *testing.T, l *ledger, _ person, _ Secret) { l.clock.pass(ttl - time.Millisecond) },
		},
		{
			name:    "used",
			arrange: func(t *testing.T, l *ledger, _ person, first Secret) { redeem(t, l, first) },
			want:    fault.TokenUsed,
		},
		{
			name: "used by its other face",
			arrange: func(t *testing.T, l *ledger, p person, first Secret) {
				require.NoError(t, l.redeemCode(p.subject, first.Code))
			},
			want: fault.TokenUsed,
		},
		{
			name: "used and expired",
			arrange: func(t *testing.T, l *ledger, _ person, first Secret) {
				redeem(t, l, first)
				l.clock.pass(ttl)
			},
			want: fault.TokenUsed,
		},
		{
			name: "used and disabled",
			arrange: func(t *testing.T, l *ledger, p person, first Secret) {
				redeem(t, l, first)
				l.disable(p)
			},
			want: fault.TokenUsed,
		},
		{
			name: "used and superseded",
			arrange: func(t *testing.T, l *ledger, p person, first Secret) {
				redeem(t, l, first)
				l.issueLater(p)
			},
			want: fault.TokenUsed,
		},
		{
			name: "used, and the one after it too",
			arrange: func(t *testing.T, l *ledger, p person, first Secret) {
				redeem(t, l, first)
				redeem(t, l, l.issueLater(p))
			},
			want: fault.TokenUsed,
		},
		{
			name:    "superseded",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) { l.issueLater(p) },
			want:    fault.TokenSuperseded,
		},
		{
			name:    "superseded by one that was used",
			arrange: func(t *testing.T, l *ledger, p person, _ Secret) { redeem(t, l, l.issueLater(p)) },
			want:    fault.TokenSuperseded,
		},
		{
			name: "superseded and expired",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) {
				l.issueLater(p)
				l.clock.pass(ttl)
			},
			want: fault.TokenSuperseded,
		},
		{
			name: "superseded and disabled",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) {
				l.issueLater(p)
				l.disable(p)
			},
			want: fault.TokenSuperseded,
		},
		{
			name:    "expired",
			arrange: func(_ *testing.T, l *ledger, _ person, _ Secret) { l.clock.pass(ttl) },
			want:    fault.TokenExpired,
		},
		{
			name:    "the password or the address changed",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) { l.set(p, "security_stamp", uuid.New()) },
			want:    fault.TokenExpired,
		},
		{
			name:    "disabled",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) { l.disable(p) },
			want:    fault.AccountDisabled,
		},
		{
			name:    "disabled, and the stamp as it was",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) { l.set(p, "disabled_at", 1) },
			want:    fault.AccountDisabled,
		},
		{
			name: "disabled, and enabled again",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) {
				l.disable(p)
				l.set(p, "disabled_at", nil)
			},
			want: fault.TokenExpired,
		},
		{
			name:    "deleted",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) { l.remove(p) },
			want:    fault.TokenExpired,
		},
		{
			name: "deleted, and made anew",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) {
				l.remove(p)
				p.SecurityStamp = uuid.New()
				l.addAccount(p)
			},
			want: fault.TokenExpired,
		},
		{
			name: "made anew with another id",
			arrange: func(_ *testing.T, l *ledger, p person, _ Secret) {
				l.remove(p)
				p.ID.UUID = uuid.New()
				l.addAccount(p)
			},
			want: fault.TokenExpired,
		},
		{
			name: "swept",
			arrange: func(t *testing.T, l *ledger, _ person, _ Secret) {
				l.clock.pass(ttl + database.Kept + time.Millisecond)
				n, err := l.Sweep(l.ctx, 1000)
				require.NoError(t, err)
				require.Positive(t, n)
			},
			want: fault.TokenExpired, code: fault.TokenInvalid,
		},
		{
			name: "swept, and a wrong code typed since",
			arrange: func(t *testing.T, l *ledger, p person, _ Secret) {
				l.exec(`DELETE FROM onetime_secrets WHERE portal_id = ?`, l.portal)
				require.Equal(t, 1, l.guess(p.subject, 1))
			},
			want: fault.TokenExpired, code: fault.TokenInvalid,
		},
	}
	each(t, func(t *testing.T, l *ledger) {
		for _, test := range tests {
			if test.code == "" {
				test.code = test.want
			}
			t.Run(test.name, func(t *testing.T) {
				l := l.in(t)
				p := l.person()
				first := l.issue(p)
				test.arrange(t, l, p, first)
				token, code := Credential{Token: first.Token}, Credential{EmailDigest: p.subject, Code: first.Code}

				for range 2 { // looking changes nothing
					_, err := l.Check(l.ctx, l.portal, Confirmation, token)
					require.Equal(t, test.want, fault.CodeOf(err))
					found, err := l.Check(l.ctx, l.portal, Confirmation, code)
					require.Equal(t, test.code, fault.CodeOf(err))
					if err == nil {
						require.Equal(t, Checked{
							AccountID: p.ID, SecurityStamp: p.SecurityStamp, EmailDigest: p.subject, Email: found.Email,
							Variant: "reset", ExpiresAt: first.ExpiresAt, Generation: found.Generation, proof: found.proof,
						}, found)
					}
				}
				_, err := l.consumeToken(l.ctx, l.portal, Confirmation, first.Token)
				require.Equal(t, test.want, fault.CodeOf(err))
			})
		}
	})
}

// TestConsumeLooksAgain changes the world between Check and Consume.
func TestConsumeLooksAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		meanwhile func(t *testing.T, l *ledger, p person, s Secret)
		want      fault.Code
		typed     fault.Code
	}{
		{"nothing", func(*testing.T, *ledger, person, Secret) {}, "", ""},
		{"used", func(t *testing.T, l *ledger, _ person, s Secret) {
			require.NoError(t, l.redeemToken(s.Token))
		}, fault.TokenUsed, fault.TokenUsed},
		{"superseded", func(_ *testing.T, l *ledger, p person, _ Secret) {
			l.issueLater(p)
		}, fault.TokenSuperseded, fault.TokenSuperseded},
		{"expired", func(_ *testing.T, l *ledger, _ person, _ Secret) { l.clock.pass(ttl) }, fault.TokenExpired, fault.TokenExpired},
		{"disabled", func(_ *testing.T, l *ledger, p person, _ Secret) { l.disable(p) }, fault.AccountDisabled, fault.AccountDisabled},
		{"deleted", func(_ *testing.T, l *ledger, p person, _ Secret) { l.remove(p) }, fault.TokenExpired, fault.TokenExpired},
		{"too many wrong codes", func(t *testing.T, l *ledger, p person, _ Secret) {
			require.Equal(t, Tries, l.guess(p.subject, Tries))
		}, "", fault.CodeAttemptsExhausted},
	}
	each(t, func(t *testing.T, l *ledger) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				l := l.in(t)
				for _, typed := range []bool{false, true} {
					p := l.person()
					s := l.issue(p)
					given, want := Credential{Token: s.Token}, test.want
					if typed {
						given, want = Credential{EmailDigest: p.subject, Code: s.Code}, test.typed
					}
					found, err := l.Check(l.ctx, l.portal, Confirmation, given)
					require.NoError(t, err)
					test.meanwhile(t, l, p, s)
					require.Equal(t, want, fault.CodeOf(l.Consume(l.ctx, l.portal, Confirmation, found)))
				}
			})
		}
	})
}

func TestConsumeTakesWhatCheckFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		s := l.issue(l.person())
		found, err := l.checkToken(s.Token)
		require.NoError(t, err)
		made := Checked{AccountID: found.AccountID, EmailDigest: found.EmailDigest, Generation: found.Generation}
		requireCode(t, fault.TokenInvalid, l.Consume(l.ctx, l.portal, Confirmation, made))
		requireCode(t, fault.TokenInvalid, l.Consume(l.ctx, l.portal, LoginCode, found))
		requireCode(t, fault.TokenInvalid, l.Consume(l.ctx, l.addPortal(2), Confirmation, found))
		require.NoError(t, l.Consume(l.ctx, l.portal, Confirmation, found))
	})
}

func TestTokensThatAreNone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		other := l.addPortal(2)
		token := l.issue(p).Token
		require.Len(t, token, 82)
		require.NotContains(t, token, "=")

		ctx, counter := databasetest.CountStatements(l.ctx)
		check := func(portal ids.Portal, purpose Purpose, token string) {
			t.Helper()
			_, err := l.Check(ctx, portal, purpose, Credential{Token: token})
			requireCode(t, fault.TokenInvalid, err)
			_, err = l.consumeToken(ctx, portal, purpose, token)
			requireCode(t, fault.TokenInvalid, err)
			_, _, err = l.AccountOf(ctx, portal, purpose, token)
			requireCode(t, fault.TokenInvalid, err)
		}
		check(other, Confirmation, token)
		check(l.portal, Password, token)
		check(l.portal, LoginCode, token)
		for _, changed := range []string{
			"x", token[:81], token + "A", token + "=", token + "\n", " " + token, strings.ToLower(token),
			token[:40] + "\r\n" + token[40:], strings.Repeat("A", len(token)),
		} {
			check(l.portal, Confirmation, changed)
		}
		for i := range token {
			for _, by := range "AZ_-09" {
				if changed := token[:i] + string(by) + token[i+1:]; changed != token {
					check(l.portal, Confirmation, changed)
				}
			}
		}
		require.Zero(t, counter.N(), "a forged token costs no statement")
		require.NoError(t, l.redeemToken(token))
	})
}

// TestNobody checks that an address without an account behaves like one with an account.
func TestNobody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		stranger, p := l.stranger(), l.person()
		issued, err := l.Issue(l.ctx, l.portal, fromStranger(stranger))
		require.NoError(t, err)
		owned, err := l.Issue(l.ctx, l.portal, p.wants(Confirmation))
		require.NoError(t, err)
		issued.DeliveryID = owned.DeliveryID
		require.Equal(t, owned, issued)

		_, err = l.Secret(l.ctx, l.portal, Confirmation, stranger, issued.Generation)
		requireCode(t, fault.TokenExpired, err)
		_, outstanding, err := l.Outstanding(l.ctx, l.portal, Confirmation, stranger)
		require.NoError(t, err)
		require.False(t, outstanding)

		// Even the right code is wrong, and counts.
		of := seed{l.portal, Confirmation, stranger, issued.Generation, l.ring.Primary()}
		code, err := of.shortCode(l.ring)
		require.NoError(t, err)
		token, err := of.token(l.ring)
		require.NoError(t, err)
		_, err = l.checkCode(stranger, code)
		require.Equal(t, Tries-1, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])
		requireCode(t, fault.TokenExpired, l.redeemToken(token))

		require.Equal(t, 1, l.guess(p.subject, 1)) // as many as the stranger
		for i := range Tries {
			_, ofStranger := l.checkCode(stranger, wrong(i))
			_, ofPerson := l.checkCode(p.subject, wrong(i))
			require.Equal(t, ofPerson, ofStranger)
		}
		_, ofPerson := l.checkCode(p.subject, wrong(9))
		requireCode(t, fault.CodeAttemptsExhausted, ofPerson)
	})
}
