package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// transactionKey finds a database's transaction in a context; two databases in one process have one each.
type transactionKey struct{ db *DB }

type transaction struct {
	gorm *gorm.DB
	// failed is the error of a nested InTx. Its work cannot be rolled back alone, so the whole transaction is.
	failed error
}

func (db *DB) transaction(ctx context.Context) *transaction {
	tx, _ := ctx.Value(transactionKey{db}).(*transaction)
	return tx
}

// InTx runs fn in a transaction that the context given to fn carries, and commits if fn returns nil. An error of fn, a
// panic or the end of ctx rolls everything back. InTx inside InTx joins the outer transaction. When the inner one
// fails, the outer one can no longer commit, even if its fn ignores the error.
//
// Errors: fn's own as they are; unavailable where the transaction could not begin or commit.
func (db *DB) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	if outer := db.transaction(ctx); outer != nil {
		err := fn(ctx)
		if err != nil && outer.failed == nil {
			outer.failed = err
		}
		return err
	}

	tx := &transaction{gorm: db.gorm.WithContext(ctx).Begin()}
	if err := tx.gorm.Error; err != nil {
		return Err(err)
	}
	done := false
	defer func() {
		if !done { // fn panicked, or a test's FailNow ended the goroutine
			tx.gorm.Rollback()
		}
	}()

	err := fn(context.WithValue(ctx, transactionKey{db}, tx))
	done = true
	switch {
	case err != nil:
		tx.gorm.Rollback() // fails only where the connection is gone, which rolls back as well
		return err
	case tx.failed != nil:
		tx.gorm.Rollback()
		return fmt.Errorf("database: a nested transaction failed: %w", tx.failed)
	}

	err = tx.gorm.Commit().Error
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = ctx.Err() // database/sql rolled back when ctx ended
	}
	return Err(err)
}

// SQLTx returns the database/sql transaction behind the *gorm.DB that From returned inside InTx, for libraries that
// take one. Its statements are neither guarded nor observed.
func SQLTx(tx *gorm.DB) (*sql.Tx, bool) {
	if tx == nil || tx.Statement == nil {
		return nil, false
	}
	t, ok := tx.Statement.ConnPool.(*txPool)
	if !ok {
		return nil, false
	}
	return t.tx, true
}
