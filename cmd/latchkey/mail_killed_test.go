package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// arrival is how long after a restart the last mail may arrive. What was being sent is looked at again when another
// process would have given it up (30 s), by the instance that leads the queue: a new one leads 15 s after a kill.
const arrival = 90 * time.Second

// sendingAtOnce is how many mails an instance has in its hands at most.
const sendingAtOnce = 10

// The program is killed again and again while people register and are mailed. Afterwards everybody who was told so has
// an account and a good code; who got no answer has both or neither; and only what was being sent came twice.
func TestKilledWhileItRegistersAndSends(t *testing.T) {
	seed := seedOf(t)
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		random := rand.New(rand.NewPCG(seed, uint64(len(d))))
		relay := smtptest.New(t, smtptest.Options{})
		relay.Judge(func(string) error {
			time.Sleep(rand.N(20 * time.Millisecond))
			return nil
		})
		url, variables := acme(t, d, relay)
		const longest = 400 * time.Millisecond
		all := &crowd{told: make(map[string]string)}
		kills := amount(12, 50)
		for range kills {
			all.registerUntilKilled(t, serve(t, variables), time.Duration(random.Int64N(int64(longest))))
		}
		begun := time.Now()
		p := serve(t, variables)
		all.requireWhole(t, p, relay, url, begun.Add(arrival))
		t.Logf("the last mail came within %v of the restart", time.Since(begun).Round(time.Second))
		requireAllOrNothing(t, url, relay, kills)
		p.stop(t)
	})
}

// seedOf gives what the moments of a run are drawn from, and prints it, so that LATCHKEY_TEST_SEED can bring them back.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("LATCHKEY_TEST_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("LATCHKEY_TEST_SEED=%d", seed)
	return seed
}

// crowd is people who register.
type crowd struct {
	mu     sync.Mutex
	asked  int
	told   map[string]string // address -> the mail that the answer told of
	untold []string          // addresses whose request got no answer
}

// next is somebody who did not register yet.
func (c *crowd) next() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return fmt.Sprintf("person-%d@example.com", c.asked)
}

