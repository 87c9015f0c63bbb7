package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

// migrateSQLite applies the missing migrations in one transaction. SQLite's own write lock makes other processes wait,
// which then find nothing to do. It follows SQLite's advice for changing tables
// (https://www.sqlite.org/lang_altertable.html §7): foreign keys are off, so that a new table can replace an old one,
// and all of them are checked before the commit. Hence even a migration marked NO TRANSACTION runs in this transaction.
func (db *DB) migrateSQLite(ctx context.Context) (err error) {
	conn := sql.OpenDB(migrationConnector{sqliteConnector{path: db.path}})
	conn.SetMaxOpenConns(1) // the transaction belongs to the connection, and goose asks for it several times
	conn.SetMaxIdleConns(1)
	defer func() { err = errors.Join(err, conn.Close()) }()

	if err := beginAlone(ctx, conn); err != nil {
		return err
	}
	if err := up(ctx, goose.DialectSQLite3, conn, SQLite); err != nil {
		return err // closing the connection rolls back
	}
	if err := checkForeignKeys(ctx, conn); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// beginAlone waits for the write lock until ctx ends, because another process's migrations may outlast the busy
// timeout.
func beginAlone(ctx context.Context, conn *sql.DB) error {
	for {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if !isSQLiteBusy(err) {
			return err
		}
	}
}

func checkForeignKeys(ctx context.Context, conn *sql.DB) error {
	var table string
	err := conn.QueryRowContext(ctx, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`).Scan(&table)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("a row of %s refers to one that does not exist", table)
}

// migrationConnector opens connections on which a transaction of database/sql is a savepoint, so that goose's
// transactions fit into the one around them all.
type migrationConnector struct{ sqliteConnector }

func (c migrationConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.sqliteConnector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return migrationConn{conn.(*sqliteConn)}, nil
}

type migrationConn struct{ *sqliteConn }

func (c migrationConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	if _, err := c.ExecContext(ctx, "SAVEPOINT migration", nil); err != nil {
		return nil, err
	}
	return savepoint{c}, nil
}

type savepoint struct{ conn migrationConn }

func (s savepoint) Commit() error {
	_, err := s.conn.ExecContext(context.Background(), "RELEASE migration", nil)
	return err
}

func (s savepoint) Rollback() error {
	_, err := s.conn.ExecContext(context.Background(), "ROLLBACK TO migration; RELEASE migration", nil)
	return err
}
