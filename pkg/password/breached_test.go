package password

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// SHA-1 of "password", in the two parts that the range API knows.
const (
	passwordPrefix = "5BAA6"
	passwordSuffix = "1E4C9B93F3F0682250B6CF8331B7EE68FD8"
)

// serve answers like the range API and hands back a Breached that asks it, and its log.
func serve(t *testing.T, handler http.HandlerFunc) (*Breached, *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	log := new(bytes.Buffer)
	return &Breached{BaseURL: server.URL, Client: server.Client(), Log: slog.New(slog.NewTextHandler(log, nil))}, log
}

func TestBreachedAsksByPrefixAlone(t *testing.T) {
	t.Parallel()
	breached, log := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.RequestURI != "/range/"+passwordPrefix || r.Header.Get("Add-Padding") != "true" {
			http.Error(w, "unexpected request", http.StatusTeapot)
			return
		}
		_, _ = fmt.Fprintf(w, "0018A45C4D1DEF81644B54AB7F969B88D65:21\r\n%s:10434004\r\n", passwordSuffix)
	})
	require.True(t, breached.Knows(t.Context(), "password"))
	require.Empty(t, log.String())

	got := Policy{Breached: breached}.Check(t.Context(), "password", Facts{MinLength: 8})
	require.Equal(t, []ReasonCode{Common, BreachedBefore}, codesOf(got))
}

func TestBreachedAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		known  bool
		logged string
	}{
		"listed":              {200, passwordSuffix + ":3\r\n", true, ""},
		"listed without CR":   {200, "0018A45C4D1DEF81644B54AB7F969B88D65:1\n" + passwordSuffix + ":3", true, ""},
		"padding":             {200, passwordSuffix + ":0\r\n", false, ""},
		"not listed":          {200, "0018A45C4D1DEF81644B54AB7F969B88D65:21\r\n", false, ""},
		"empty":               {200, "", false, ""},
		"busy":                {429, passwordSuffix + ":3\r\n", false, "status 429"},
		"broken":              {500, "", false, "status 500"},
		"one line of a flood": {200, string(bytes.Repeat([]byte("A"), 2<<20)), false, "token too long"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			breached, log := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			require.Equal(t, test.known, breached.Knows(t.Context(), "password"))
			if test.logged == "" {
				require.Empty(t, log.String())
				return
			}
			require.Contains(t, log.String(), "level=WARN")
			require.Contains(t, log.String(), test.logged)
		})
	}
}

func TestBreachedFailsOpenAndSilent(t *testing.T) {
	t.Parallel()
	breached, log := serve(t, nil)
	breached.BaseURL = "http://127.0.0.1:1"
	got := Policy{Breached: breached}.Check(t.Context(), "password", Facts{MinLength: 8})
	require.Equal(t, []ReasonCode{Common}, codesOf(got))
	require.Contains(t, log.String(), "level=WARN")

	breached.BaseURL = "http://\x7f"
	require.False(t, breached.Knows(t.Context(), "password"))
	require.NotContains(t, log.String(), passwordPrefix, "the address holds part of the hash")
	require.NotContains(t, log.String(), "/range/")
}

// stalled is a service that takes the request and never answers.
type stalled struct{}

func (stalled) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestBreachedWaitsASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		breached := &Breached{Client: &http.Client{Transport: stalled{}}, Log: slog.New(slog.NewTextHandler(log, nil))}
		began := time.Now()
		require.False(t, breached.Knows(t.Context(), "password"))
		require.Equal(t, time.Second, time.Since(began))
		require.Contains(t, log.String(), context.DeadlineExceeded.Error())
	})
}

func TestPolicyWithoutBreached(t *testing.T) {
	t.Parallel()
	require.Equal(t, judge("password", Facts{}, false), Policy{}.Check(t.Context(), "password", Facts{}))
}
