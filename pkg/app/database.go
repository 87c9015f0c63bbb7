package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// databaseWait is how long OpenDatabase waits for a database that does not answer yet.
const databaseWait = 30 * time.Second

// OpenDatabase opens the database and brings it up to this version. It waits for one that is still starting.
func OpenDatabase(ctx context.Context, o database.Options) (*database.DB, error) {
	db, err := database.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := untilAvailable(ctx, o.Logger, db.Migrate); err != nil {
		return nil, errors.Join(fmt.Errorf("database: %w", err), db.Close())
	}
	return db, nil
}

// untilAvailable calls begin again while the database is unavailable, for as long as databaseWait.
func untilAvailable(ctx context.Context, log *slog.Logger, begin func(context.Context) error) error {
	for begun := time.Now(); ; {
		err := begin(ctx)
		if fault.CodeOf(err) != fault.Unavailable || time.Since(begun) > databaseWait || ctx.Err() != nil {
			return err
		}
		log.WarnContext(ctx, "the database does not answer yet", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
