package invitations_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// table is an export as a spreadsheet program reads it: a row for each address, its cells by the names of the columns.
type table map[string]map[string]string

// exportTable reads an export, whose codes no log may hold. The query begins with the format: "csv&status=pending".
func exportTable(t testing.TB, h *apitest.Harness, p apitest.Portal, query string, with ...apitest.Option) table {
	t.Helper()
	format, _, _ := strings.Cut(query, "&")
	a := h.Get(t, p.Admin+"/invitations/export?format="+query, append([]apitest.Option{apitest.AsOperator}, with...)...).
		Status(http.StatusOK).HasHeader("Cache-Control", "no-store")
	require.Equal(t, fmt.Sprintf(`attachment; filename="invitations-acme-%s.%s"`, h.Clock.Now().Format(time.DateOnly), format),
		a.Header.Get("Content-Disposition"))
	var rows [][]string
	var err error
	if format == "xlsx" {
		book, err := excelize.OpenReader(bytes.NewReader(a.Body))
		require.NoError(t, err)
		defer func() { require.NoError(t, book.Close()) }()
		require.Equal(t, []string{"Invitations"}, book.GetSheetList())
		rows, err = book.GetRows("Invitations")
		require.NoError(t, err)
	} else {
		rows, err = csv.NewReader(bytes.NewReader(a.Body)).ReadAll()
		require.NoError(t, err)
	}
	return tableOf(t, h, rows)
}

func tableOf(t testing.TB, h *apitest.Harness, rows [][]string) table {
	t.Helper()
	columns := rows[0]
	require.Equal(t, []string{
		"code", "email", "status", "roles", "entitlements", "locale", "invited_by", "created_at", "sent_at", "expires_at", "accepted_at",
	}, columns)
	read := table{}
	for _, cells := range rows[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			row[columns[i]] = cell
		}
		read[row["email"]] = row
		h.Log.Forbid(row["code"])
	}
	require.Len(t, read, len(rows)-1)
	return read
}

