package databasetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// shared is the cluster that all tests of this binary use, once one of them asked.
var shared struct {
	sync.Mutex
	url     string
	cluster *Cluster // nil where the cluster is not ours to stop
}

// sharedURL gives a superuser's URL of the shared cluster, which it starts if need be.
func sharedURL() (string, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.url != "" {
		return shared.url, nil
	}
	if given := os.Getenv(urlVariable); given != "" {
		shared.url = given
		return given, nil
	}
	cluster, err := newCluster(overSocket)
	if err != nil {
		return "", err
	}
	shared.cluster, shared.url = cluster, cluster.URL
	return shared.url, nil
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		return nil
	}
	return shared.cluster.remove()
}

// postgresURL makes a database in the shared cluster and drops it when the test ends.
func postgresURL(tb testing.TB, migrated bool) string {
	tb.Helper()
	if !inMain.Load() {
		tb.Fatal("the package needs func TestMain(m *testing.M) { databasetest.Main(m) }, or its Postgres is never stopped")
	}
	cluster, err := sharedURL()
	if err != nil {
		tb.Fatalf("no Postgres: %v", err)
	}
	name := "lk_" + strings.ToLower(rand.Text())
	create := "CREATE DATABASE " + name
	if migrated {
		template, err := migratedTemplate(cluster)
		if err != nil {
			tb.Fatalf("make the Postgres template: %v", err)
		}
		create += " TEMPLATE " + template
	}
	if err := administer(cluster, create); err != nil {
		tb.Fatalf("make the test's database: %v", err)
	}
	tb.Cleanup(func() {
		if err := administer(cluster, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop the test's database: %v", err)
		}
	})
	return onDatabase(cluster, name)
}

// WithEncoding makes a blank database of another encoding in the cluster of a database, and returns its URL.
func WithEncoding(tb testing.TB, url, encoding string) string {
	tb.Helper()
	name := "lk_" + strings.ToLower(rand.Text())
	create := "CREATE DATABASE " + name + " ENCODING '" + encoding + "' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
	if err := administer(url, create); err != nil {
		tb.Fatalf("make a database in %s: %v", encoding, err)
	}
	tb.Cleanup(func() {
		if err := administer(url, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop the database in %s: %v", encoding, err)
		}
	})
	return onDatabase(url, name)
}

// templates are the templates known to be there, by cluster.
var templates sync.Map

// migratedTemplate gives the name of a migrated database to copy, and makes it if this schema has none in the cluster.
// Test binaries that share a cluster make it once: an advisory lock keeps them apart. It is built under another name,
// so that nobody takes one whose builder was killed.
func migratedTemplate(cluster string) (string, error) {
	once, _ := templates.LoadOrStore(cluster, sync.OnceValues(func() (string, error) { return buildTemplate(cluster) }))
	return once.(func() (string, error))()
}

func buildTemplate(cluster string) (name string, err error) {
	name = "latchkey_template_" + database.Fingerprint(database.Postgres)
	building := name + "_building"
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, onDatabase(cluster, "postgres"))
	if err != nil {
		return "", err
	}
	defer func() {
		if closed := conn.Close(ctx); err == nil { // ends the session, and the lock with it
			err = closed
		}
	}()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", err
	}
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return name, err
	}
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + building + " WITH (FORCE)",
		"CREATE DATABASE " + building,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return "", err
		}
	}
	if err := migrate(ctx, onDatabase(cluster, building)); err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+building+" RENAME TO "+name)
	return name, err
}

// administer runs one statement in the cluster's maintenance database.
func administer(cluster, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, onDatabase(cluster, "postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	if closed := conn.Close(ctx); err == nil {
		err = closed
	}
	return err
}

// onDatabase gives the URL of another database in the cluster.
func onDatabase(cluster, name string) string {
	u, err := url.Parse(cluster)
	if err != nil {
		panic(fmt.Sprintf("%s is not a URL", urlVariable)) // not its text, which holds a password
	}
	u.Path = "/" + name
	return u.String()
}
