package private_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// hashed makes an account whose password is stored as another hash.
func hashed(hash func(secret string) string) bringer {
	return func(t testing.TB, h *apitest.Harness, p apitest.Portal, email string) {
		who := h.Account(t, p, apitest.Object{"email": email})
		h.SetPasswordHash(t, who, hash(who.Password))
	}
}

// bcryptHash is a hash as another system made it.
func bcryptHash(secret string) string {
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
}

// olderHash is a hash of other parameters than today's.
func olderHash(secret string) string {
	hash, err := password.NewPool(1, time.Minute, password.Params{MemoryKiB: 64, Iterations: 2, Parallelism: 1}).
		For(ids.Portal{}).Hash(context.Background(), secret)
	if err != nil {
		panic(err)
	}
	return hash
}

// hashedStandings have passwords of every kind.
var hashedStandings = []standing{
	{"unknown", fresh, nobody},
	{"active", fresh, account(nil)},
	{"older hash", fresh, hashed(olderHash)},
	{"argon2i", fresh, hashed(func(secret string) string { return apitest.ForeignHash(secret, 1) })},
	{"bcrypt", fresh, hashed(bcryptHash)},
	{"unreadable hash", fresh, hashed(func(string) string { return "$6$nobody$reads this" })},
	{"disabled", fresh, account(apitest.Object{"disabled": true})},
	{"unconfirmed", fresh, account(apitest.Object{"confirmed": false})},
	{"without a password", fresh, account(apitest.Object{"password": nil})},
	{"invited", fresh, asked},
}

// Every operation does the same work at a private portal, whoever has the address: as many hashes and statements,
// whatever kind of hash is stored.
func TestWorkDependsOnThePortal(t *testing.T) {
	t.Parallel()
	const unsaid = "what nobody's password is"
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(2, 30*time.Second, password.Cheapest)
		h := apitest.New(t, db, apitest.HashingIn(pool))
		p := h.Portal(t, apitest.Object{"enumeration": "private"})
		for _, s := range hashedStandings {
			s.bring(t, h, p, s.email())
		}
		registering := func(email string) apitest.Object { return apitest.Object{"email": email, "password": unsaid} }
		for _, o := range []struct {
			path string
			body func(string) apitest.Object
			hash uint64
		}{
			{"/lookup", naming, 0}, {"/lockout-status", naming, 0},
			{"/login", typing(unsaid), 4},             // today's kind, the older one, argon2i, bcrypt
			{"/login", typing("e\u0301" + unsaid), 7}, // which other systems hashed as typed, or in NFC
			{"/confirmations", naming, 0}, {"/password-resets", naming, 0}, {"/invitations/resend", naming, 0},
			{"/registrations", registering, 1},
		} {
			h.Clock.Advance(time.Hour)
			statements := int64(-1)
			for _, s := range hashedStandings {
				what := fmt.Sprintf("%s %s", o.path, s.name)
				before := pool.Stats().Hashed
				ctx, counted := databasetest.CountStatements(context.Background())
				a := h.Post(t, p.Front+o.path, o.body(s.email()), apitest.InContext(ctx))
				require.Less(t, a.HTTPStatus, http.StatusInternalServerError, what)
				require.Equal(t, o.hash, pool.Stats().Hashed-before, "hashes: %s", what)
				if statements < 0 {
					statements = counted.N()
				}
				require.Equal(t, statements, counted.N(), "statements: %s: %s", what, strings.Join(counted.Texts(), "\n"))
			}
		}
		// The right password works whatever kind it is stored as, at the same cost, and is stored as today's afterwards.
		for _, s := range hashedStandings[1:5] {
			for _, times := range []string{"first", "second"} {
				before := pool.Stats().Hashed
				h.LogInRight(t, p, s.email()).Status(http.StatusOK)
				require.LessOrEqual(t, pool.Stats().Hashed-before, uint64(4), "%s %s", s.name, times)
			}
			require.Contains(t, h.QueryValue(t, "SELECT password_hash FROM accounts WHERE email = ?", s.email()), "m=8,t=1,p=1")
		}
	})
}
