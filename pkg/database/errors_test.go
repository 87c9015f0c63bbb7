package database_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// nobody is an id that no row has.
const nobody = "00000000-0000-7000-8000-000000000000"

func requireUnavailable(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	require.Equal(t, fault.Unavailable, f.Code)
	require.GreaterOrEqual(t, f.RetryAfter, time.Second)
	require.LessOrEqual(t, f.RetryAfter, 5*time.Second)
}

func TestNoRowIsErrNotFound(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		_, err := takeSession(db.From(ctx), nobody, nobody)
		require.ErrorIs(t, err, gorm.ErrRecordNotFound)
		require.ErrorIs(t, database.Err(err), database.ErrNotFound)

		var id string
		err = db.From(ctx).Raw("SELECT id FROM accounts WHERE portal_id = ?", nobody).Row().Scan(&id)
		require.ErrorIs(t, database.Err(err), database.ErrNotFound)
	})
}

func TestBrokenConstraints(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		portal, id := makePortal(t, db), uuid.NewString()
		require.NoError(t, addAccount(ctx, db, portal, id, "a@example.com"))

		err := addAccount(ctx, db, portal, uuid.NewString(), "a@example.com")
		require.True(t, database.ConflictOn(err, "email_canonical"), "%v", err)
		require.False(t, database.ConflictOn(err, "phone"), "%v", err)
		require.True(t, database.ConflictOn(fmt.Errorf("add: %w", database.Err(err)), "email_canonical"))
		require.NotContains(t, err.Error(), "a@example.com")

		err = addAccount(ctx, db, portal, id, "b@example.com")
		var conflict *database.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, map[database.Dialect]string{
			database.Postgres: "accounts_pkey",
			database.SQLite:   "accounts.portal_id, accounts.id",
		}[db.Dialect()], conflict.Constraint)
		require.False(t, database.ConflictOn(err, "email_canonical"))

		err = addAccount(ctx, db, nobody, uuid.NewString(), "c@example.com")
		require.ErrorIs(t, err, database.ErrForeignKey)
		require.False(t, database.ConflictOn(err, "portal_id"))
	})
}

// What database/sql returns itself, without GORM's translation, comes to the same.
func TestConflictOfARow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		portal := makePortal(t, db)
		var id string
		err := db.From(context.Background()).Raw(`INSERT INTO portals (id, slug, settings, version, created_at, updated_at)
			VALUES (?, ?, '{}', 1, 0, 0) RETURNING id`, uuid.NewString(), portal).Row().Scan(&id)
		require.False(t, database.ConflictOn(err, "slug"))
		require.True(t, database.ConflictOn(database.Err(err), "slug"), "%v", err)
	})
}

// Citus passes on a worker's message, with the shard's number behind the constraint's name, and leaves the field for the
// name empty.
func TestConflictWithoutAConstraintName(t *testing.T) {
	t.Parallel()
	err := database.Err(&pgconn.PgError{
		Code: "23505", Message: `duplicate key value violates unique constraint "accounts_phone_key_102026"`,
	})
	require.True(t, database.ConflictOn(err, "phone"), "%v", err)
	require.False(t, database.ConflictOn(err, "email_canonical"), "%v", err)
	var conflict *database.ConflictError
	require.ErrorAs(t, database.Err(&pgconn.PgError{Code: "23505"}), &conflict)
}

func TestDeadlineWhileWaitingForAConnection(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		for range db.Stats().MaxOpenConnections {
			tx := db.From(context.Background()).Begin()
			require.NoError(t, tx.Error)
			defer tx.Rollback()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		requireUnavailable(t, db.InTx(ctx, func(context.Context) error { return nil }))
		requireUnavailable(t, db.Ready(ctx))
	})
}

func TestCancellationStaysItself(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := db.From(ctx).Exec("SELECT 1").Error
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, fault.Internal, fault.CodeOf(err))
	})
}

func TestAnotherProcessHoldsSQLite(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, database.SQLite)
	db, other := databasetest.OpenURL(t, url), databasetest.OpenURL(t, url)
	require.NoError(t, db.From(context.Background()).Exec("PRAGMA busy_timeout = 50").Error)

	tx := other.From(context.Background()).Begin()
	require.NoError(t, tx.Error)
	defer tx.Rollback()
	requireUnavailable(t, db.InTx(context.Background(), func(context.Context) error { return nil }))
}

func TestDataExceptionKeepsTheValueToItself(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		if db.Dialect() == database.SQLite {
			return // it takes any value for any column
		}
		err := addAccount(context.Background(), db, "mia@example.com", uuid.NewString(), "x")
		require.Error(t, err)
		require.NotContains(t, database.Err(err).Error(), "mia")
		require.Contains(t, err.Error(), "22P02")
	})
}

func TestErr(t *testing.T) {
	t.Parallel()
	sqlState := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
	unavailable := []error{
		driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, sql.ErrConnDone, pgconn.ErrConnClosed,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, dial, fmt.Errorf("x: %w", dial),
		context.DeadlineExceeded, os.ErrDeadlineExceeded,
		sqlState("57P01"), sqlState("57P02"), sqlState("57P03"), sqlState("08006"), sqlState("08003"),
		sqlState("53300"), sqlState("53200"), sqlState("40001"), sqlState("40P01"), sqlState("55P03"), sqlState("57014"),
		sqlState("25006"),
	}
	for _, err := range unavailable {
		translated := database.Err(err)
		requireUnavailable(t, translated)
		require.ErrorIs(t, translated, err)
		require.Same(t, translated, database.Err(translated))
	}

	other := []error{errors.New("x"), sqlState("42601"), sqlState("22P02"), sqlState(""), sql.ErrTxDone}
	for _, err := range other {
		translated := database.Err(err)
		require.ErrorIs(t, translated, err)
		require.Equal(t, fault.Internal, fault.CodeOf(translated))
		require.Same(t, translated, database.Err(translated))
	}

	require.NoError(t, database.Err(nil))
	require.Equal(t, context.Canceled, database.Err(context.Canceled))
	locked := fault.New(fault.Unavailable)
	require.Same(t, locked, database.Err(locked))
	notFound := database.Err(sql.ErrNoRows)
	require.Equal(t, notFound, database.Err(notFound))
}
