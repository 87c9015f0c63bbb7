package databasetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// keptUnused is how long prepared files are kept that no test uses.
const keptUnused = 7 * 24 * time.Hour

// preparedDir is where the files of a stopped cluster are kept, with the migrated template in it: a copy of them is
// made in a moment, where initdb and the migrations take a second of every test binary. "" where the user has no cache.
func preparedDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	version := strconv.Itoa(majorVersion(findPrograms()))
	return filepath.Join(cache, "latchkey-tests", "postgres-"+version+"-"+database.Fingerprint(database.Postgres))
}

// prepareData fills the cluster's data directory: with a copy of the prepared one, which the first caller makes.
func (c *Cluster) prepareData() error {
	prepared := preparedDir()
	if prepared == "" {
		return initialize(c.data(), c.as)
	}
	if err := prepareOnce(prepared); err != nil {
		return fmt.Errorf("prepare a cluster to copy: %w", err)
	}
	return copyData(prepared, c.data())
}

// prepareOnce makes the prepared files unless they exist. A lock keeps other test binaries waiting meanwhile.
func prepareOnce(prepared string) (err error) {
	if err := os.MkdirAll(filepath.Dir(prepared), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(prepared+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in our own cache
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // which also releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	now := time.Now()
	if err := os.Chtimes(prepared, now, now); !errors.Is(err, os.ErrNotExist) {
		return err // it exists, and is marked as used
	}
	if err := removeUnused(filepath.Dir(prepared), now.Add(-keptUnused)); err != nil {
		return err
	}
	c, err := initializedCluster()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.remove()) }()
	if err := c.start(); err != nil {
		return err
	}
	if _, err := buildTemplate(c.URL); err != nil {
		return err
	}
	if err := c.stop(); err != nil {
		return err
	}
	// Another name until it is whole: the binary may be killed while it copies.
	building := prepared + ".building"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := copyData(c.data(), building); err != nil {
		return err
	}
	return os.Rename(building, prepared)
}

// removeUnused deletes the prepared files that no test has used since a time: those of other migrations.
func removeUnused(dir string, since time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() && info.ModTime().Before(since) {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// initializedCluster is a cluster that initdb made, which does not run yet.
func initializedCluster() (c *Cluster, err error) {
	if c, err = newDir(); err == nil {
		err = initialize(c.data(), c.as)
	}
	if err == nil {
		err = c.chooseAddress(overSocket)
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// copyData copies a data directory with its owner and its permissions.
func copyData(from, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, "cp", "-Rp", from, to).CombinedOutput() //nolint:gosec // of our own making
	if err != nil {
		return fmt.Errorf("cp: %w: %s", err, output)
	}
	return nil
}
