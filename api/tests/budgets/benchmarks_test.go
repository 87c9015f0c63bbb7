package budgets_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// benchEach runs a benchmark on each database, on a server that hashes as in production.
func benchEach(b *testing.B, run func(b *testing.B, h *apitest.Harness, ada apitest.Person)) {
	b.Helper()
	benchOn(b, time.Now, run)
}

// benchOn is benchEach on a clock of the benchmark's own.
func benchOn(b *testing.B, now func() time.Time, run func(b *testing.B, h *apitest.Harness, ada apitest.Person)) {
	b.Helper()
	for _, d := range databasetest.Dialects() {
		b.Run(string(d), func(b *testing.B) {
			h := apitest.New(b, databasetest.Open(b, d), apitest.HashingIn(password.NewPool(2, 30*time.Second, password.Default)), apitest.OnClock(now))
			run(b, h, h.Account(b, h.Portal(b, apitest.Object{"refresh_grace": 1})))
		})
	}
}

// serve answers one request as the program does, without a check against openapi.yaml.
func serve(b *testing.B, h *apitest.Harness, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Errorf("%d: %s", w.Code, w.Body)
	}
	return w
}

// BenchmarkLogin measures the cost of a login besides its hash. It measures a hash of its own for each login.
func BenchmarkLogin(b *testing.B) {
	benchEach(b, func(b *testing.B, h *apitest.Harness, ada apitest.Person) {
		hash, err := argon2id.CreateHash(ada.Password, &argon2id.Params{
			Memory: password.Default.MemoryKiB, Iterations: password.Default.Iterations, Parallelism: password.Default.Parallelism,
			SaltLength: 16, KeyLength: 32,
		})
		require.NoError(b, err)
		body := apitest.Encode(b, ada.Credentials())
		var login, raw time.Duration
		for b.Loop() {
			r := h.Request(b, "POST", ada.Portal.Front+"/login", body)
			began := time.Now()
			serve(b, h, r)
			login += time.Since(began)
			began = time.Now()
			match, err := argon2id.ComparePasswordAndHash(ada.Password, hash)
			raw += time.Since(began)
			require.True(b, match && err == nil)
		}
		b.ReportMetric(0, "ns/op") // of both together: it says nothing
		b.ReportMetric(float64(login.Microseconds())/float64(b.N), "µs/login")
		b.ReportMetric(float64(raw.Microseconds())/float64(b.N), "µs/hash")
		b.ReportMetric(float64(login)/float64(raw), "login/hash")
	})
}

// callers is how many call at once.
const callers = 16

// benchTogether tells how many requests a second many callers get, and how often the raw work alone could be done.
func benchTogether(b *testing.B, call func(), raw func(ctx context.Context) error) {
	b.Helper()
	b.ResetTimer()
	rate := func(work func()) float64 {
		var done atomic.Int64
		began := time.Now()
		b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				work()
				done.Add(1)
			}
		})
		return float64(done.Load()) / time.Since(began).Seconds()
	}
	ours := rate(call)
	rawly := rate(func() {
		if err := raw(context.Background()); err != nil {
			b.Error(err)
		}
	})
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
	b.ReportMetric(ours, "answers/s")
	b.ReportMetric(rawly, "raw/s")
	b.ReportMetric(rawly/ours, "raw/answer")
}

// BenchmarkMe is held against one signature check and one read of a row.
func BenchmarkMe(b *testing.B) {
	benchEach(b, func(b *testing.B, h *apitest.Harness, ada apitest.Person) {
		in := h.LogIn(b, ada)
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(b, err)
		digest := sha256.Sum256([]byte(in.Access))
		signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
		require.NoError(b, err)
		benchTogether(b, func() {
			r := httptest.NewRequest("GET", ada.Portal.Front+"/me", nil)
			apitest.Bearer(in.Access)(r)
			serve(b, h, r)
		}, func(ctx context.Context) error {
			ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature)
			return readEmail(ctx, h, ada)
		})
	})
}

// BenchmarkLookup is held against one read of a row.
func BenchmarkLookup(b *testing.B) {
	benchEach(b, func(b *testing.B, h *apitest.Harness, ada apitest.Person) {
		body := apitest.Encode(b, apitest.Object{"email": ada.Email})
		benchTogether(b, func() { serve(b, h, h.Request(b, "POST", ada.Portal.Front+"/lookup", body)) },
			func(ctx context.Context) error { return readEmail(ctx, h, ada) })
	})
}

// BenchmarkRefresh is held against one ES256 signature and one write of a row. Every refresh rotates: the clock goes on by
// the grace with each.
func BenchmarkRefresh(b *testing.B) {
	var passed atomic.Int64
	began := time.Now()
	benchOn(b, func() time.Time { return began.Add(time.Duration(passed.Load()) * time.Second) },
		func(b *testing.B, h *apitest.Harness, ada apitest.Person) {
			sessions := make(chan apitest.Tokens, 4*callers) // a caller takes one out while refreshing it
			for range cap(sessions) {
				sessions <- h.LogIn(b, ada)
			}
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			require.NoError(b, err)
			benchTogether(b, func() {
				in := <-sessions
				passed.Add(1)
				body := []byte(`{"refresh_token":"` + in.Refresh + `"}`)
				w := serve(b, h, h.Request(b, "POST", ada.Portal.Front+"/sessions/refresh", body))
				var next struct {
					Refresh string `json:"refresh_token"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &next); err != nil || next.Refresh == in.Refresh {
					b.Errorf("not rotated: %v %s", err, w.Body)
				}
				sessions <- apitest.Tokens{Access: in.Access, Refresh: next.Refresh}
			}, func(ctx context.Context) error {
				in := <-sessions
				defer func() { sessions <- in }()
				digest := sha256.Sum256([]byte(in.Access))
				if _, err := ecdsa.SignASN1(rand.Reader, private, digest[:]); err != nil {
					return err
				}
				_, claims := apitest.DecodeToken(b, in.Access)
				return h.DB.From(ctx).Exec("UPDATE sessions SET rotated_at = ? WHERE portal_id = ? AND id = ?",
					passed.Add(1), ada.Portal.ID, claims["sid"]).Error
			})
		})
}

// readEmail is the least that any answer about an account costs.
func readEmail(ctx context.Context, h *apitest.Harness, who apitest.Person) error {
	var email string
	return h.DB.From(ctx).Raw("SELECT email FROM accounts WHERE portal_id = ? AND email_canonical = ?", who.Portal.ID, who.Email).
		Row().Scan(&email)
}
