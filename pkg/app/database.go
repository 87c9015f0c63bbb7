package app

import (
	"context"
	"errors"
	"fmt"
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
	for begun := time.Now(); ; {
		if err = db.Migrate(ctx); err == nil {
			return db, nil
		}
		if fault.CodeOf(err) != fault.Unavailable || time.Since(begun) > databaseWait || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("database: %w", err), db.Close())
		}
		o.Logger.WarnContext(ctx, "the database does not answer yet", "error", err)
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("database: %w", err), db.Close())
		case <-time.After(time.Second):
		}
	}
}
