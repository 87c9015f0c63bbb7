package databasetest

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	// urlVariable names a cluster to use: a superuser's URL.
	urlVariable = "LATCHKEY_TEST_POSTGRES_URL"
	// wantVariable set to "required" makes a run without Postgres a failure.
	wantVariable = "LATCHKEY_TEST_POSTGRES"
)

// inMain is set while Main runs the tests: only then will a cluster that they start be stopped.
var inMain atomic.Bool

// leftOut are the tests that did not run on Postgres or PgBouncer, by the reason.
var leftOut struct {
	sync.Mutex
	names map[string][]string
}

func leaveOut(name string) { leaveOutOf(whyNoPostgres, name) }

func leaveOutOf(why, name string) {
	leftOut.Lock()
	defer leftOut.Unlock()
	if leftOut.names == nil {
		leftOut.names = map[string][]string{}
	}
	leftOut.names[why] = append(leftOut.names[why], name)
}

// Main runs a package's tests, stops the Postgres that they started, and exits the process.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main without the exit: it gives the status to exit with.
func Run(m *testing.M) (code int) {
	if os.Getenv(wantVariable) == "required" && !postgresFound() {
		fmt.Fprintf(os.Stderr, "%s=required, but %s\n", wantVariable, whyNoPostgres)
		return 1
	}
	inMain.Store(true)
	code = m.Run()
	inMain.Store(false)
	if err := stopShared(); err != nil {
		fmt.Fprintf(os.Stderr, "stop the tests' Postgres: %v\n", err)
		code = max(code, 1)
	}
	sayLeftOut()
	return code
}

const whyNoPostgres = "there is no Postgres: " + urlVariable + " is not set, and initdb is neither in PATH nor in " +
	programDirs

// sayLeftOut prints which tests did not run. go test drops the output of a passing package, so the line goes to the go
// command's own stderr too.
func sayLeftOut() {
	leftOut.Lock()
	defer leftOut.Unlock()
	for why, names := range leftOut.names {
		slices.Sort(names)
		without := "on SQLite alone"
		if why == whyNoPgBouncer {
			without = "without PgBouncer"
		}
		line := fmt.Sprintf("%s: %d tests ran %s, because %s\n", packageName(), len(names), without, why)
		fmt.Fprintf(os.Stderr, "%sleft out: %s\n", line, strings.Join(names, ", "))
		tellGoCommand(line)
	}
}

func packageName() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" {
		return strings.TrimSuffix(info.Path, ".test")
	}
	return os.Args[0]
}
