package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	gosqlite "github.com/glebarez/go-sqlite"
)

// openSQLite opens the file with one connection, which gives the most writes. It creates the file unless it must exist.
func openSQLite(ctx context.Context, path string, mustExist bool) (*sql.DB, error) {
	prepare := makeSQLiteFile
	if mustExist {
		prepare = requireSQLiteFile
	}
	if err := prepare(path); err != nil {
		return nil, err
	}

	db := sql.OpenDB(sqliteConnector{path: path, foreignKeys: true})
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), db.Close())
	}
	return db, nil
}

func makeSQLiteFile(path string) error {
	// SQLite gives its other files (-wal, -shm) the permissions of this one.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

// requireSQLiteFile refuses an empty file too, because opening a database there would write its first page.
func requireSQLiteFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		return noDatabaseError(path)
	case err != nil:
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

// sqliteConnector opens connections with the settings that SQLite does not keep in the file.
type sqliteConnector struct {
	path        string
	foreignKeys bool
}

// busyTimeout is how long a statement waits for another process's write lock. It is less than the 5 s within which
// callers get their answer.
const busyTimeout = 4 * time.Second

func (c sqliteConnector) dsn() string {
	foreignKeys := 0
	if c.foreignKeys {
		foreignKeys = 1
	}
	query := url.Values{
		// A connection never makes the file: openSQLite does, once, or refuses to.
		"mode": {"rw"},
		// A transaction that reads first and writes later would fail at once when another process wrote in between.
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"journal_mode(WAL)",
			// What was answered survives a power cut.
			"synchronous(FULL)",
			fmt.Sprintf("foreign_keys(%d)", foreignKeys),
		},
	}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(c.path), OmitHost: true, RawQuery: query.Encode()}
	return file.String()
}

// Connect opens a connection. Changing an empty file to WAL needs it alone and does not wait for that, so processes
// that start together try again.
func (c sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	deadline := time.Now().Add(busyTimeout)
	for {
		conn, err := c.Driver().Open(c.dsn())
		if err == nil {
			return newSQLiteConn(conn)
		}
		if !isSQLiteBusy(err) || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c sqliteConnector) Driver() driver.Driver { return new(gosqlite.Driver) }

// sqliteConn runs each statement to its end, whatever happens to the context. The driver would interrupt, but a
// cancellation at the wrong moment makes it report success for a statement that never ran, or interrupt the next
// caller's. database/sql still honours the context while it waits for the connection, and between rows.
type sqliteConn struct {
	driver.Conn
	execer   driver.ExecerContext
	queryer  driver.QueryerContext
	beginner driver.ConnBeginTx
}

func newSQLiteConn(conn driver.Conn) (*sqliteConn, error) {
	execer, canExec := conn.(driver.ExecerContext)
	queryer, canQuery := conn.(driver.QueryerContext)
	beginner, canBegin := conn.(driver.ConnBeginTx)
	if !canExec || !canQuery || !canBegin {
		return nil, errors.Join(errors.New("sqlite: the driver lacks contexts"), conn.Close())
	}
	return &sqliteConn{Conn: conn, execer: execer, queryer: queryer, beginner: beginner}, nil
}

func (c *sqliteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.execer.ExecContext(context.WithoutCancel(ctx), query, args)
}

func (c *sqliteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.queryer.QueryContext(context.WithoutCancel(ctx), query, args)
}

func (c *sqliteConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.beginner.BeginTx(ctx, o)
}

// Ping reads the file.
func (c *sqliteConn) Ping(ctx context.Context) error {
	_, err := c.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema", nil)
	return err
}
