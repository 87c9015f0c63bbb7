package login

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/erasure"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	jobqueue "github.com/latchkey-auth/latchkey/pkg/queue"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

type world struct {
	db       *database.DB
	pool     *password.Pool
	s        *Service
	accounts *account.Service
	sessions *session.Service
	portals  *portal.Service
	p        *portal.Portal
	a        *account.Account
	tokens   *accesstoken.Tokens
}

const (
	right = "a horse of another colour"
	other = "another fine colour"
)

var costly = password.Params{MemoryKiB: 19456, Iterations: 2, Parallelism: 1}

func newWorld(t *testing.T, db *database.DB, params password.Params) *world {
	ctx := t.Context()
	ring, err := keyring.Parse(keyring.Generate())
	require.NoError(t, err)
	digests, err := digest.Open(ctx, db, ring)
	require.NoError(t, err)
	rec := audit.NewRecorder(db, time.Now)
	w := &world{db: db, pool: password.NewPool(1, 30*time.Second, params)}
	w.portals = portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: rec, Now: time.Now})
	keys := accesstoken.NewKeys(accesstoken.KeyDependencies{DB: db, Ring: ring, Audit: rec, Now: time.Now})
	require.NoError(t, keys.Prepare(ctx))
	w.tokens = accesstoken.NewTokens(keys, "http://x", time.Now)
	w.sessions = session.NewService(session.Dependencies{Sessions: session.NewRepository(db), Ring: ring, Tokens: w.tokens, Audit: rec, Now: time.Now})
	repo := account.NewRepository(db)
	pw := account.NewPasswords(w.pool, password.Policy{})
	w.accounts = account.NewService(account.Dependencies{DB: db, Accounts: repo, Passwords: pw, Audit: rec, Digests: digests, Now: time.Now})
	jobs, err := jobqueue.New(db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	messages, err := delivery.NewService(delivery.Dependencies{
		DB: db, Queue: jobs, Outage: mail.NewOutage(), Digests: digests, Ring: ring, PublicURL: "http://x", Now: time.Now,
	})
	require.NoError(t, err)
	w.s = NewService(Dependencies{DB: db, Accounts: repo, Messages: messages, Lockouts: lockout.NewRepository(db), Sessions: w.sessions,
		Secrets: onetime.NewService(onetime.Dependencies{Secrets: onetime.NewRepository(db), Ring: ring, Now: time.Now}), Pool: w.pool,
		Passwords: pw, Audit: rec, Digests: digests, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	settings := portal.Defaults()
	settings.Name = "Acme"
	w.p, err = w.portals.Create(ctx, "acme", settings)
	require.NoError(t, err)
	addr, err := email.Parse("ann@example.com")
	require.NoError(t, err)
	secret, yes := right, true
	w.a, err = w.accounts.Create(ctx, w.p, account.Changes{Email: &addr, Password: &secret, Confirmed: &yes})
	require.NoError(t, err)
	return w
}

func (w *world) logIn(pw, resource string) (session.Granted, error) {
	return w.s.WithPassword(context.Background(), w.p, Attempt{Email: w.a.Email, Password: pw, Transport: "token", Resource: resource})
}

func (w *world) changeOwn(ctx context.Context, a *account.Account, change PasswordChange) error {
	return w.s.ChangeOwnPassword(ctx, w.p, a, change)
}

func (w *world) person(t *testing.T) (session.Granted, accesstoken.Identity, *account.Account) {
	in, err := w.logIn(right, "")
	require.NoError(t, err)
	id, err := w.tokens.Verify(t.Context(), w.p, in.AccessToken)
	require.NoError(t, err)
	a, err := w.accounts.InSession(t.Context(), w.p, id.AccountID, id.SessionID)
	require.NoError(t, err)
	return in, id, a
}

func code(err error) string { return string(fault.CodeOf(err)) }

// queue runs n wrong logins and then the right one, in this order, through a pool of one slot. All read before any is
// decided.
// decided.
func queue(n int, try func(pw string) error) (codes map[string]int, ofRight string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	codes = map[string]int{}
	for i := range n + 1 {
		pw := fmt.Sprintf("wrong password %d", i)
		if i == n {
			pw = right
		}
		wg.Go(func() {
			err := try(pw)
			mu.Lock()
			defer mu.Unlock()
			if pw == right {
				ofRight = code(err)
			} else {
				codes[code(err)]++
			}
		})
		time.Sleep(500 * time.Microsecond)
	}
	wg.Wait()
	return codes, ofRight
}

func TestRightAfterTheLock(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, costly)
		for _, resource := range []string{"nope", ""} {
			codes, ofRight := queue(20, func(pw string) error { _, err := w.logIn(pw, resource); return err })
			require.Equal(t, map[string]int{"incorrect_credentials": 5, "account_locked": 15}, codes)
			require.Equal(t, "account_locked", ofRight, resource)
			require.NoError(t, w.s.Unlock(t.Context(), w.p, w.a))
		}
	})
}

