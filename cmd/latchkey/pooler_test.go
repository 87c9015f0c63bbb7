package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// Through PgBouncer in transaction mode the program works without being told about it, and its mail is sent.
func TestServeBehindPgBouncer(t *testing.T) {
	t.Parallel()
	databasetest.WithPgBouncer(t, 5, func(t *testing.T, url string) {
		relay := smtptest.New(t, smtptest.Options{})
		succeed(t, "migrate", "--database-url", url)
		succeed(t, "portals", "create", "acme", "--name", "Acme", "--database-url", url)
		variables := append(keyed(url, keyring.Generate()), "LATCHKEY_SMTP_URL="+relay.URL())
		instances := []*process{serve(t, variables), serve(t, variables)}
		requireRegistrations(t, instances, 12)
		for _, p := range instances {
			require.Equal(t, http.StatusOK, p.call(t, http.MethodGet, "/readyz", "", "").status)
			require.NotContains(t, p.log.String(), "SQLSTATE")
		}
	})
}

// requireRegistrations registers people at once and waits until the mail of each is sent.
func requireRegistrations(t *testing.T, instances []*process, people int) {
	t.Helper()
	ids := make([]string, people)
	var registering sync.WaitGroup
	for i := range ids {
		registering.Go(func() {
			var err error
			ids[i], err = deliveryIn(instances[i%len(instances)].tryToRegister(t.Context(), fmt.Sprintf("p%d@example.com", i)))
			if err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	registering.Wait()
	require.False(t, t.Failed())
	for i, id := range ids {
		instances[i%len(instances)].awaitStatus(t, id, "sent", patience)
	}
}

// A role that may have no more connections than LATCHKEY_DATABASE_MAX_CONNS is enough, and a start that finds them all
// taken waits.
func TestServeWithinTheConnectionsOfARole(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, superuser string) {
		if superuser[:6] == "sqlite" {
			return // it has one connection, and no roles
		}
		const limit = 3
		limited, role := limitedRole(t, superuser, limit)
		succeed(t, "portals", "create", "acme", "--name", "Acme", "--database-url", limited)
		relay := smtptest.New(t, smtptest.Options{})
		variables := append(keyed(limited, keyring.Generate()), "LATCHKEY_SMTP_URL="+relay.URL(),
			fmt.Sprintf("LATCHKEY_DATABASE_MAX_CONNS=%d", limit))

		var taken []*pgx.Conn
		for range limit {
			conn, err := pgx.Connect(t.Context(), limited)
			require.NoError(t, err)
			taken = append(taken, conn)
		}
		p := launch(t, t.TempDir(), variables, "serve")
		p.awaitLog(t, "the database does not answer yet")
		require.NoError(t, taken[0].Close(t.Context())) // enough to listen, and too few for the queue
		p.listening(t)
		time.Sleep(time.Second)
		for _, conn := range taken[1:] {
			require.NoError(t, conn.Close(t.Context()))
		}

		watching, end := context.WithCancel(t.Context())
		most := make(chan int)
		go func() { most <- mostConnections(watching, t, superuser, role) }()
		requireRegistrations(t, []*process{p}, 24)
		end()
		require.LessOrEqual(t, <-most, limit)
		p.stop(t)
	})
}

// limitedRole makes a role that owns the database and may have that many connections.
func limitedRole(t *testing.T, superuser string, limit int) (limited, role string) {
	t.Helper()
	admin := databasetest.OpenURL(t, superuser)
	u, err := url.Parse(superuser)
	require.NoError(t, err)
	role = "limited_" + u.Path[1:]
	for _, statement := range []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN CONNECTION LIMIT %d", role, limit),
		fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", u.Path[1:], role),
	} {
		_, err := admin.SQL().ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		for _, statement := range []string{"REASSIGN OWNED BY " + role + " TO postgres", "DROP ROLE " + role} {
			_, err := databasetest.OpenURL(t, superuser).SQL().ExecContext(context.Background(), statement)
			require.NoError(t, err)
		}
	})
	query := u.Query()
	query.Set("user", role)
	u.User, u.RawQuery = nil, query.Encode()
	return u.String(), role
}

// mostConnections returns the most connections that a role had until ctx ended.
func mostConnections(ctx context.Context, t *testing.T, superuser, role string) (most int) {
	db, err := database.Open(context.Background(), database.Options{URL: superuser})
	if err != nil {
		t.Errorf("%v", err)
		return 0
	}
	defer func() { _ = db.Close() }()
	for ctx.Err() == nil {
		var n int
		err := db.SQL().QueryRowContext(context.Background(),
			"SELECT count(*) FROM pg_stat_activity WHERE usename = $1", role).Scan(&n)
		if err != nil {
			t.Errorf("%v", err)
			return 0
		}
		most = max(most, n)
	}
	return most
}
