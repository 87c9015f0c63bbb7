package databasetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// programDirs is where Debian and its kin keep the server's programs, which they leave out of PATH.
const programDirs = "/usr/lib/postgresql/*/bin"

// postgresFound reports whether this run has a Postgres.
func postgresFound() bool { return os.Getenv(urlVariable) != "" || findPrograms() != "" }

// findPrograms gives the directory of the newest initdb and postgres, or "".
var findPrograms = sync.OnceValue(func() string {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if resolved, err := filepath.EvalSymlinks(initdb); err == nil && hasPrograms(filepath.Dir(resolved)) {
			return filepath.Dir(resolved)
		}
	}
	dirs, err := filepath.Glob(programDirs)
	if err != nil {
		return ""
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !hasPrograms(dir) })
	if len(dirs) == 0 {
		return ""
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return cmp.Compare(majorVersion(a), majorVersion(b)) })
})

func hasPrograms(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// majorVersion reads the 15 of /usr/lib/postgresql/15/bin.
func majorVersion(dir string) int {
	version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return version
}

// initialize makes an empty cluster in dir. Its superuser is postgres, whom it believes without a password.
func initialize(dir string, as *account) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	initdb := filepath.Join(findPrograms(), "initdb")
	cmd := exec.CommandContext(ctx, initdb, "--pgdata", dir, //nolint:gosec // this machine's own
		"--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Dir = filepath.Dir(dir)
	cmd.SysProcAttr = as.processAttributes()
	runtime.LockOSThread() // the kernel would end initdb if this thread ended
	defer runtime.UnlockOSThread()
	if output, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("initdb: %w", err), errors.New(strings.TrimSpace(string(output))))
	}
	return nil
}
