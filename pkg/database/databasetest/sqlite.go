package databasetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// sqliteTemplate is a migrated database's file; a copy of it is made in a moment, where migrating takes long.
var sqliteTemplate = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "latchkey-sqlite-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if removed := os.RemoveAll(dir); err == nil {
			err = removed
		}
	}()
	path := filepath.Join(dir, "template.db")
	if err := migrate(context.Background(), "sqlite:"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // made above
})

func sqliteURL(tb testing.TB, migrated bool) string {
	tb.Helper()
	path := filepath.Join(sqliteDir(tb), "latchkey.db")
	if migrated {
		template, err := sqliteTemplate()
		if err != nil {
			tb.Fatalf("make the SQLite template: %v", err)
		}
		if err := os.WriteFile(path, template, 0o600); err != nil {
			tb.Fatalf("copy the SQLite template: %v", err)
		}
	}
	return "sqlite:" + path
}

// memoryDir is a file system in memory, where the system has one. SQLite waits for the disk at every commit, and tests
// that run at once would wait for each other.
const memoryDir = "/dev/shm"

func sqliteDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(memoryDir, "latchkey-test-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove a SQLite database: %v", err)
		}
	})
	return dir
}
