package api_test

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

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// table is an export as a spreadsheet program reads it: a row for each address, its cells by the names of the columns.
type table map[string]map[string]string

// exports reads an export of a format, whose codes no log may hold.
func (h *harness) exports(t testing.TB, p portal, format, query string, with ...option) table {
	t.Helper()
	a := h.get(t, p.admin+"/invitations/export?format="+format+query, append([]option{asOperator}, with...)...).
		status(http.StatusOK).sets("Cache-Control", "no-store")
	require.Equal(t, fmt.Sprintf(`attachment; filename="invitations-acme-%s.%s"`, h.clock.now().Format(time.DateOnly), format),
		a.header.Get("Content-Disposition"))
	var rows [][]string
	var err error
	if format == "xlsx" {
		book, err := excelize.OpenReader(bytes.NewReader(a.body))
		require.NoError(t, err)
		defer func() { require.NoError(t, book.Close()) }()
		require.Equal(t, []string{"Invitations"}, book.GetSheetList())
		rows, err = book.GetRows("Invitations")
		require.NoError(t, err)
	} else {
		rows, err = csv.NewReader(bytes.NewReader(a.body)).ReadAll()
		require.NoError(t, err)
	}
	return h.tableOf(t, rows)
}

func (h *harness) tableOf(t testing.TB, rows [][]string) table {
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
		h.log.forbid(row["code"])
	}
	require.Len(t, read, len(rows)-1)
	return read
}

// An export holds the very codes that were mailed, and each is good, however the person types it.
func TestExportedCodesAreGood(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"csv", "xlsx"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				h := newHarness(t, db)
				p := h.portal(t)
				const people = 12
				for i := range people {
					h.post(t, p.admin+"/invitations", unsent(fmt.Sprintf("p%d@example.com", i), object{"roles": []string{"editor", "reader"}}),
						asOperator).status(http.StatusCreated)
				}
				exported := h.exports(t, p, format, "")
				require.Len(t, exported, people)
				for i := range people {
					email := fmt.Sprintf("p%d@example.com", i)
					row := exported[email]
					require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$`, row["code"])
					require.Equal(t, "pending", row["status"])
					require.Equal(t, "editor, reader", row["roles"])
					require.Equal(t, h.stamp(7*24*time.Hour), row["expires_at"])
					typed := strings.ToLower(strings.ReplaceAll(row["code"], "-", " "))
					h.post(t, p.front+"/invitations/verify", object{"code": typed}).status(http.StatusOK)
					h.post(t, p.front+"/invitations/redeem", object{"code": " " + typed, "email": email, "password": goodPassword}).
						status(http.StatusCreated).is("account.roles", []string{"editor", "reader"})
				}
				for _, row := range h.exports(t, p, format, "") {
					require.Equal(t, "accepted", row["status"])
					require.Empty(t, row["code"], "what is used up opens nothing")
					require.Equal(t, h.stamp(0), row["accepted_at"])
				}
			})
		})
	}
}

func TestWhoSeesWhichCodes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for address, members := range map[string]object{
			"editor@example.com": {"roles": []string{"editor", "Admin"}}, "boss@example.com": {"roles": []string{"x", "admin"}},
			"gone@example.com": {"expires_in": 60},
		} {
			h.post(t, p.admin+"/invitations", unsent(address, members), asOperator).status(http.StatusCreated)
		}
		h.clock.advance(time.Minute)
		in := h.logIn(t, h.account(t, p, object{"roles": []string{"admin"}}))
		exporter := h.apiKey(t, object{"scopes": []string{"invitations:export"}}).text
		for name, who := range map[string]struct {
			with  option
			boss  bool
			actor string
		}{
			"operator":                       {asOperator, true, "operator"},
			"a portal's administrator":       {bearer(in.access), false, "account:"},
			"a key that may do nothing else": {bearer(exporter), false, "api_key:"},
		} {
			for _, format := range []string{"csv", "xlsx"} {
				before := h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitations.exported'")
				h.call(t, http.MethodHead, p.admin+"/invitations/export", nil, who.with).status(http.StatusOK)
				require.Equal(t, before, h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitations.exported'"), "HEAD tells nothing")
				exported := h.exports(t, p, format, "", who.with)
				require.NotEmpty(t, exported["editor@example.com"]["code"], name)
				require.Equal(t, who.boss, exported["boss@example.com"]["code"] != "", name)
				require.Empty(t, exported["gone@example.com"]["code"])
				require.Equal(t, "expired", exported["gone@example.com"]["status"])
				actor := h.sql(t, "SELECT actor FROM audit_events WHERE type = 'invitations.exported' ORDER BY id DESC LIMIT 1")
				require.True(t, strings.HasPrefix(actor, who.actor), actor)
			}
		}
		require.Len(t, h.exports(t, p, "csv", "&status=pending"), 2)
		require.Len(t, h.exports(t, p, "csv", "&q=BOSS"), 1)
		require.Empty(t, h.exports(t, p, "xlsx", "&status=accepted"))
		for query, pointer := range map[string]string{"format=pdf": "/format", "format=": "/format", "status=x": "/status", "format=csv&format=xlsx": "/format"} {
			a := h.get(t, p.admin+"/invitations/export?"+query, asOperator).problem(http.StatusUnprocessableEntity, "validation_failed").
				sets("Content-Disposition", "").sets("Content-Type", "application/problem+json")
			require.Equal(t, pointer, a.text("errors.0.pointer"))
		}
	})
}

// No cell is a formula, whoever chose what stands in it.
func TestNoCellIsRun(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.post(t, p.admin+"/invitations", unsent("=1+1@example.com", object{
			"roles": []string{"=HYPERLINK(\"https://evil.example\")", "+1", "x;=2"}, "entitlements": []string{"-1", "@SUM(1)", "\u00a0=3"},
		}), asOperator).status(http.StatusCreated)
		for _, format := range []string{"csv", "xlsx"} {
			row := h.exports(t, p, format, "")["'=1+1@example.com"]
			require.NotEmpty(t, row["code"])
			require.Equal(t, "'=HYPERLINK(\"https://evil.example\"),' +1, x;'=2", row["roles"])
			for name, cell := range row {
				require.NotRegexp(t, `(^|[,;|\t\n])[ "\x{a0}]*[=+\-@]`, cell, name)
			}
		}
	})
}

// Exports are longer than one batch; and one that breaks off does not pass for whole.
func TestALongExport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := overSocket(t, db)
		p := h.portal(t)
		const people = 1_203
		var file strings.Builder
		file.WriteString("email,send\n")
		for i := range people {
			fmt.Fprintf(&file, "p%d@example.com,no\n", i)
		}
		direct := *h // a file may take longer than a client on a loaded machine waits
		direct.base = ""
		direct.imports(t, p, file.String()).is("accepted", people)
		for _, format := range []string{"csv", "xlsx"} {
			exported := h.exports(t, p, format, "")
			require.Len(t, exported, people)
			codes := map[string]bool{}
			for _, row := range exported {
				codes[row["code"]] = true
			}
			require.Len(t, codes, people)
		}

		h.exec(t, "UPDATE invitations SET email = 'no address' WHERE email = 'p0@example.com'") // the last to be read
		r := h.request(t, http.MethodGet, p.admin+"/invitations/export", nil)
		asOperator(r)
		response, err := impatient.Do(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, err = io.ReadAll(response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NoError(t, response.Body.Close())
		require.Contains(t, h.log.String(), "an export was broken off")
		h.get(t, p.admin+"/invitations/export?format=xlsx", asOperator).problem(http.StatusInternalServerError, "internal").
			sets("Content-Disposition", "")
	})
}
