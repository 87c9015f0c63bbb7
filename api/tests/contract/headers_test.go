package contract_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Every answer forbids browsers to guess its type, to frame it and to run anything in it. Behind https it asks them to
// stay there.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		plain := h.Calling(h.NewServer(t, db, apitest.AtURL("http://localhost:8080")))
		for _, path := range []string{
			"/healthz", "/nothing", p.Front, p.Front + "/me", "/docs", "/docs/swagger-ui.css", "/problems/internal", "/openapi.yaml", "/metrics",
		} {
			a := h.Get(t, path).HasHeader("X-Content-Type-Options", "nosniff").HasHeader("Strict-Transport-Security", "max-age=31536000")
			policy := a.Header.Get("Content-Security-Policy")
			require.Contains(t, policy, "frame-ancestors 'none'", path)
			if path != "/docs" && path != "/docs/swagger-ui.css" {
				require.Contains(t, policy, "default-src 'none'", path)
			}
			plain.Get(t, path).HasHeader("Strict-Transport-Security", "")
		}
	})
}

// A body has to arrive within 10 s, and idle connections outlive those of Google's load balancer, which keeps its side
// for 600 s.
func TestConnectionTimes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		server := apitest.New(t, db).Server.HTTP()
		require.Equal(t, 10*time.Second, server.ReadTimeout)
		require.Greater(t, server.IdleTimeout, 600*time.Second)
	})
}

// Behind a proxy that takes a path off, everything that callers see has the path.
func TestPublicURLWithAPath(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.AtURL(apitest.PublicURL+"/auth"))
		p := h.Portal(t)
		a := h.LogInWrong(t, p, "ada@example.com").Status(http.StatusUnauthorized).Is("remedies.1.href", "/auth/v1/portals/acme/password-resets")
		require.True(t, strings.HasPrefix(a.Text("type"), apitest.PublicURL+"/auth/problems/"))
		made := h.Post(t, p.Admin+"/accounts", apitest.Object{"email": "ada@example.com"}, apitest.AsOperator).Status(http.StatusCreated)
		made.HasHeader("Location", "/auth"+p.Admin+"/accounts/"+made.Text("id"))
		invited := h.Post(t, p.Admin+"/invitations", apitest.Object{"email": "grace@example.com"}, apitest.AsOperator).Status(http.StatusCreated)
		invited.HasHeader("Location", "/auth"+p.Admin+"/invitations/"+invited.Text("id"))
		again := h.Post(t, p.Admin+"/invitations", apitest.Object{"email": "grace@example.com"}, apitest.AsOperator).Status(http.StatusConflict)
		again.Is("remedies.0.href", "/auth"+p.Admin+"/invitations/"+invited.Text("id")+"/resend")
		h.Post(t, "/v1/admin/portals", apitest.Object{"slug": "other", "name": "Other"}, apitest.AsOperator).
			HasHeader("Location", "/auth/v1/admin/portals/other")

		require.Contains(t, string(h.Get(t, "/openapi.yaml").Body), "\nservers:\n  - url: /auth\n")
		docs := string(h.Get(t, "/docs").Status(http.StatusOK).Body)
		require.Contains(t, docs, "/auth/openapi.yaml")
		require.NotContains(t, docs, `"/openapi.yaml`)
		require.NotContains(t, docs, `"/docs/`)
		assets := 0
		for _, attribute := range []string{`src="`, `href="`} {
			for _, rest := range strings.Split(docs, attribute)[1:] {
				path, _, _ := strings.Cut(rest, `"`)
				if stripped, ok := strings.CutPrefix(path, "/auth"); ok {
					h.Get(t, stripped).Status(http.StatusOK)
					assets++
				}
			}
		}
		require.Positive(t, assets)
	})
}
