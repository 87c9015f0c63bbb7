package databasetest

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the system account that Postgres runs as, where that is not our own: it refuses to run as root.
type account struct{ uid, gid int }

// serverAccount picks an account for the server. nil means the account of the tests.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil {
			return &account{uid, gid}, nil
		}
	}
	return nil, errors.New("postgres cannot run as root, and there is neither an account postgres nor nobody")
}

// own makes the account the owner of the directory and lets everyone traverse it, because tests may run as another
// user.
func (a *account) own(dir string) error {
	if a == nil {
		return nil
	}
	return errors.Join(os.Chown(dir, a.uid, a.gid), os.Chmod(dir, 0o755)) //nolint:gosec // its data is another directory
}

func (a *account) processAttributes() *syscall.SysProcAttr {
	attributes := diesWithParent()
	if a != nil {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}

// dirPrefix begins the name of a cluster's directory, before the id of the test binary that it serves.
const dirPrefix = "latchkey-postgres-"

// sweepOrphans removes the directories of test binaries that were killed.
func sweepOrphans() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		id, err := strconv.Atoi(pid)
		if err == nil && errors.Is(syscall.Kill(id, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another binary may be at it too
		}
	}
}
