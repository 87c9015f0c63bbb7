package invitation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

// inviteMany makes n pending invitations.
func (d *desk) inviteMany(n int) []*Invitation {
	d.t.Helper()
	var all []*Invitation
	for len(all) < n {
		batch := make([]New, min(MaxBatch, n-len(all)))
		for at := range batch {
			batch[at] = d.wants(fmt.Sprintf("person%d@example.com", len(all)+at))
		}
		made, err := d.InviteAll(d.ctx, d.portal, operator, batch)
		require.NoError(d.t, err)
		for _, m := range made {
			require.NoError(d.t, m.Err)
			all = append(all, m.Invitation)
		}
	}
	return all
}

// TestNobodyGuesses tries random codes, and random MACs for numbers and counters that exist.
func TestNobodyGuesses(t *testing.T) {
	t.Parallel()
	const pending, guesses = 1000, 10_000
	each(t, func(t *testing.T, d *desk) {
		invitations := d.inviteMany(pending)
		dice := rand.New(rand.NewPCG(5, 100))
		ctx, statements := databasetest.CountStatements(d.ctx)
		for guess := range guesses {
			code := make([]byte, codeLength)
			for i := range code {
				code[i] = typedcode.Alphabet[dice.IntN(len(typedcode.Alphabet))]
			}
			if guess%2 == 1 {
				own := strings.ReplaceAll(d.code(invitations[guess/2%pending]), "-", "")
				copy(code, own[:serialLength])
			}
			_, err := d.Verify(ctx, d.portal, string(code))
			requireCode(t, fault.TokenInvalid, err)
		}
		require.Zero(t, statements.N(), "a forged code asks no database")

		for n, i := range invitations {
			typed := strings.ToLower(strings.ReplaceAll(d.code(i), "-", " "))
			found, err := d.Verify(ctx, d.portal, typed)
			require.NoError(t, err)
			require.Equal(t, i.ID, found.ID)
			require.EqualValues(t, n+1, statements.N(), "a genuine one asks once")
		}
	})
}

// TestForgedRedeemCostsNothing checks that a forged code causes no hash and no audit event: guesses cannot fill the audit
// trail.
func TestForgedRedeemCostsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite("ann@example.com")
		forged := []byte(d.code(i))
		forged[len(forged)-1] = typedcode.Alphabet[(strings.IndexByte(typedcode.Alphabet, forged[len(forged)-1])+1)%len(typedcode.Alphabet)]
		ctx, statements := databasetest.CountStatements(d.ctx)
		_, err := d.Redeem(ctx, d.portal, given(t, string(forged), "ann@example.com"))
		requireCode(t, fault.TokenInvalid, err)
		require.Zero(t, statements.N())
	})
}
