package invitations_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

const xlsxType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// Lists that Excel saves are imported. An address with letters that its code page leaves in doubt is rejected.
func TestImportOfExcelsFiles(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		const list = "E-Mail;Roles;Send\r\nada@example.com;Müller;no\r\njörg@example.com;;no\r\n"
		ansi, err := charmap.Windows1252.NewEncoder().String(list)
		require.NoError(t, err)
		postImport(t, h, p, ansi).Status(http.StatusOK).Is("accepted", 1).Is("rejected", 1).Is("results.0.status", "accepted").
			Is("results.1.code", "validation_failed")
		postImport(t, h, p, ansi, apitest.Language("de")).Status(http.StatusOK).Is("results.1.detail",
			"email: Diese Adresse hat Buchstaben, die in dieser Datei nicht eindeutig sind. Wählen Sie in Excel Datei > Speichern unter > "+
				"CSV UTF-8 und senden Sie diese Datei; bereits übernommene Zeilen werden nicht wiederholt.")
		h.Get(t, p.Admin+"/invitations", apitest.AsOperator).Is("items.0.email", "ada@example.com").Is("items.0.roles", []string{"Müller"})

		utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(strings.ReplaceAll(list, ";", "\t"))
		require.NoError(t, err)
		postImport(t, h, p, utf16).Status(http.StatusOK).Is("accepted", 1).Is("results.0.code", "invitation_pending").
			Is("results.1.status", "accepted").Is("results.1.email", "jörg@example.com")
	})
}

// What an export writes goes in elsewhere as the same people, hostile names and all, once the columns that an import
// has no use for are deleted.
func TestExportIsImportedElsewhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		people := []string{"+lead@example.com", "=cmd@example.com", "jörg@example.com", "o'neil@example.com"}
		rows := [][]string{{"email", "roles", "send"}}
		from := h.Portal(t)
		for _, address := range people {
			body := unsent(address, apitest.Object{"roles": []string{"=admins", "-x"}})
			h.Post(t, from.Admin+"/invitations", body, apitest.AsOperator).Status(http.StatusCreated)
		}
		exported := exportTable(t, h, from, "csv&q=lead")
		require.Contains(t, exported, "'+lead@example.com", "as the export writes it")
		for _, cells := range exportTable(t, h, from, "csv") {
			rows = append(rows, []string{cells["email"], cells["roles"], "no"})
		}
		var text, book bytes.Buffer
		asText := spreadsheet.NewCSV(&text)
		asBook, err := spreadsheet.NewXLSX(&book, "People")
		require.NoError(t, err)
		for _, row := range rows {
			require.NoError(t, asText.Write(row))
			require.NoError(t, asBook.Write(row))
		}
		require.NoError(t, asText.Close())
		require.NoError(t, asBook.Close())
		for kind, file := range map[string]string{"text/csv; charset=utf8": text.String(), xlsxType: book.String()} {
			to := h.Portal(t, apitest.Object{"slug": fmt.Sprintf("to-%d", len(kind))})
			postImport(t, h, to, file, apitest.Header("Content-Type", kind)).Status(http.StatusOK).Is("accepted", len(people))
			got := h.Get(t, to.Admin+"/invitations", apitest.AsOperator)
			require.ElementsMatch(t, people, got.List("items", "email"))
			got.Is("items.0.roles", []string{"=admins", "-x"})
		}
	})
}

// A file of another kind is answered with the way to save it as one that can be read, in the caller's language.
func TestFilesOfOtherKinds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for file, want := range map[string]string{
			"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  "(.xls)",
			"PK\x03\x04\x14\x00\x06\x00":        "CSV UTF-8",
			"%PDF-1.7":                          "PDF",
			"<html><table>":                     "(HTML)",
			"<?xml version=\"1.0\"?><Workbook>": "XML",
			"email\nm\x81ller@example.com":      "UTF-8",
			"em\"ail\n":                         "CSV UTF-8",
		} {
			a := postImport(t, h, p, file).Problem(http.StatusBadRequest, "malformed_request")
			require.Contains(t, a.Text("detail"), want)
			require.Contains(t, a.Text("detail"), "choose File > Save As")
			require.Equal(t, a.Text("detail"), a.Text("errors.0.detail"))
			require.Contains(t, postImport(t, h, p, file, apitest.Language("fr")).Text("detail"), "choisissez Fichier > Enregistrer sous")
		}
	})
}

// The commonest misspelling of UTF-8 is UTF-8; every other charset is named as what is wrong.
func TestCharsetOfBodies(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		lookup := func(kind string) *apitest.Answer {
			return h.Post(t, p.Front+"/lookup", apitest.Object{"email": "ada@example.com"}, apitest.Header("Content-Type", kind))
		}
		for _, charset := range []string{"utf-8", "UTF-8", `"utf-8"`, "utf8", "UTF8", `"Utf8"`} {
			require.NotEqual(t, http.StatusUnsupportedMediaType, lookup("application/json; charset="+charset).HTTPStatus, charset)
			postImport(t, h, p, "email\n", apitest.Header("Content-Type", "text/csv; charset="+charset)).Status(http.StatusOK)
		}
		for _, charset := range []string{"windows-1252", "utf-16", "us-ascii", "utf", "utf88", `""`} {
			for _, a := range []*apitest.Answer{
				lookup("application/json;charset=" + charset),
				postImport(t, h, p, "email\n", apitest.Header("Content-Type", "text/csv; charset="+charset)),
			} {
				a.Problem(http.StatusUnsupportedMediaType, "unsupported_media_type").FieldError("/Content-Type/charset", "not_allowed")
				require.Contains(t, a.Text("detail"), "charset")
				require.Contains(t, a.Text("errors.0.detail"), "utf-8")
			}
		}
		a := postImport(t, h, p, "email\n", apitest.Header("Content-Type", "text/plain")).FieldError("/Content-Type", "not_allowed")
		require.Contains(t, a.Text("errors.0.detail"), "text/csv, "+xlsxType)
	})
}
