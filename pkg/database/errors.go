package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

var (
	// ErrNotFound means that no row fits.
	ErrNotFound = errors.New("database: not found")
	// ErrForeignKey means that a row refers to one that does not exist, or is still referred to.
	ErrForeignKey = errors.New("database: foreign key broken")
)

const (
	// retryBusy is the Retry-After where the database answered, but could not do it now.
	retryBusy = time.Second
	// retryAway is the Retry-After where it did not answer: a restart or failover takes a few seconds.
	retryAway = 3 * time.Second
)

// ConflictError means that a row with the same unique values exists.
type ConflictError struct {
	// Constraint is the name of the constraint or index on Postgres; on SQLite its columns, as "table.a, table.b".
	Constraint string
	cause      error
}

func (e *ConflictError) Error() string { return "database: conflict on " + e.Constraint }

func (e *ConflictError) Unwrap() error { return e.cause }

// ConflictOn reports whether err is a conflict in a unique index over the column. On Postgres the name of an index
// contains the whole names of its columns: accounts_email_canonical_key.
func ConflictOn(err error, column string) bool {
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		return false
	}
	if strings.Contains(conflict.Constraint, ".") {
		return slices.ContainsFunc(strings.Split(conflict.Constraint, ", "), func(c string) bool {
			return strings.HasSuffix(c, "."+column)
		})
	}
	return strings.Contains("_"+conflict.Constraint+"_", "_"+column+"_")
}

// statementError is any other failure of a statement.
type statementError struct{ cause error }

// Error leaves out the text of data exceptions (SQLSTATE class 22), because it repeats the value: a person's data.
func (e *statementError) Error() string {
	var pg *pgconn.PgError
	if errors.As(e.cause, &pg) && strings.HasPrefix(pg.Code, "22") {
		return "database: the data does not fit (SQLSTATE " + pg.Code + ")"
	}
	return "database: " + e.cause.Error()
}

func (e *statementError) Unwrap() error { return e.cause }

// Err translates the errors of the drivers and of GORM. Translating twice changes nothing.
//
//   - nil, context.Canceled and the error for a database that is not UTF8 stay themselves
//   - no row is ErrNotFound, a unique index broken *ConflictError, a foreign key ErrForeignKey
//   - the fault unavailable, with a Retry-After: no connection or a lost one, a server that starts, stops or is full, a
//     wait for the pool or a statement that the context's deadline ended, a lock or a serialization that another
//     transaction won, SQLite busy or unable to use its file
//   - anything else is wrapped as it is, for the log
func Err(err error) error {
	var translated *fault.Error
	var conflict *ConflictError
	var other *statementError
	var encoding encodingError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &encoding):
		return err
	case errors.As(err, &translated), errors.As(err, &conflict), errors.As(err, &other),
		errors.Is(err, ErrNotFound), errors.Is(err, ErrForeignKey), errors.Is(err, ErrPortalNotBound):
		return err
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, gorm.ErrRecordNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return unavailable(err, retryBusy)
	}

	var connect *pgconn.ConnectError
	if errors.As(err, &connect) { // before PgError: it wraps the PgError of a server that refuses the connection
		return unavailable(err, retryAway)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresError(err, pg)
	}
	var lite *gosqlite.Error
	if errors.As(err, &lite) {
		return sqliteError(err, lite)
	}
	if connectionLost(err) {
		return unavailable(err, retryAway)
	}
	return &statementError{err}
}

func unavailable(err error, retryAfter time.Duration) error {
	return fault.Wrap(fault.Unavailable, err).After(retryAfter)
}

// postgresError goes by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
func postgresError(err error, pg *pgconn.PgError) error {
	class := pg.Code[:min(2, len(pg.Code))]
	switch {
	case pg.Code == "23505": // unique_violation
		return &ConflictError{Constraint: constraintOf(pg), cause: err}
	case pg.Code == "23503": // foreign_key_violation
		return fmt.Errorf("%w: %s: %w", ErrForeignKey, pg.ConstraintName, err)
	case slices.Contains([]string{
		"57014", // query_canceled, by statement_timeout
		"55P03", // lock_not_available, by lock_timeout
		"40001", // serialization_failure
		"40P01", // deadlock_detected
	}, pg.Code), forgotName(pg):
		return unavailable(err, retryBusy)
	case cannotServe(pg), class == "08", class == "53": // connection exception, insufficient resources
		return unavailable(err, retryAway)
	}
	return &statementError{err}
}

// constraintOf names the constraint that a row broke. Citus passes on a worker's message without the field for the
// name, so it is read from the message then: `duplicate key value violates unique constraint
// "accounts_phone_key_102026"`, where the shard's number follows the name.
func constraintOf(pg *pgconn.PgError) string {
	if pg.ConstraintName != "" {
		return pg.ConstraintName
	}
	_, name, _ := strings.Cut(pg.Message, `"`)
	name, _, _ = strings.Cut(name, `"`)
	return name
}

// sqliteError goes by result code: https://www.sqlite.org/rescode.html
func sqliteError(err error, lite *gosqlite.Error) error {
	switch lite.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return &ConflictError{Constraint: brokenColumns(lite.Error()), cause: err}
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", ErrForeignKey, err)
	}
	switch primaryCode(lite) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return unavailable(err, retryBusy)
	}
	return &statementError{err}
}

// primaryCode drops the extension from an extended result code.
func primaryCode(err *gosqlite.Error) int { return err.Code() & 0xff }

func isSQLiteBusy(err error) bool {
	var lite *gosqlite.Error
	return errors.As(err, &lite) && primaryCode(lite) == sqlite3.SQLITE_BUSY
}

// brokenColumns reads the columns out of "…: UNIQUE constraint failed: accounts.portal_id, accounts.id (1555)". For an
// index over an expression SQLite puts the name there instead: "index 'name'".
func brokenColumns(text string) string {
	_, columns, found := strings.Cut(text, "constraint failed: UNIQUE constraint failed: ")
	if !found {
		return text
	}
	if end := strings.LastIndex(columns, " ("); end >= 0 {
		columns = columns[:end]
	}
	return strings.TrimSuffix(strings.TrimPrefix(columns, "index '"), "'")
}

// connectionLost reports whether the network, not the server, failed the statement.
func connectionLost(err error) bool {
	for _, lost := range []error{
		driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	var network *net.OpError
	return err.Error() == "sql: database is closed" || // which database/sql keeps to itself
		errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}
