package invitation

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// bench runs the function that prepare returns, on each database and with many concurrent callers; n counts the calls.
func bench(b *testing.B, callers int, prepare func(b *testing.B, d *desk) func(n int) error) {
	for _, dialect := range databasetest.Dialects() {
		b.Run(string(dialect), func(b *testing.B) {
			d := newDesk(b, databasetest.Open(b, dialect))
			call := prepare(b, d)
			var next atomic.Int64
			b.ResetTimer()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
						if err := call(int(n)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	bench(b, 16, func(_ *testing.B, d *desk) func(int) error {
		all := d.inviteMany(1000)
		codes := make([]string, len(all))
		for at, i := range all {
			codes[at] = d.code(i)
		}
		return func(n int) error { return d.verify(codes[n%len(codes)]) }
	})
}

// BenchmarkVerifyForged measures the cost of a guessed code.
func BenchmarkVerifyForged(b *testing.B) {
	c := codes{ringOf(b, 1)}
	code := c.must(b, there, serial{1, 0, c.ring.Primary()})
	for b.Loop() {
		if _, err := c.read(here, code); err == nil {
			b.Fatal("a forged code was read")
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	c := codes{ringOf(b, 1)}
	for n := int64(1); b.Loop(); n++ {
		if _, err := c.derive(here, serial{n & maxNumber, 0, c.ring.Primary()}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRedeem(b *testing.B) {
	bench(b, 16, func(b *testing.B, d *desk) func(int) error {
		all := d.inviteMany(b.N)
		codes := make([]string, len(all))
		for at, i := range all {
			codes[at] = d.code(i)
		}
		return func(n int) error { return d.redeem(codes[n], all[n].Email.Typed()) }
	})
}

func BenchmarkInvite(b *testing.B) {
	bench(b, 16, func(_ *testing.B, d *desk) func(int) error {
		return func(n int) error {
			wanted := d.wants(fmt.Sprintf("person%d@example.com", n))
			wanted.Send = true
			_, err := d.Invite(d.ctx, d.portal, operator, wanted)
			return err
		}
	})
}

// BenchmarkInviteAll makes and mails a batch of an import.
func BenchmarkInviteAll(b *testing.B) {
	bench(b, 1, func(_ *testing.B, d *desk) func(int) error {
		return func(n int) error {
			batch := make([]New, MaxBatch)
			for at := range batch {
				batch[at] = d.wants(fmt.Sprintf("person%d-%d@example.com", n, at))
				batch[at].Send = true
			}
			_, err := d.InviteAll(d.ctx, d.portal, operator, batch)
			return err
		}
	})
}

// BenchmarkList reads a full page in the middle of 10,000.
func BenchmarkList(b *testing.B) {
	bench(b, 1, func(b *testing.B, d *desk) func(int) error {
		all := d.inviteMany(10_000)
		d.exec(`ANALYZE`) // as autovacuum does
		filter := Filter{Status: Pending, Before: all[len(all)/2].ID, Limit: 200}
		return func(int) error {
			page, err := d.List(d.ctx, d.portal, filter)
			if err == nil && len(page) != filter.Limit {
				err = fmt.Errorf("%d of %d listed", len(page), filter.Limit)
			}
			return err
		}
	})
}
