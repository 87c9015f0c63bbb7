package contract_test

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// labels are Latchkey's own metrics, and the labels of each.
var labels = map[string][]string{
	"latchkey_http_request_duration_seconds": {"method", "route", "status"}, "latchkey_logins_total": {"outcome"},
	"latchkey_locks_total": nil, "latchkey_refreshes_total": {"outcome"},
	"latchkey_hash_slots": nil, "latchkey_hash_running": nil, "latchkey_hash_queue_length": nil, "latchkey_hashes_total": nil,
	"latchkey_hash_waits_total": nil, "latchkey_hash_wait_seconds_total": nil, "latchkey_hash_overloaded_total": nil,
	"latchkey_database_connections_max": nil, "latchkey_database_connections_in_use": nil, "latchkey_database_connections_idle": nil,
	"latchkey_database_waits_total": nil, "latchkey_database_wait_seconds_total": nil,
}

// scrape reads the metrics as Prometheus does, each by its name and the values of its labels: "name 200 GET /healthz";
// a histogram is how many it has seen.
func scrape(t testing.TB, h *apitest.Harness) map[string]float64 {
	t.Helper()
	a := h.Get(t, "/metrics", apitest.AsOperator).Status(http.StatusOK)
	require.True(t, strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain; version=0.0.4"), a.Header.Get("Content-Type"))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(a.Body))
	require.NoError(t, err)
	values := map[string]float64{}
	for name, family := range families {
		names, own := labels[name]
		require.True(t, own || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_"), "unknown metric %s", name)
		if !own {
			continue
		}
		require.NotEmpty(t, family.GetHelp(), name)
		for _, m := range family.GetMetric() {
			var got []string
			key := name
			for _, label := range m.GetLabel() {
				got, key = append(got, label.GetName()), key+" "+label.GetValue()
			}
			require.ElementsMatch(t, names, got, name)
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"slug": "secret-portal"})
		ada := h.Account(t, p)
		hashed := scrape(t, h)["latchkey_hashes_total"]

		in := h.LogIn(t, ada)
		h.RequireAccess(t, p, in.Access, true)
		for range 5 {
			h.LogInWrong(t, p, ada.Email).Status(http.StatusUnauthorized)
		}
		for range 2 {
			h.LogInWrong(t, p, ada.Email).Status(http.StatusLocked)
		}
		h.LogInWrong(t, p, "nobody@example.com").Status(http.StatusUnauthorized)
		next := h.MustRefresh(t, p, in.Refresh)
		next = h.MustRefresh(t, p, next.Refresh) // it was used, so the one before is not forgiven for long
		h.Clock.Advance(time.Minute)
		h.Refresh(t, p, in.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused")
		h.RequireSessionOver(t, p, next.Refresh)
		for _, path := range []string{"/ada@example.com", "/v1/nothing/" + in.Refresh, "/problems/ada%40example.com", "/v1/portals/ada-lovelace/me"} {
			h.Get(t, path).Status(http.StatusNotFound)
		}
		h.Call(t, "ADA", "/healthz", nil).Status(http.StatusMethodNotAllowed)
		h.Call(t, "LOVELACE", "/healthz", nil).Status(http.StatusMethodNotAllowed)
		h.Call(t, http.MethodOptions, p.Front+"/login", nil, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusNoContent)

		got := scrape(t, h)
		for key, want := range map[string]float64{
			"latchkey_logins_total success": 1, "latchkey_logins_total incorrect_credentials": 6, "latchkey_logins_total account_locked": 2,
			"latchkey_locks_total": 1, "latchkey_refreshes_total success": 2, "latchkey_refreshes_total refresh_token_reused": 1,
			"latchkey_refreshes_total session_invalid": 1, "latchkey_hashes_total": hashed + 7, "latchkey_hash_slots": 2,
			"latchkey_hash_running": 0, "latchkey_hash_queue_length": 0, "latchkey_hash_overloaded_total": 0,
			"latchkey_database_connections_max":                                            float64(db.Stats().MaxOpenConnections),
			"latchkey_http_request_duration_seconds POST /v1/portals/:portal/login 200":    1,
			"latchkey_http_request_duration_seconds POST /v1/portals/:portal/login 423":    2,
			"latchkey_http_request_duration_seconds POST /v1/portals/:portal/login 401":    6,
			"latchkey_http_request_duration_seconds OPTIONS /v1/portals/:portal/login 204": 1,
			"latchkey_http_request_duration_seconds GET /v1/portals/:portal/me 404":        1,
			"latchkey_http_request_duration_seconds GET /problems/:code 404":               1,
			"latchkey_http_request_duration_seconds other /healthz 405":                    2,
		} {
			value, there := got[key]
			require.True(t, there, "%s in %q", key, slices.Sorted(maps.Keys(got)))
			require.Equal(t, want, value, key)
		}
		for name := range labels {
			require.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(key string) bool {
				return key == name || strings.HasPrefix(key, name+" ")
			}), "no %s", name)
		}

		// No metric contains personal data, the slug of a portal, or text from a request.
		text := strings.ToLower(string(h.Get(t, "/metrics", apitest.AsOperator).Body))
		for _, private := range []string{
			"ada@", "lovelace", "example.com", "secret-portal", strings.ToLower(in.Refresh), ada.ID, p.ID, "192.0.2", "nobody",
		} {
			require.NotContains(t, text, private)
		}
	})
}

// The counts of an instance show strangers what other people do, so reading them takes a key.
func TestMetricsTakeAKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		admin := h.LogIn(t, h.Account(t, p, apitest.Object{"roles": []string{"admin"}}))
		h.Get(t, "/metrics").Problem(http.StatusUnauthorized, "authentication_required")
		h.Get(t, "/metrics", apitest.Bearer("lk_nobody_has_this_key_0123456789012345")).Problem(http.StatusUnauthorized, "authentication_required")
		h.Get(t, "/metrics", apitest.Bearer(admin.Access)).Problem(http.StatusForbidden, "permission_denied")
		h.Get(t, "/metrics", apitest.Bearer(h.APIKey(t, apitest.Object{}).Text)).Problem(http.StatusForbidden, "permission_denied")
		key := h.APIKey(t, apitest.Object{"name": "Prometheus", "scopes": []string{"hashes"}})
		h.Get(t, "/metrics", apitest.Bearer(key.Text)).Problem(http.StatusForbidden, "permission_denied")
		h.Exec(t, `UPDATE api_keys SET scopes = '["metrics"]' WHERE id = ?`, key.ID)
		h.Get(t, "/metrics", apitest.Bearer(key.Text)).Status(http.StatusOK)
		h.Get(t, p.Admin, apitest.Bearer(key.Text)).Problem(http.StatusForbidden, "permission_denied")
		h.Get(t, "/metrics", apitest.Bearer(h.APIKey(t, apitest.Object{"scopes": []string{"operator"}, "portal": nil}).Text)).Status(http.StatusOK)
	})
}
