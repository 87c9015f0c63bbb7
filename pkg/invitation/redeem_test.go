package invitation

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestRedeem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite("Ann@Example.com")
		d.time.pass(time.Hour)
		given := given(t, d.code(i), "ann@EXAMPLE.com")
		first, last := "Ann", "Lee"
		given.GivenName, given.FamilyName = &first, &last
		in, err := d.Redeem(d.ctx, d.portal, given)
		require.NoError(t, err)

		a, err := d.people.Get(d.ctx, d.portal, in.Account.ID)
		require.NoError(t, err)
		now := d.clock.Now()
		require.Equal(t, "Ann@Example.com", a.Email.Typed(), "as it was invited, not as it was typed")
		require.Equal(t, i.Roles, a.Roles)
		require.Equal(t, i.Entitlements, a.Entitlements)
		require.JSONEq(t, string(i.Metadata), string(a.Metadata))
		require.Equal(t, "de", a.Locale)
		require.Equal(t, []*string{&first, &last}, []*string{a.GivenName, a.FamilyName})
		require.Equal(t, now, *a.Confirmed)
		require.Nil(t, a.UnverifiedSince)
		require.True(t, a.HasPassword())

		_, err = d.sessions.Refresh(d.ctx, d.portal, in.RefreshToken)
		require.NoError(t, err, "and is signed in")

		i = d.again(i)
		require.Equal(t, now, *i.AcceptedAt)
		require.Equal(t, Accepted, i.Status(now))
		require.Equal(t, a.ID, i.accountID)
		code, err := d.Code(d.portal, i)
		require.NoError(t, err)
		require.Empty(t, code)
		require.Equal(t, 1, d.audited(audit.InvitationRedeemed, "success"))
		requireCode(t, fault.TokenUsed, d.redeem(d.codeOf(i.serial), "ann@example.com"))
		requireCode(t, fault.TokenUsed, d.redeem(d.codeOf(i.serial), "other@example.com"))
		requireCode(t, fault.EmailAlreadyRegistered, d.Delete(d.ctx, d.portal, i.ID))
		_, _, err = d.Resend(d.ctx, d.portal, i.ID)
		requireCode(t, fault.EmailAlreadyRegistered, err)
		_, err = d.Invitee(d.ctx, d.portal.ID, delivery.Invitation{ID: i.ID})
		requireCode(t, fault.TokenUsed, err)
	})
}

// TestRedeemTakesNothingFromThePerson checks that roles and entitlements, empty ones too, come from the invitation alone,
// and names from the person.
func TestRedeemTakesNothingFromThePerson(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		plain := d.wants(ann)
		plain.Roles, plain.Entitlements, plain.Metadata = []string{}, []string{}, json.RawMessage(`{}`)
		i, err := d.Invite(d.ctx, d.portal, operator, plain)
		require.NoError(t, err)
		given := given(t, d.code(i), ann)
		given.Locale = "fr"
		in, err := d.Redeem(d.ctx, d.portal, given)
		require.NoError(t, err)
		a, err := d.people.Get(d.ctx, d.portal, in.Account.ID)
		require.NoError(t, err)
		require.Equal(t, []string{}, a.Roles)
		require.Equal(t, []string{}, a.Entitlements)
		require.JSONEq(t, `{}`, string(a.Metadata))
		require.Equal(t, "fr", a.Locale)
		require.Nil(t, a.GivenName)
	})
}

// TestRefusedRedeemLeavesTheCodeGood makes every mistake that a person can make.
func TestRefusedRedeemLeavesTheCodeGood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		code := d.code(i)
		requireCode(t, fault.InvitationEmailMismatch, d.redeem(code, "bob@example.com"))
		d.person("bob@example.com")
		requireCode(t, fault.InvitationEmailMismatch, d.redeem(code, "bob@example.com"))
		for _, secret := range []string{"short", "password1234", "ann@example.com!"} {
			weak := given(t, code, ann)
			weak.Password = secret
			_, err := d.Redeem(d.ctx, d.portal, weak)
			requireCode(t, fault.PasswordRejected, err)
		}
		weak := given(t, code, "bob@example.com")
		weak.Password = "short"
		_, err := d.Redeem(d.ctx, d.portal, weak)
		requireCode(t, fault.InvitationEmailMismatch, err)
		require.Equal(t, 6, d.audited(audit.InvitationRedeemed, "failure"))
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, d.portal.ID))
		require.Equal(t, i, d.again(i))
		require.NoError(t, d.redeem(code, ann))
	})
}

// TestMismatchTellsNothingOfDeadCodes checks that a code that is not good does not tell whose it was.
func TestMismatchTellsNothingOfDeadCodes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		code := d.code(i)
		d.person(ann)
		requireCode(t, fault.InvitationEmailMismatch, d.redeem(code, "bob@example.com"))
		requireCode(t, fault.EmailAlreadyRegistered, d.redeem(code, ann))
		over := d.invite("over@example.com")
		overCode := d.code(over)
		d.time.pass(term)
		requireCode(t, fault.TokenExpired, d.redeem(overCode, "bob@example.com"))
		deleted := d.invite("deleted@example.com")
		deletedCode := d.code(deleted)
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		requireCode(t, fault.TokenExpired, d.redeem(deletedCode, "bob@example.com"))
	})
}

// TestRedeemReplacesARegistration checks that the invited person replaces a registration of the address, even a disabled one.
func TestRedeemReplacesARegistration(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for _, disabled := range []bool{false, true} {
			address := uuid.NewString() + "@example.com"
			i := d.invite(address)
			registration := d.register(address)
			if disabled {
				require.NoError(t, d.db.From(d.ctx).Exec(`UPDATE accounts SET disabled_at = 1 WHERE portal_id = ? AND id = ?`,
					d.portal.ID, registration.ID).Error) // by a version before; today an administrator makes it an account
			}
			in, err := d.Redeem(d.ctx, d.portal, given(t, d.code(i), address))
			require.NoError(t, err)
			require.NotEqual(t, registration.ID, in.Account.ID)
			require.Zero(t, d.count(`SELECT COUNT(*) FROM sessions WHERE portal_id = ? AND account_id = ?`, d.portal.ID, registration.ID))
			require.Zero(t, d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ? AND id = ?`, d.portal.ID, registration.ID))
		}
	})
}

// TestStatementsOfRedeem bounds the statements of a redeem, and of a refused one.
func TestStatementsOfRedeem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		code := d.code(i)
		ctx, statements := databasetest.CountStatements(d.ctx)
		_, err := d.Redeem(ctx, d.portal, given(t, code, "bob@example.com"))
		requireCode(t, fault.InvitationEmailMismatch, err)
		require.Len(t, statements.Texts(), 2, "read, audit")
		ctx, statements = databasetest.CountStatements(d.ctx)
		_, err = d.Redeem(ctx, d.portal, given(t, code, ann))
		require.NoError(t, err)
		require.LessOrEqual(t, statements.N(), int64(9), "read, locks, accept, older ones, registration, account, session, audit")
	})
}
