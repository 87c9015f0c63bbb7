package sessions_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Only the issued access token is accepted.
func FuzzAccessTokens(f *testing.F) {
	h := apitest.New(f, databasetest.Open(f, database.SQLite))
	ada := h.Account(f, h.Portal(f))
	forge := apitest.NewForge(f, h, h.LogIn(f, ada))
	for _, token := range forge.Forged(h.Clock.Now()) {
		f.Add(token)
	}
	f.Add(forge.Real)
	f.Fuzz(func(t *testing.T, token string) {
		if token == forge.Real {
			return
		}
		a := h.Get(t, ada.Portal.Front+"/me", apitest.Bearer(token))
		if strings.TrimSpace(token) == forge.Real {
			return // white space around it is none of its
		}
		require.Equal(t, http.StatusUnauthorized, a.HTTPStatus, "%q", token)
	})
}
