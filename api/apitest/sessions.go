package apitest

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// LoginOrigin is the origin of a portal's login page.
const LoginOrigin = "https://login.acme.example"

// WithLoginOrigin is the setting of a portal that lets the login page in.
func WithLoginOrigin() Object { return Object{"origins": []string{LoginOrigin}} }

// SetCookie is the one cookie that an answer sets.
func (a *Answer) SetCookie() *http.Cookie {
	a.T.Helper()
	cookies := (&http.Response{Header: a.Header}).Cookies()
	require.Len(a.T, cookies, 1)
	return cookies[0]
}

// Refresh sends a refresh token in the body.
func (h *Harness) Refresh(t testing.TB, at Portal, token string) *Answer {
	t.Helper()
	return h.Post(t, at.Front+"/sessions/refresh", Object{"refresh_token": token})
}

// MustRefresh wants a session's next tokens.
func (h *Harness) MustRefresh(t testing.TB, at Portal, token string) Tokens {
	t.Helper()
	in := h.Refresh(t, at, token).Status(http.StatusOK)
	return Tokens{Access: in.Text("access_token"), Refresh: in.Text("refresh_token")}
}

// RequireSessionOver wants a refresh token to be refused.
func (h *Harness) RequireSessionOver(t testing.TB, at Portal, token string) {
	t.Helper()
	h.Refresh(t, at, token).Problem(http.StatusUnauthorized, "session_invalid").Remedies("log_in").
		HasHeader("WWW-Authenticate", `Bearer realm="latchkey"`)
}

// RequireAccess wants an access token to be taken, or to be refused.
func (h *Harness) RequireAccess(t testing.TB, at Portal, access string, want bool) {
	t.Helper()
	me := h.Get(t, at.Front+"/me", Bearer(access))
	if want {
		me.Status(http.StatusOK)
	} else {
		me.Problem(http.StatusUnauthorized, "access_token_invalid")
	}
}

// TimeAfter is a time after now, as the API writes it.
func (h *Harness) TimeAfter(after time.Duration) string {
	return h.Clock.Now().Add(after).Format("2006-01-02T15:04:05.000Z")
}
