package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// try makes a request; a token and a body may be "".
func (p *process) try(ctx context.Context, method, path, token, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return p.send(request)
}

func (p *process) send(request *http.Request) (answer, error) {
	response, err := p.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, text}, errors.Join(err, response.Body.Close())
}

// call is try for requests that have to be answered.
func (p *process) call(tb testing.TB, method, path, token, body string) answer {
	tb.Helper()
	a, err := p.try(tb.Context(), method, path, token, body)
	require.NoError(tb, err)
	return a
}

// read wants a status and decodes the body.
func read[T any](tb testing.TB, a answer, status int) (body T) {
	tb.Helper()
	require.Equal(tb, status, a.status, "%s", a.body)
	require.NoError(tb, json.NewDecoder(bytes.NewReader(a.body)).Decode(&body))
	return body
}

// The parts of answers that these tests look at.
type (
	signedIn struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Account      person `json:"account"`
	}
	person struct {
		ID    string `json:"id"`
		Email string `json:"email"`
	}
	personList struct {
		Items []person `json:"items"`
	}
	keySet struct {
		Keys []struct {
			Kid string `json:"kid"`
		} `json:"keys"`
	}
	refusal struct {
		Code string `json:"code"`
	}
)

// The demo portal's paths and bodies.
const (
	demoPath    = "/v1/portals/" + demoPortal
	demoLookup  = `{"email":"ready@example.com"}`
	demoLogin   = `{"email":"ready@example.com","password":"` + demoPassword + `"}`
	adminPath   = "/v1/admin/portals/" + demoPortal
	operatorKey = "lk_0123456789abcdef0123456789abcdef"
)

func (p *process) logIn(tb testing.TB) signedIn {
	tb.Helper()
	return read[signedIn](tb, p.call(tb, http.MethodPost, demoPath+"/login", "", demoLogin), http.StatusOK)
}

// me asks who the token is for.
func (p *process) me(tb testing.TB, token string) person {
	tb.Helper()
	return read[person](tb, p.call(tb, http.MethodGet, demoPath+"/me", token, ""), http.StatusOK)
}

// kids are the names of the signing keys that it publishes.
func (p *process) kids(tb testing.TB) []string {
	tb.Helper()
	set := read[keySet](tb, p.call(tb, http.MethodGet, "/.well-known/jwks.json", "", ""), http.StatusOK)
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, key.Kid)
	}
	return kids
}
