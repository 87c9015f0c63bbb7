package database_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestInTxCommits(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		portal := makePortal(t, db)
		err := db.InTx(context.Background(), func(ctx context.Context) error {
			_, inTx := database.SQLTx(db.From(ctx))
			require.True(t, inTx)
			return addAccount(ctx, db, portal, uuid.NewString(), "a@example.com")
		})
		require.NoError(t, err)
		require.Equal(t, 1, countAccounts(t, db, portal))

		_, inTx := database.SQLTx(db.From(context.Background()))
		require.False(t, inTx)
	})
}

func TestInTxRollsBack(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	add := func(ctx context.Context, t *testing.T, db *database.DB, portal string) {
		require.NoError(t, addAccount(ctx, db, portal, uuid.NewString(), uuid.NewString()))
	}
	for name, run := range map[string]func(t *testing.T, db *database.DB, portal string){
		"on an error": func(t *testing.T, db *database.DB, portal string) {
			err := db.InTx(context.Background(), func(ctx context.Context) error {
				add(ctx, t, db, portal)
				return refused
			})
			require.ErrorIs(t, err, refused)
		},
		"on a panic, which goes on": func(t *testing.T, db *database.DB, portal string) {
			require.PanicsWithValue(t, "oh", func() {
				_ = db.InTx(context.Background(), func(ctx context.Context) error {
					add(ctx, t, db, portal)
					panic("oh")
				})
			})
		},
		"outer and inner on the inner's error": func(t *testing.T, db *database.DB, portal string) {
			err := db.InTx(context.Background(), func(ctx context.Context) error {
				add(ctx, t, db, portal)
				return db.InTx(ctx, func(ctx context.Context) error {
					add(ctx, t, db, portal)
					return refused
				})
			})
			require.ErrorIs(t, err, refused)
		},
		"even if the outer swallows the inner's error": func(t *testing.T, db *database.DB, portal string) {
			err := db.InTx(context.Background(), func(ctx context.Context) error {
				add(ctx, t, db, portal)
				_ = db.InTx(ctx, func(context.Context) error { return refused })
				return nil
			})
			require.ErrorIs(t, err, refused)
		},
		"the inner on the outer's error": func(t *testing.T, db *database.DB, portal string) {
			err := db.InTx(context.Background(), func(ctx context.Context) error {
				require.NoError(t, db.InTx(ctx, func(ctx context.Context) error {
					add(ctx, t, db, portal)
					return nil
				}))
				return refused
			})
			require.ErrorIs(t, err, refused)
		},
		"when the caller goes away": func(t *testing.T, db *database.DB, portal string) {
			ctx, cancel := context.WithCancel(context.Background())
			err := db.InTx(ctx, func(ctx context.Context) error {
				add(ctx, t, db, portal)
				cancel()
				return nil
			})
			require.ErrorIs(t, err, context.Canceled)
		},
		"when the time is over": func(t *testing.T, db *database.DB, portal string) {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			err := db.InTx(ctx, func(ctx context.Context) error {
				add(ctx, t, db, portal)
				<-ctx.Done()
				return nil
			})
			require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				portal := makePortal(t, db)
				run(t, db, portal)
				require.Zero(t, countAccounts(t, db, portal))
				require.NoError(t, addAccount(context.Background(), db, portal, uuid.NewString(), "after@example.com"))
			})
		})
	}
}

func TestInTxSeesItsOwnWrites(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		portal, id := makePortal(t, db), uuid.NewString()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := db.InTx(ctx, func(ctx context.Context) error {
			if err := addAccount(ctx, db, portal, id, "a@example.com"); err != nil {
				return err
			}
			var email string
			return db.From(ctx).Raw("SELECT email FROM accounts WHERE portal_id = ? AND id = ?", portal, id).Row().Scan(&email)
		})
		require.NoError(t, err)
	})
}

func TestTransactionsOfTwoDatabasesAreApart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		other := databasetest.Open(t, db.Dialect())
		portal := makePortal(t, other)
		refused := errors.New("refused")
		err := db.InTx(context.Background(), func(ctx context.Context) error {
			require.NoError(t, addAccount(ctx, other, portal, uuid.NewString(), "a@example.com"))
			return refused
		})
		require.ErrorIs(t, err, refused)
		require.Equal(t, 1, countAccounts(t, other, portal))
	})
}
