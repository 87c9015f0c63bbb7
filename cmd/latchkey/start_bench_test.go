package main

import (
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// BenchmarkStart starts the real program on a migrated database, again and again. Its figures: the median
// time from the start of the process to its first healthy answer, its memory after that answer, and the size of the
// binary without symbols.
func BenchmarkStart(b *testing.B) {
	for _, dialect := range databasetest.Dialects() {
		b.Run(string(dialect), func(b *testing.B) {
			variables := keyed(databasetest.URL(b, dialect), keyring.Generate())
			serve(b, variables).stop(b) // makes the installation, and the binary
			var took []time.Duration
			var idle []float64
			for b.Loop() {
				begun := time.Now()
				p := serve(b, variables)
				a := p.call(b, http.MethodGet, "/healthz", "", "")
				took = append(took, time.Since(begun))
				require.Equal(b, http.StatusOK, a.status)
				idle = append(idle, p.memory(b, "VmRSS"))
				p.stop(b)
			}
			slices.Sort(took)
			slices.Sort(idle)
			program, err := binary()
			require.NoError(b, err)
			info, err := os.Stat(program)
			require.NoError(b, err)
			b.ReportMetric(0, "ns/op") // it has the stop in it
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "start-ms")
			b.ReportMetric(idle[len(idle)/2], "idle-MiB")
			b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
		})
	}
}