// An export holds the very codes that were mailed, and each is good, however the person types it.
func TestExportedCodesWork(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"csv", "xlsx"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				h := apitest.New(t, db)
				p := h.Portal(t)
				const people = 12
				for i := range people {
					h.Post(t, p.Admin+"/invitations", unsent(fmt.Sprintf("p%d@example.com", i), apitest.Object{"roles": []string{"editor", "reader"}}),
						apitest.AsOperator).Status(http.StatusCreated)
				}
				exported := exportTable(t, h, p, format)
				require.Len(t, exported, people)
				for i := range people {
					email := fmt.Sprintf("p%d@example.com", i)
					row := exported[email]
					require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$`, row["code"])
					require.Equal(t, "pending", row["status"])
					require.Equal(t, "editor, reader", row["roles"])
					require.Equal(t, h.TimeAfter(7*24*time.Hour), row["expires_at"])
					typed := strings.ToLower(strings.ReplaceAll(row["code"], "-", " "))
					h.Post(t, p.Front+"/invitations/verify", apitest.Object{"code": typed}).Status(http.StatusOK)
					h.Post(t, p.Front+"/invitations/redeem", apitest.Object{"code": " " + typed, "email": email, "password": apitest.GoodPassword}).
						Status(http.StatusCreated).Is("account.roles", []string{"editor", "reader"})
				}
				for _, row := range exportTable(t, h, p, format) {
					require.Equal(t, "accepted", row["status"])
					require.Empty(t, row["code"], "what is used up opens nothing")
					require.Equal(t, h.TimeAfter(0), row["accepted_at"])
				}
			})
		})
	}
}

func TestExportPermissions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for address, members := range map[string]apitest.Object{
			"editor@example.com": {"roles": []string{"editor", "Admin"}}, "boss@example.com": {"roles": []string{"x", "admin"}},
			"gone@example.com": {"expires_in": 60},
		} {
			h.Post(t, p.Admin+"/invitations", unsent(address, members), apitest.AsOperator).Status(http.StatusCreated)
		}
		h.Clock.Advance(time.Minute)
		in := h.LogIn(t, h.Account(t, p, apitest.Object{"roles": []string{"admin"}}))
		exporter := h.APIKey(t, apitest.Object{"scopes": []string{"invitations:export"}}).Text
		for name, who := range map[string]struct {
			with  apitest.Option
			boss  bool
			actor string
		}{
			"operator":                       {apitest.AsOperator, true, "operator"},
			"a portal's administrator":       {apitest.Bearer(in.Access), false, "account:"},
			"a key that may do nothing else": {apitest.Bearer(exporter), false, "api_key:"},
		} {
			for _, format := range []string{"csv", "xlsx"} {
				before := h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitations.exported'")
				h.Call(t, http.MethodHead, p.Admin+"/invitations/export", nil, who.with).Status(http.StatusOK)
				require.Equal(t, before, h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitations.exported'"), "HEAD tells nothing")
				exported := exportTable(t, h, p, format, who.with)
				require.NotEmpty(t, exported["editor@example.com"]["code"], name)
				require.Equal(t, who.boss, exported["boss@example.com"]["code"] != "", name)
				require.Empty(t, exported["gone@example.com"]["code"])
				require.Equal(t, "expired", exported["gone@example.com"]["status"])
				actor := h.QueryValue(t, "SELECT actor FROM audit_events WHERE type = 'invitations.exported' ORDER BY id DESC LIMIT 1")
				require.True(t, strings.HasPrefix(actor, who.actor), actor)
			}
		}
		require.Len(t, exportTable(t, h, p, "csv&status=pending"), 2)
		require.Len(t, exportTable(t, h, p, "csv&q=BOSS"), 1)
		require.Empty(t, exportTable(t, h, p, "xlsx&status=accepted"))
		for query, pointer := range map[string]string{"format=pdf": "/format", "format=": "/format", "status=x": "/status", "format=csv&format=xlsx": "/format"} {
			a := h.Get(t, p.Admin+"/invitations/export?"+query, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed").
				HasHeader("Content-Disposition", "").HasHeader("Content-Type", "application/problem+json")
			require.Equal(t, pointer, a.Text("errors.0.pointer"))
		}
	})
}

// No cell is a formula, whatever its text.
func TestExportEscapesFormulas(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Post(t, p.Admin+"/invitations", unsent("=1+1@example.com", apitest.Object{
			"roles": []string{"=HYPERLINK(\"https://evil.example\")", "+1", "x;=2"}, "entitlements": []string{"-1", "@SUM(1)", "\u00a0=3"},
		}), apitest.AsOperator).Status(http.StatusCreated)
		for _, format := range []string{"csv", "xlsx"} {
			row := exportTable(t, h, p, format)["'=1+1@example.com"]
			require.NotEmpty(t, row["code"])
			require.Equal(t, "'=HYPERLINK(\"https://evil.example\"),' +1, x;'=2", row["roles"])
			for name, cell := range row {
				require.NotRegexp(t, `(^|[,;|\t\n])[ "\x{a0}]*[=+\-@]`, cell, name)
			}
		}
	})
}

// Exports are longer than one batch; and one that breaks off does not pass for whole.
func TestLongExport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		p := h.Portal(t)
		const people = 1_203
		var file strings.Builder
		file.WriteString("email,send\n")
		for i := range people {
			fmt.Fprintf(&file, "p%d@example.com,no\n", i)
		}
		direct := *h // a file may take longer than a client on a loaded machine waits
		direct.BaseURL = ""
		postImport(t, &direct, p, file.String()).Is("accepted", people)
		for _, format := range []string{"csv", "xlsx"} {
			exported := exportTable(t, h, p, format)
			require.Len(t, exported, people)
			codes := map[string]bool{}
			for _, row := range exported {
				codes[row["code"]] = true
			}
			require.Len(t, codes, people)
		}

		h.Exec(t, "UPDATE invitations SET email = 'no address' WHERE email = 'p0@example.com'") // the last to be read
		r := h.Request(t, http.MethodGet, p.Admin+"/invitations/export", nil)
		apitest.AsOperator(r)
		response, err := apitest.Impatient.Do(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, err = io.ReadAll(response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NoError(t, response.Body.Close())
		require.Contains(t, h.Log.String(), "an export was broken off")
		h.Get(t, p.Admin+"/invitations/export?format=xlsx", apitest.AsOperator).Problem(http.StatusInternalServerError, "internal").
			HasHeader("Content-Disposition", "")
	})
}
