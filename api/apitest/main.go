package apitest

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Main runs the tests of a package in api/tests and exits. The run fails if all tests ran and a documented status of one
// of the area's operations was not seen.
func Main(m *testing.M) {
	code := databasetest.Run(m)
	if code == 0 && ranAll() {
		for _, status := range OpenAPI().unseen(ownOperations()) {
			fmt.Fprintf(os.Stderr, "FAIL: openapi.yaml documents %s, and no test of this package sees it\n", status)
			code = 1
		}
	}
	os.Exit(code)
}

// ranAll reports whether this run is of all tests.
func ranAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.bench", "test.fuzz", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}
