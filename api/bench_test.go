package api_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// Nothing waits for a connection while it hashes, so two connections serve 64 logins at once.
func TestManyLoginsOnTwoConnections(t *testing.T) {
	t.Parallel()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			db, err := database.Open(context.Background(), database.Options{URL: databasetest.URL(t, d), MaxConns: 2})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			h := newHarness(t, db, func(o *options) {
				o.App.Passwords = password.NewPool(2, 30*time.Second, password.Params{MemoryKiB: 1024, Iterations: 1, Parallelism: 1})
			})
			ada := h.account(t, h.portal(t))
			var requests []*http.Request
			for range 64 {
				requests = append(requests, h.request(t, "POST", ada.portal.front+"/login", encoded(t, ada.credentials())))
			}
			for i, a := range h.together(t, requests) {
				a.status(http.StatusOK)
				h.noteAnswered(a)
				contract().check(t, exchange{request: requests[i], sent: encoded(t, ada.credentials()), answer: a})
			}
			require.Equal(t, "64", h.sql(t, "SELECT COUNT(*) FROM sessions"))
		})
	}
}

// benchEach runs a benchmark on each database, on a server that hashes as in production.
func benchEach(b *testing.B, run func(b *testing.B, h *harness, ada person)) {
	b.Helper()
	benchOn(b, time.Now, run)
}

// benchOn is benchEach on a clock of the benchmark's own.
func benchOn(b *testing.B, now func() time.Time, run func(b *testing.B, h *harness, ada person)) {
	b.Helper()
	for _, d := range databasetest.Dialects() {
		b.Run(string(d), func(b *testing.B) {
			h := newHarness(b, databasetest.Open(b, d), func(o *options) {
				o.App.Passwords, o.App.Now = password.NewPool(2, 30*time.Second, password.Default), now
			})
			run(b, h, h.account(b, h.portal(b, object{"refresh_grace": 1})))
		})
	}
}

// serve answers one request as the program does, and leaves the contract to the tests.
func (h *harness) serve(b *testing.B, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Errorf("%d: %s", w.Code, w.Body)
	}
	return w
}

// BenchmarkLogin tells what a login costs over its hash, which is made anew beside each login.
func BenchmarkLogin(b *testing.B) {
	benchEach(b, func(b *testing.B, h *harness, ada person) {
		hash, err := argon2id.CreateHash(ada.password, &argon2id.Params{
			Memory: password.Default.MemoryKiB, Iterations: password.Default.Iterations, Parallelism: password.Default.Parallelism,
			SaltLength: 16, KeyLength: 32,
		})
		require.NoError(b, err)
		body := encoded(b, ada.credentials())
		var login, raw time.Duration
		for b.Loop() {
			r := h.request(b, "POST", ada.portal.front+"/login", body)
			began := time.Now()
			h.serve(b, r)
			login += time.Since(began)
			began = time.Now()
			match, err := argon2id.ComparePasswordAndHash(ada.password, hash)
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
	benchEach(b, func(b *testing.B, h *harness, ada person) {
		in := h.logIn(b, ada)
		public, private, err := ed25519.GenerateKey(nil)
		require.NoError(b, err)
		input := []byte(in.access)
		signature := ed25519.Sign(private, input)
		benchTogether(b, func() {
			r := httptest.NewRequest("GET", ada.portal.front+"/me", nil)
			bearer(in.access)(r)
			h.serve(b, r)
		}, func(ctx context.Context) error {
			ed25519.Verify(public, input, signature)
			return h.readEmail(ctx, ada)
		})
	})
}

// BenchmarkLookup is held against one read of a row.
func BenchmarkLookup(b *testing.B) {
	benchEach(b, func(b *testing.B, h *harness, ada person) {
		body := encoded(b, object{"email": ada.email})
		benchTogether(b, func() { h.serve(b, h.request(b, "POST", ada.portal.front+"/lookup", body)) },
			func(ctx context.Context) error { return h.readEmail(ctx, ada) })
	})
}

// BenchmarkRefresh is held against one signature and one write of a row. Every refresh rotates: the clock goes on by
// the grace with each.
func BenchmarkRefresh(b *testing.B) {
	var passed atomic.Int64
	began := time.Now()
	benchOn(b, func() time.Time { return began.Add(time.Duration(passed.Load()) * time.Second) },
		func(b *testing.B, h *harness, ada person) {
			sessions := make(chan tokens, 4*callers) // a caller takes one out while he refreshes it
			for range cap(sessions) {
				sessions <- h.logIn(b, ada)
			}
			_, private, err := ed25519.GenerateKey(nil)
			require.NoError(b, err)
			benchTogether(b, func() {
				in := <-sessions
				passed.Add(1)
				body := []byte(`{"refresh_token":"` + in.refresh + `"}`)
				w := h.serve(b, h.request(b, "POST", ada.portal.front+"/sessions/refresh", body))
				var next struct {
					Refresh string `json:"refresh_token"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &next); err != nil || next.Refresh == in.refresh {
					b.Errorf("not rotated: %v %s", err, w.Body)
				}
				sessions <- tokens{access: in.access, refresh: next.Refresh}
			}, func(ctx context.Context) error {
				in := <-sessions
				defer func() { sessions <- in }()
				ed25519.Sign(private, []byte(in.access))
				_, claims := takenApart(b, in.access)
				return h.db.From(ctx).Exec("UPDATE sessions SET rotated_at = ? WHERE portal_id = ? AND id = ?",
					passed.Add(1), ada.portal.id, claims["sid"]).Error
			})
		})
}

// readEmail is the least that any answer about an account costs.
func (h *harness) readEmail(ctx context.Context, who person) error {
	var email string
	return h.db.From(ctx).Raw("SELECT email FROM accounts WHERE portal_id = ? AND email_canonical = ?", who.portal.id, who.email).
		Row().Scan(&email)
}
