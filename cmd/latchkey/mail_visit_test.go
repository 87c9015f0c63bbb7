package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// visit is people at a portal, and every secret that they used.
type visit struct {
	t       *testing.T
	process *process
	relay   *smtptest.Server
	read    int // mails
	secrets []secret
}

func (v *visit) keep(what, value string) string {
	v.t.Helper()
	require.NotEmpty(v.t, value, what)
	v.secrets = append(v.secrets, secret{what: what, value: value})
	return value
}

// post wants a status. Members are pairs of a name and a text.
func (v *visit) post(status int, path, token string, members ...string) answer {
	v.t.Helper()
	var body []string
	for i := 0; i < len(members); i += 2 {
		body = append(body, fmt.Sprintf("%q:%q", members[i], members[i+1]))
	}
	a := v.process.call(v.t, http.MethodPost, acmePath+path, token, "{"+strings.Join(body, ",")+"}")
	require.Equal(v.t, status, a.status, "%s: %s", path, a.body)
	return a
}

var linkedToken = regexp.MustCompile(`https://login\.acme\.example/\w+#(\S+)`)

// mailed reads the next mail, which has a link and a code.
func (v *visit) mailed(what string) (token, code string) {
	v.t.Helper()
	m := v.relay.Wait(v.t, v.read+1, patience)[v.read]
	v.read++
	link := linkedToken.FindStringSubmatch(m.Text)
	require.NotNil(v.t, link, m.Text)
	token, code = link[1], codeIn(v.t, m)
	v.secrets = append(v.secrets,
		secret{"the token of " + what, token, true}, secret{"the code of " + what, code, true},
		secret{"the code of " + what + " without groups", strings.ReplaceAll(code, "-", ""), false})
	return token, code
}

// signIn logs in and keeps what comes back.
func (v *visit) signIn(address, password string) signedIn {
	v.t.Helper()
	in := read[signedIn](v.t, v.post(http.StatusOK, "/login", "", "email", address, "password", password), http.StatusOK)
	v.keep("the access token of "+address, in.AccessToken)
	v.keep("the refresh token of "+address, in.RefreshToken)
	return in
}

// everything is what people do about secrets, well and badly.
func (v *visit) everything() {
	v.t.Helper()
	links := `{"links":{"confirm":"https://login.acme.example/confirm#{token}","reset":"https://login.acme.example/reset#{token}"}}`
	a := v.process.call(v.t, http.MethodPatch, "/v1/admin/portals/acme", operatorKey, links)
	require.Equal(v.t, http.StatusOK, a.status, "%s", a.body)

	v.registerByLink("ada@example.com", v.keep("Ada's first password", "a first password of hers"))
	v.registerByCode("bob@example.com", v.keep("Bob's password", "what Bob thought of in time"))
	v.forget("ada@example.com", v.keep("Ada's second password", "a second password of hers"))
	v.setFirst("cy@example.com", v.keep("Cy's password", "Cy sets this for himself"))
	in := v.signIn("ada@example.com", "a second password of hers")
	v.post(http.StatusNoContent, "/me/password", in.AccessToken,
		"current_password", "a second password of hers", "new_password", v.keep("Ada's third password", "a third password of hers"))
	again := read[signedIn](v.t, v.post(http.StatusOK, "/sessions/refresh", "", "refresh_token", in.RefreshToken), http.StatusOK)
	v.keep("the refreshed access token", again.AccessToken)
	v.keep("the second refresh token", again.RefreshToken)
	v.mistakes("ada@example.com", "a third password of hers")
}

func (v *visit) registerByLink(address, password string) {
	v.t.Helper()
	v.post(http.StatusCreated, "/registrations", "", "email", address, "password", password)
	token, _ := v.mailed("a confirmation")
	v.post(http.StatusOK, "/confirmations/verify", "", "token", token)
	v.post(http.StatusOK, "/confirmations/redeem", "", "token", token)
	v.post(http.StatusGone, "/confirmations/redeem", "", "token", token)
	v.signIn(address, password)
}

func (v *visit) registerByCode(address, password string) {
	v.t.Helper()
	v.post(http.StatusCreated, "/registrations", "", "email", address, "password", password)
	_, code := v.mailed("another confirmation")
	wrong := "000001"
	if code == wrong {
		wrong = "000002"
	}
	v.post(http.StatusBadRequest, "/confirmations/redeem", "", "email", address, "code", wrong)
	v.post(http.StatusOK, "/confirmations/redeem", "", "email", address, "code", code)
}

func (v *visit) forget(address, password string) {
	v.t.Helper()
	v.post(http.StatusAccepted, "/password-resets", "", "email", address)
	token, code := v.mailed("a reset")
	v.post(http.StatusOK, "/password-resets/verify", "", "email", address, "code", code)
	v.post(http.StatusOK, "/password-resets/redeem", "", "token", token, "password", password)
	v.post(http.StatusTooManyRequests, "/password-resets", "", "token", token)
	v.relay.Wait(v.t, v.read+1, patience) // "your password was changed"
	v.read++
}

func (v *visit) setFirst(address, password string) {
	v.t.Helper()
	a := v.process.call(v.t, http.MethodPost, "/v1/admin/portals/acme/accounts", operatorKey, fmt.Sprintf(`{"email":%q}`, address))
	require.Equal(v.t, http.StatusCreated, a.status, "%s", a.body)
	v.post(http.StatusOK, "/lookup", "", "email", address)
	_, code := v.mailed("a first password")
	v.post(http.StatusOK, "/password-resets/redeem", "", "email", address, "code", code, "password", password)
	v.relay.Wait(v.t, v.read+1, patience) // "your password was changed"
	v.read++
}

// mistakes are requests that are refused, with secrets where they belong and where they do not.
func (v *visit) mistakes(address, password string) {
	v.t.Helper()
	v.post(http.StatusUnauthorized, "/login", "", "email", address, "password", v.keep("a wrong password", "not quite the right one"))
	v.post(http.StatusUnprocessableEntity, "/login", "", "email", address, "password", password, "pass", password)
	v.post(http.StatusUnprocessableEntity, "/login", "", "email", password, "password", password)
	v.post(http.StatusUnauthorized, "/login", "", "email", "nobody@example.com", "password", password)
	v.post(http.StatusUnprocessableEntity, "/registrations", "", "email", "eve@example.com",
		"password", v.keep("a password that is refused", "eve@example.com"+"1"))
	v.post(http.StatusBadRequest, "/password-resets/redeem", "", "token", v.keep("a made-up token", strings.Repeat("Ax9_", 20)), "password", password)
	for _, s := range v.secrets {
		if s.mailed {
			v.post(http.StatusNotFound, "/confirm/"+s.value, s.value)
			a := v.process.call(v.t, http.MethodGet, acmePath+"?token="+s.value, s.value, "")
			require.Equal(v.t, http.StatusOK, a.status)
		}
	}
}