// registerUntilKilled has people register until the program is killed, which is after some time.
func (c *crowd) registerUntilKilled(t *testing.T, p *process, after time.Duration) {
	t.Helper()
	kill := time.AfterFunc(after, func() { _ = p.cmd.Process.Kill() }) // it can only have been killed
	defer kill.Stop()
	var callers sync.WaitGroup
	for range 5 {
		callers.Go(func() {
			for c.registerOne(t, p) {
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	callers.Wait()
	require.Equal(t, -1, p.exitCode(t), "it was not killed")
}

// registerOne reports whether there was an answer.
func (c *crowd) registerOne(t *testing.T, p *process) (answered bool) {
	address := c.next()
	a, err := p.tryToRegister(context.Background(), address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.untold = append(c.untold, address)
		return false
	}
	if c.told[address], err = deliveryIn(a, nil); err != nil {
		t.Error(err)
	}
	return err == nil
}

// requireWhole wants everybody who was told so to be registered, by their own password, and everybody who is registered
// to have a mail with a good code in time.
func (c *crowd) requireWhole(t *testing.T, p *process, relay *smtptest.Server, url string, deadline time.Time) {
	t.Helper()
	require.NotEmpty(t, c.told)
	registered := make([]string, 0, len(c.told)+len(c.untold))
	for address := range c.told {
		require.True(t, p.hasRegistered(t, address), address)
		registered = append(registered, address)
	}
	for _, address := range c.untold {
		if p.hasRegistered(t, address) {
			registered = append(registered, address)
		}
	}
	t.Logf("%d were told that they are registered; of %d who got no answer %d are",
		len(c.told), len(c.untold), len(registered)-len(c.told))
	mails := awaitMails(t, relay, registered, deadline)
	for _, address := range registered {
		m := mails[address]
		if id, told := c.told[address]; told {
			require.Equal(t, id, deliveryOf(m), address)
		}
		body := fmt.Sprintf(`{"email":%q,"code":%q}`, address, codeIn(t, m))
		a := p.call(t, http.MethodPost, acmePath+"/confirmations/verify", "", body)
		require.Equal(t, http.StatusOK, a.status, "%s: %s", address, a.body)
	}
	require.Len(t, mails, len(registered), "nobody else has a mail")
	db := databasetest.OpenURL(t, url).SQL()
	require.Eventually(t, func() bool {
		return count(t, db, `SELECT COUNT(*) FROM deliveries WHERE status <> 'sent'`) == 0
	}, patience, 50*time.Millisecond)
}

// hasRegistered tells by the answer to the right password.
func (p *process) hasRegistered(t *testing.T, address string) bool {
	t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, address, acmePassword)
	a := p.call(t, http.MethodPost, acmePath+"/login", "", body)
	if a.status == http.StatusForbidden {
		require.Equal(t, "email_not_confirmed", read[refusal](t, a, http.StatusForbidden).Code)
		return true
	}
	require.Equal(t, "incorrect_credentials", read[refusal](t, a, http.StatusUnauthorized).Code)
	return false
}

// awaitMails waits until everybody has a mail, and gives them.
func awaitMails(t *testing.T, relay *smtptest.Server, to []string, deadline time.Time) map[string]smtptest.Message {
	t.Helper()
	for ; ; time.Sleep(50 * time.Millisecond) {
		mails := make(map[string]smtptest.Message)
		for _, m := range relay.Messages() {
			require.Len(t, m.To, 1)
			mails[m.To[0]] = m
		}
		missing := 0
		for _, address := range to {
			if _, there := mails[address]; !there {
				missing++
			}
		}
		if missing == 0 {
			return mails
		}
		require.False(t, time.Now().After(deadline), "%d of %d mails have not arrived", missing, len(to))
	}
}

// requireAllOrNothing wants of everybody the account, the secret, the message, its job and the event, or nothing; and a
// mail twice only where a kill left its job behind.
func requireAllOrNothing(t *testing.T, url string, relay *smtptest.Server, kills int) {
	t.Helper()
	db := databasetest.OpenURL(t, url)
	accounts := count(t, db.SQL(), `SELECT COUNT(*) FROM accounts`)
	require.Equal(t, accounts, count(t, db.SQL(), `SELECT COUNT(*) FROM accounts a
		JOIN deliveries d ON d.portal_id = a.portal_id AND d.account_id = a.id AND d.kind = 'confirm' AND d.status = 'sent'
		JOIN onetime_secrets s ON s.portal_id = a.portal_id AND s.account_id = a.id AND s.delivery_id = d.id
		JOIN audit_events e ON e.portal_id = a.portal_id AND e.account_id = a.id AND e.type = 'registration'`))
	for _, rows := range []string{
		`deliveries`, `onetime_secrets`, `audit_events WHERE type = 'registration'`, `river_job WHERE kind = 'delivery'`,
	} {
		require.Equal(t, accounts, count(t, db.SQL(), `SELECT COUNT(*) FROM `+rows), rows)
	}

	left, twice := jobsLeftBehind(t, db), 0
	for id, times := range taken(relay) {
		require.LessOrEqual(t, times, 1+left[id], "the mail %s came %d times and was left behind %d times", id, times, left[id])
		twice += times - 1
	}
	require.LessOrEqual(t, twice, kills*sendingAtOnce)
	t.Logf("%d kills left %d jobs behind, and %d mails came once more", kills, len(left), twice)
}

// count is the number that a query answers.
func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n), query)
	return n
}

// jobsLeftBehind counts how often the queue found a message's job without its process.
func jobsLeftBehind(t *testing.T, db *database.DB) map[string]int {
	t.Helper()
	query := `SELECT json_extract(args, '$.id'), json_array_length(errors) FROM river_job
		WHERE kind = 'delivery' AND errors IS NOT NULL`
	if db.Dialect() == database.Postgres {
		query = `SELECT args->>'id', array_length(errors, 1) FROM river_job WHERE kind = 'delivery' AND errors <> '{}'`
	}
	rows, err := db.SQL().QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	left := make(map[string]int)
	for rows.Next() {
		var id string
		var times int
		require.NoError(t, rows.Scan(&id, &times))
		left[id] = times
	}
	require.NoError(t, rows.Err())
	return left
}
