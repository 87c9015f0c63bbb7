package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database/tenantguard"
)

// pool sits between GORM and the connections and sees every statement, because GORM's callbacks do not see raw SQL. It
// lets the guard refuse statements, and passes those that run to an observer.
type pool struct {
	db    *sql.DB
	guard *tenantguard.Guard
	// observe is Options.Observe, or nil.
	observe func(ctx context.Context, statement string)
	// transactions are the options of a transaction whose caller states none; nil is the driver's.
	transactions *sql.TxOptions
	// refused answers one-row queries that the guard refused, because only database/sql can make a sql.Row with an error.
	refused *sql.DB
}

var (
	_ gorm.ConnPool         = (*pool)(nil)
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.ConnPool         = (*txPool)(nil)
	_ gorm.TxCommitter      = (*txPool)(nil)
)

// maxAttempts bounds how often a single statement runs that other transactions got ahead of.
const maxAttempts = 10

// again runs a single statement outside a transaction again when nothing of it was done: a stricter isolation than READ
// COMMITTED, or a deadlock, made it fail for another transaction's sake, or a pooler did not know it by its name.
func again[T any](ctx context.Context, run func() (T, error)) (result T, err error) {
	for range maxAttempts {
		result, err = run()
		var pg *pgconn.PgError
		if err == nil || ctx.Err() != nil || !errors.As(err, &pg) ||
			pg.Code != "40001" && pg.Code != "40P01" && !forgotName(pg) {
			break
		}
	}
	return result, err
}

func newPool(db *sql.DB, g *tenantguard.Guard, observe func(context.Context, string)) *pool {
	return &pool{db: db, guard: g, observe: observe, refused: sql.OpenDB(refusals{})}
}

// admit returns why a statement must not run, or passes it to the observer.
func (p *pool) admit(ctx context.Context, query string) error {
	if ctx.Value(acrossPortalsKey{}) == nil {
		if err := p.guard.Check(query); err != nil {
			return err
		}
	}
	if p.observe != nil {
		p.observe(ctx, query)
	}
	return nil
}

func (p *pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := p.admit(ctx, query); err != nil {
		return nil, err
	}
	return p.db.PrepareContext(ctx, query)
}

func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.admit(ctx, query); err != nil {
		return nil, err
	}
	return again(ctx, func() (sql.Result, error) { return p.db.ExecContext(ctx, query, args...) })
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.admit(ctx, query); err != nil {
		return nil, err
	}
	return again(ctx, func() (*sql.Rows, error) { return p.db.QueryContext(ctx, query, args...) })
}

func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := p.admit(ctx, query); err != nil {
		return p.refuse(ctx, err)
	}
	row, _ := again(ctx, func() (*sql.Row, error) {
		row := p.db.QueryRowContext(ctx, query, args...)
		return row, row.Err()
	})
	return row // with its error
}

// BeginTx opens a transaction whose statements are guarded and observed too.
func (p *pool) BeginTx(ctx context.Context, o *sql.TxOptions) (gorm.ConnPool, error) {
	if o == nil {
		o = p.transactions
	}
	tx, err := p.db.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &txPool{tx: tx, pool: p}, nil
}

// GetDBConn is how gorm.DB.DB reaches the connections.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.db, nil }

// txPool is pool inside a transaction.
type txPool struct {
	tx   *sql.Tx
	pool *pool
}

func (t *txPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := t.pool.admit(ctx, query); err != nil {
		return nil, err
	}
	return t.tx.PrepareContext(ctx, query)
}

func (t *txPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := t.pool.admit(ctx, query); err != nil {
		return nil, err
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t *txPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := t.pool.admit(ctx, query); err != nil {
		return nil, err
	}
	return t.tx.QueryContext(ctx, query, args...)
}

func (t *txPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := t.pool.admit(ctx, query); err != nil {
		return t.pool.refuse(ctx, err)
	}
	return t.tx.QueryRowContext(ctx, query, args...)
}

func (t *txPool) Commit() error   { return t.tx.Commit() }
func (t *txPool) Rollback() error { return t.tx.Rollback() }

type refusalKey struct{}

func (p *pool) refuse(ctx context.Context, reason error) *sql.Row {
	return p.refused.QueryRowContext(context.WithValue(ctx, refusalKey{}, reason), "")
}

// refusals is a driver that never connects: it fails with the reason that the context carries.
type refusals struct{}

func (refusals) Connect(ctx context.Context) (driver.Conn, error) {
	if reason, ok := ctx.Value(refusalKey{}).(error); ok {
		return nil, reason
	}
	return nil, errors.New("database: refused")
}

func (r refusals) Driver() driver.Driver { return r }

func (r refusals) Open(string) (driver.Conn, error) { return r.Connect(context.Background()) }
