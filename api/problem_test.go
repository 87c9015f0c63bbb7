package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

// Every code is in openapi.yaml, has a status, words in every language and a page that explains it.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, code := range fault.All() {
		codes = append(codes, string(code))
		require.Contains(t, api.Statuses, code)
	}
	require.Len(t, api.Statuses, len(codes))
	require.ElementsMatch(t, enum(t, "ProblemCode"), codes)
	var fields []string
	for _, code := range fault.AllFields() {
		fields = append(fields, string(code))
	}
	require.ElementsMatch(t, enum(t, "FieldCode"), fields)

	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, code := range codes {
			pages := map[string]bool{}
			for _, l := range locale.Languages() {
				page := h.Get(t, "/problems/"+strings.ReplaceAll(code, "_", "-"), apitest.Language(string(l))).Status(http.StatusOK).
					HasHeader("Content-Language", string(l))
				require.Contains(t, string(page.Body), code)
				require.Contains(t, string(page.Body), fmt.Sprint(api.Statuses[fault.Code(code)]))
				require.NotContains(t, string(page.Body), "problem."+code, "%s: words are missing in %s", code, l)
				pages[string(page.Body)] = true
			}
			require.Len(t, pages, len(locale.Languages()), "%s: a page for each language", code)
		}
		for _, none := range []string{"nothing", "incorrect_credentials", "Not-Found", "not-found-", "%00", "..%2fstatus"} {
			h.Get(t, "/problems/"+none).Problem(http.StatusNotFound, "not_found")
		}
	})
}

func TestRemediesAreOfTheClosedList(t *testing.T) {
	t.Parallel()
	actions := enum(t, "RemedyAction")
	for code, remedies := range api.RemediesOf {
		require.Contains(t, api.Statuses, code)
		for _, action := range remedies {
			meant := []string{action}
			if action == api.ActionAnother {
				meant = nil
				for _, actions := range api.AnotherOf {
					meant = slices.AppendSeq(meant, maps.Values(actions))
				}
			}
			for _, action := range meant {
				require.Contains(t, actions, action, code)
				for _, l := range locale.Languages() {
					require.NotEqual(t, "remedy."+action, locale.Text(l, "remedy."+action, nil), "%s in %s", action, l)
				}
			}
		}
	}
}

func enum(t *testing.T, schema string) []string {
	t.Helper()
	require.Contains(t, apitest.OpenAPI().Doc.Components.Schemas, schema)
	var values []string
	for _, value := range apitest.OpenAPI().Doc.Components.Schemas[schema].Value.Enum {
		values = append(values, value.(string))
	}
	return values
}