func TestRightCurrentAfterTheLock(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, costly)
		_, id, a := w.person(t)
		hashed := w.pool.Stats().Hashed
		for range 20 { // a refused password is neither hashed for nor counted
			require.Equal(t, "password_rejected", code(w.changeOwn(t.Context(), a, PasswordChange{id.SessionID, "wrong", "short"})))
			require.Equal(t, "password_rejected", code(w.changeOwn(t.Context(), a, PasswordChange{id.SessionID, right, "short"})))
		}
		require.Equal(t, hashed, w.pool.Stats().Hashed)
		for _, next := range []string{other} {
			codes, ofRight := queue(20, func(pw string) error {
				return w.changeOwn(context.Background(), a, PasswordChange{id.SessionID, pw, next})
			})
			require.Equal(t, map[string]int{"current_password_incorrect": 5, "account_locked": 15}, codes)
			require.Equal(t, "account_locked", ofRight, next)
			require.NoError(t, w.s.Unlock(t.Context(), w.p, a))
		}
		var codes []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				err := w.changeOwn(context.Background(), a, PasswordChange{id.SessionID, right, other})
				mu.Lock()
				codes = append(codes, code(err))
				mu.Unlock()
			})
		}
		wg.Wait()
		require.ElementsMatch(t, []string{"", "current_password_incorrect"}, codes)
	})
}

// while runs fn in a transaction that stays open for a moment while meanwhile runs.
func while(t *testing.T, db *database.DB, fn func(ctx context.Context) error, meanwhile func()) {
	reached, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- db.InTx(context.Background(), func(ctx context.Context) error {
			err := fn(ctx)
			close(reached)
			<-release
			return err
		})
	}()
	<-reached
	go func() { time.Sleep(300 * time.Millisecond); close(release) }()
	meanwhile()
	require.NoError(t, <-done)
}

func onPostgres(t *testing.T, fn func(t *testing.T, w *world)) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		if db.Dialect() == database.Postgres {
			fn(t, newWorld(t, db, password.Cheapest))
		}
	})
}

func TestLoginWhileDeleted(t *testing.T) {
	for _, wrong := range []int{0, 2} {
		t.Run(fmt.Sprint(wrong), func(t *testing.T) {
			onPostgres(t, func(t *testing.T, w *world) {
				for range wrong {
					_, _ = w.logIn("wrong", "")
				}
				while(t, w.db, func(ctx context.Context) error { return w.accounts.Erase(ctx, w.p, w.a) }, func() {
					_, err := w.logIn(right, "")
					require.Equal(t, "incorrect_credentials", code(err))
				})
			})
		})
	}
}

func TestRefreshWhileOwnChange(t *testing.T) {
	onPostgres(t, func(t *testing.T, w *world) {
		in, id, a := w.person(t)
		elsewhere, _, _ := w.person(t)
		while(t, w.db, func(ctx context.Context) error {
			return w.changeOwn(ctx, a, PasswordChange{id.SessionID, right, other})
		}, func() {
			_, err := w.sessions.Refresh(context.Background(), w.p, in.RefreshToken)
			require.NoError(t, err)
		})
		_, err := w.sessions.Refresh(context.Background(), w.p, elsewhere.RefreshToken)
		require.Equal(t, "session_invalid", code(err))
	})
}

func TestOwnChangeOutage(t *testing.T) {
	onPostgres(t, func(t *testing.T, w *world) {
		_, id, a := w.person(t)
		_ = w.changeOwn(t.Context(), a, PasswordChange{id.SessionID, "wrong", other})
		while(t, w.db, func(ctx context.Context) error {
			_, err := w.s.lockouts.Succeed(ctx, w.p.ID, lockout.CurrentPassword, w.s.digests.OfAccount(w.p.ID, a.ID), time.Now())
			return err
		}, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
			defer cancel()
			require.Equal(t, "unavailable", code(w.changeOwn(ctx, a, PasswordChange{id.SessionID, right, other})))
		})
	})
}

func TestPortalDeletedWhileLogin(t *testing.T) {
	onPostgres(t, func(t *testing.T, w *world) {
		_, _ = w.logIn("wrong", "")
		a, err := w.accounts.Get(t.Context(), w.p, w.a.ID)
		require.NoError(t, err)
		subject := w.s.digests.OfEmail(w.p.ID, a.Email)
		started, deleting, done := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() { // start, step by step
			done <- w.db.InTx(context.Background(), func(ctx context.Context) error {
				_, err := w.sessions.Start(ctx, w.p, a, session.Begin{Transport: "token", Guarded: subject})
				close(started)
				<-deleting
				if err != nil {
					return err
				}
				_, err = w.s.lockouts.Succeed(ctx, w.p.ID, lockout.Login, subject, time.Now())
				return err
			})
		}()
		<-started
		go func() { time.Sleep(300 * time.Millisecond); close(deleting) }()
		require.NoError(t, erasure.NewService(erasure.Dependencies{DB: w.db, Portals: w.portals}).Portal(context.Background(), "acme"))
		require.NoError(t, <-done)
	})
}

func TestBursts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, password.Cheapest)
		for range 5 {
			var mu sync.Mutex
			m := map[string]int{}
			burst := func(n int, pw func(i int) string) {
				clear(m)
				var wg sync.WaitGroup
				for i := range n {
					wg.Go(func() { _, err := w.logIn(pw(i), ""); mu.Lock(); m[code(err)]++; mu.Unlock() })
				}
				wg.Wait()
			}
			burst(64, func(int) string { return "wrong" })
			require.Equal(t, map[string]int{"incorrect_credentials": 5, "account_locked": 59}, m)
			require.NoError(t, w.s.Unlock(t.Context(), w.p, w.a))
			burst(64, func(i int) string { return map[bool]string{true: right, false: "wrong"}[i == 3] })
			t.Log(m)
			require.NoError(t, w.s.Unlock(t.Context(), w.p, w.a))
			burst(4, func(int) string { return "wrong" })
			burst(20, func(int) string { return right })
			require.Equal(t, map[string]int{"": 20}, m)
		}
	})
}
