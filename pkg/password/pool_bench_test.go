package password

import (
	"bytes"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

const phrase = "correct horse battery staple"

func hashRaw() {
	argon2.IDKey([]byte(phrase), make([]byte, saltLength), Default.Iterations, Default.MemoryKiB, Default.Parallelism, keyLength)
}

// stored makes a pool and a hash of phrase at the default cost.
func stored(b *testing.B, slots int) (*Pool, string) {
	b.Helper()
	pool := NewPool(slots, time.Minute, Default)
	encoded, err := pool.For(anyPortal).Hash(b.Context(), phrase)
	if err != nil {
		b.Fatal(err)
	}
	return pool, encoded
}

func verify(b *testing.B, pool *Pool, encoded string) {
	result, err := pool.For(anyPortal).Verify(b.Context(), phrase, encoded)
	if err != nil || !result.Match {
		b.Errorf("verify: %+v, %v", result, err)
	}
}

func BenchmarkRawArgon2id(b *testing.B) {
	for b.Loop() {
		hashRaw()
	}
}

// BenchmarkVerify does a raw hash before every verification, so that both meet the same machine; "over-raw" is the
// quotient of their medians.
func BenchmarkVerify(b *testing.B) {
	pool, encoded := stored(b, 2)
	var raw, verified []time.Duration
	for b.Loop() {
		began := time.Now()
		hashRaw()
		raw = append(raw, time.Since(began))
		began = time.Now()
		verify(b, pool, encoded)
		verified = append(verified, time.Since(began))
	}
	slices.Sort(raw)
	slices.Sort(verified)
	rawMedian, median := raw[len(raw)/2], verified[len(verified)/2]
	b.ReportMetric(rawMedian.Seconds()*1e3, "raw-ms")
	b.ReportMetric(median.Seconds()*1e3, "verify-ms")
	b.ReportMetric(float64(median)/float64(rawMedian), "over-raw")
}

// together runs work n times on that many goroutines.
func together(goroutines, n int, work func()) time.Duration {
	var left atomic.Int64
	left.Store(int64(n))
	var done sync.WaitGroup
	began := time.Now()
	for range goroutines {
		done.Go(func() {
			for left.Add(-1) >= 0 {
				work()
			}
		})
	}
	done.Wait()
	return time.Since(began)
}

// benchmarkCallers lets two goroutines hash raw, then that many callers verify, in turns; "of-raw" is the quotient of
// their rates. With a memory limit as the server sets one, "peak-MiB" is the resident peak of the whole process.
func benchmarkCallers(b *testing.B, callers int) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(96 << 20))
	pool, encoded := stored(b, 2)
	var raw, verified time.Duration
	hashes := 0
	for b.Loop() {
		raw += together(2, callers, hashRaw)
		verified += together(callers, callers, func() { verify(b, pool, encoded) })
		hashes += callers
	}
	b.ReportMetric(float64(hashes)/raw.Seconds(), "raw/s")
	b.ReportMetric(float64(hashes)/verified.Seconds(), "verify/s")
	b.ReportMetric(raw.Seconds()/verified.Seconds(), "of-raw")
	b.ReportMetric(residentPeakMiB(b), "peak-MiB")
}

func BenchmarkVerify64Callers(b *testing.B)  { benchmarkCallers(b, 64) }
func BenchmarkVerify500Callers(b *testing.B) { benchmarkCallers(b, 500) }

// residentPeakMiB reads the high-water mark that Linux keeps; elsewhere it is 0.
func residentPeakMiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == "VmHWM:" {
			kib, err := strconv.ParseFloat(string(fields[1]), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}
