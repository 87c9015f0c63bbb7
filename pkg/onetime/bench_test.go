package onetime

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// bench runs fn by 16 callers on each database. Each call gets the token of a secret of its own, if prepared.
func bench(b *testing.B, prepared bool, fn func(s *Service, l *ledger, w IssueRequest, token string) error) {
	for _, d := range databasetest.Dialects() {
		b.Run(string(d), func(b *testing.B) {
			l := newLedger(b, databasetest.Open(b, d))
			l.Service = NewService(Dependencies{Secrets: l.repo, Ring: l.ring, Now: time.Now})
			account := l.person().Account
			wanted := make([]IssueRequest, b.N)
			tokens := make([]string, b.N)
			for i := range wanted {
				subject := digest.Digest(binary.BigEndian.AppendUint64(make([]byte, digest.Size-8), uint64(i+1)))
				wanted[i] = IssueRequest{Purpose: Confirmation, EmailDigest: subject, Account: &account, TTL: time.Hour}
				if prepared {
					issued, err := l.Issue(context.Background(), l.portal, wanted[i])
					require.NoError(b, err)
					of := seed{l.portal, Confirmation, subject, issued.Generation, l.ring.Primary()}
					tokens[i], err = of.token(l.ring)
					require.NoError(b, err)
				}
			}
			var next atomic.Int64
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := next.Add(1) - 1
					if err := fn(l.Service, l, wanted[i], tokens[i]); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	bench(b, false, func(s *Service, l *ledger, w IssueRequest, _ string) error {
		_, err := s.Issue(context.Background(), l.portal, w)
		return err
	})
}

func BenchmarkVerify(b *testing.B) {
	bench(b, true, func(s *Service, l *ledger, _ IssueRequest, token string) error {
		_, err := s.Check(context.Background(), l.portal, Confirmation, Credential{Token: token})
		return err
	})
}

func BenchmarkRedeem(b *testing.B) {
	bench(b, true, func(s *Service, l *ledger, _ IssueRequest, token string) error {
		_, err := s.consumeToken(context.Background(), l.portal, Confirmation, token)
		return err
	})
}

// BenchmarkDerive makes both faces of a secret, without a database.
func BenchmarkDerive(b *testing.B) {
	ring := ringOf(b, 1)
	s := seed{purpose: Confirmation, emailDigest: digest.Digest(keyring.Random(digest.Size)), key: ring.Primary()}
	for b.Loop() {
		_, errToken := s.token(ring)
		_, errCode := s.shortCode(ring)
		if errToken != nil || errCode != nil {
			b.Fatal(errToken, errCode)
		}
	}
}
