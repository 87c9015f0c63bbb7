package database_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// migrateVariable makes the test binary a process that migrates the database named there, and nothing else.
const migrateVariable = "LATCHKEY_TEST_MIGRATE"

func TestMain(m *testing.M) {
	if url := os.Getenv(migrateVariable); url != "" {
		if err := migrateOnce(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	databasetest.Main(m)
}

// migrateOnce does what a starting program does.
func migrateOnce(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := database.Open(ctx, database.Options{URL: url, MaxConns: 2})
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if err := db.Ready(ctx); err != nil {
		return err
	}
	return db.Close()
}
