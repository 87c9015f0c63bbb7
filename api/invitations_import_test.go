package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// imports sends a file of invitations.
func (h *harness) imports(t testing.TB, p portal, file string, with ...option) *answer {
	t.Helper()
	return h.post(t, p.admin+"/invitations/import", file, append([]option{asOperator}, with...)...)
}

// The same two people, as programs write them down under the settings of one country or another.
func TestImportOfSpreadsheets(t *testing.T) {
	t.Parallel()
	const comma = "email,roles,metadata,expires_in,send\r\n" +
		"Ada@example.com,\"editor, reader\",\"{\"\"customer\"\": \"\"1815\"\"}\",3600,FALSE\r\n" +
		"jörg@bücher.example,,,,false\r\n"
	semicolon := strings.NewReplacer(",3600", ";3600", ",\"", ";\"", ",,,,", ";;;;", ",FALSE", ";FALSCH", "email,roles,metadata,expires_in,send",
		"email;roles;metadata;expires_in;send").Replace(comma)
	for name, file := range map[string]string{
		"CSV": comma, "CSV UTF-8": "\ufeff" + comma, "German": semicolon, "German UTF-8": "\ufeff" + semicolon,
		"with sep=":   "sep=;\r\n" + semicolon,
		"Unix":        strings.ReplaceAll(comma, "\r\n", "\n"),
		"Macintosh":   strings.ReplaceAll(comma, "\r\n", "\r"),
		"no last end": strings.TrimSuffix(comma, "\r\n"),
		"tabs": "E-Mail\tRoles\tMetadata\tExpires in\tSend\r\n" +
			"Ada@example.com\teditor|reader\t\"{\"\"customer\"\": \"\"1815\"\"}\"\t3600\tno\r\njörg@bücher.example\t\t\t\t0\r\n",
		"another order": "SEND;ROLES;EMAIL;Expires-In;metadata\r\n" +
			"false;\"editor;reader\";Ada@example.com;3600;\"{\"\"customer\"\":\"\"1815\"\"}\"\r\nfalse;;jörg@bücher.example;;\r\n",
		"empty rows and columns": "email,roles,metadata,expires_in,send,,\r\n,,,,,,\r\n" +
			"Ada@example.com,\"editor;reader\",\"{\"\"customer\"\":\"\"1815\"\"}\",3600,false,,\r\n\r\n jörg@bücher.example ,,,,false,,\r\n,,,,,,\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				h := newHarness(t, db)
				p := h.portal(t)
				h.imports(t, p, file).status(http.StatusOK).is("accepted", 2).is("rejected", 0).
					is("results.0.status", "accepted").is("results.0.code", nil).is("results.0.detail", nil).
					is("results.0.email", "Ada@example.com").is("results.1.email", "jörg@bücher.example")
				list := h.get(t, p.admin+"/invitations", asOperator)
				require.Equal(t, []any{"jörg@bücher.example", "Ada@example.com"}, list.list("items", "email"))
				list.is("items.1.roles", []string{"editor", "reader"}).is("items.1.metadata", object{"customer": "1815"}).
					is("items.1.expires_at", h.stamp(time.Hour)).is("items.1.sent_at", nil).is("items.1.invited_by", "operator").
					is("items.0.roles", []string{}).is("items.0.metadata", object{}).is("items.0.expires_at", h.stamp(7*24*time.Hour))
			})
		})
	}
}

// A row that is wrong is told why, in the caller's language, and holds up no other; the numbers are a spreadsheet's.
func TestImportTellsOfEveryRow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.account(t, p, object{"email": "known@example.com"})
		h.post(t, p.admin+"/invitations", unsent("invited@example.com"), asOperator).status(http.StatusCreated)
		rows := []struct{ row, code, detail string }{
			{"good@example.com", "", ""},
			{"nobody", "validation_failed", "email: "},
			{",admin", "validation_failed", "email: "},
			{"KNOWN@example.com", "email_already_registered", "account"},
			{"invited@Example.com", "invitation_pending", "pending"},
			{"Good@example.com", "invitation_pending", "pending"},
			{"a@example.com," + strings.Repeat("x", 129), "validation_failed", "roles/0: "},
			{"b@example.com,,xx", "validation_failed", "locale: "},
			{"c@example.com,,,5", "validation_failed", "expires_in: "},
			{"d@example.com,,,soon", "validation_failed", "expires_in: "},
			{"e@example.com,,,,[1]", "validation_failed", "metadata: "},
			{`f@example.com,,,,"{""a"":1,""a"":2}"`, "validation_failed", "metadata: "},
			{"g@example.com,,,,,perhaps", "validation_failed", "send: "},
			{"h\x01@example.com", "validation_failed", "email: "},
			{"j@example.com,\"a|" + strings.Repeat("a|", 40_000) + "\"", "validation_failed", "roles: "},
			{"k@example.com,,\"d\ta\"", "validation_failed", "locale: "},
			{"x,x,x,x,x,x,too many cells", "malformed_request", "This row cannot be read"},
			{`i@example.com,a"b`, "malformed_request", ""},
			{"last@example.com,\"editor\treader\"", "", ""},
		}
		var file strings.Builder
		file.WriteString("email,roles,locale,expires_in,metadata,send\n")
		for _, r := range rows {
			file.WriteString(r.row + "\n")
		}
		a := h.imports(t, p, file.String()).status(http.StatusOK).is("accepted", 2).is("rejected", len(rows)-2)
		for i, r := range rows {
			at := fmt.Sprintf("results.%d.", i)
			a.is(at+"row", i+2)
			if r.code == "" {
				a.is(at+"status", "accepted").is(at+"code", nil).is(at+"detail", nil)
				continue
			}
			a.is(at+"status", "rejected").is(at+"code", r.code)
			require.Contains(t, a.text(at+"detail"), r.detail)
		}
		a.is("results.0.email", "good@example.com").is("results.2.email", nil)
		require.ElementsMatch(t, []any{"last@example.com", "good@example.com", "invited@example.com"},
			h.get(t, p.admin+"/invitations", asOperator).list("items", "email"))
		h.imports(t, p, "email\nnobody\n", language("de")).is("results.0.detail", "email: "+
			h.post(t, p.admin+"/invitations", object{"email": "nobody"}, asOperator, language("de")).text("errors.0.detail"))
	})
}

// What was sent once may be sent again: nobody is invited or mailed twice.
func TestImportTwice(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		const people = 450 // three transactions
		var file strings.Builder
		file.WriteString("email;roles\r\n")
		for i := range people {
			fmt.Fprintf(&file, "p%d@example.com;editor\r\n", i)
		}
		o.imports(t, p, file.String()).status(http.StatusOK).is("accepted", people).is("rejected", 0)
		o.imports(t, p, file.String()).status(http.StatusOK).is("accepted", 0).is("rejected", people)
		require.Equal(t, people, o.quiet(t))
		require.Equal(t, fmt.Sprint(people), o.sql(t, "SELECT COUNT(*) FROM invitations"))
		require.Equal(t, fmt.Sprint(people), o.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation.created' AND outcome = 'success'"))
		require.Equal(t, fmt.Sprint(people), o.sql(t, "SELECT COUNT(DISTINCT number) FROM invitations"))
	})
}

func TestImportAtOnceWithWhoIsInvitedOneByOne(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		const people = 300
		forth, back := []string{"email,send"}, []string{"email,send"}
		for i := range people {
			forth = append(forth, fmt.Sprintf("p%d@example.com,no", i))
			back = append(back, fmt.Sprintf("P%d@example.com,no", people-1-i))
		}
		const one = 10
		answers := make([]*answer, 2+one)
		var all sync.WaitGroup
		for i, file := range []string{strings.Join(forth, "\n"), strings.Join(back, "\n")} {
			all.Go(func() { answers[i] = f[i%len(f)].imports(t, p, file) })
		}
		for i := range one {
			all.Go(func() {
				body := unsent(fmt.Sprintf("p%d@example.com", i*29))
				answers[2+i] = f[i%len(f)].post(t, p.admin+"/invitations", body, asOperator)
			})
		}
		all.Wait()
		made := 0
		for _, a := range answers {
			switch a.httpStatus {
			case http.StatusOK:
				accepted, _ := a.at("accepted")
				made += int(accepted.(float64))
			case http.StatusCreated:
				made++
			default:
				a.problem(http.StatusConflict, "invitation_pending")
			}
		}
		require.Equal(t, people, made)
		require.Equal(t, fmt.Sprint(people), h.sql(t, "SELECT COUNT(*) FROM invitations WHERE open"))
	})
}

func TestFilesThatAreNotTaken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		rows := func(n int) string { return "email,send\n" + strings.Repeat("ada@example.com,no\n", n) }
		for name, wrong := range map[string]struct {
			file          string
			status        int
			pointer, code string
		}{
			"nothing":          {"", http.StatusUnprocessableEntity, "/columns/email", "required"},
			"no address":       {"roles\neditor\n", http.StatusUnprocessableEntity, "/columns/email", "required"},
			"a column twice":   {"email,Email\na@example.com,b@example.com\n", http.StatusUnprocessableEntity, "/columns/2", "duplicate_member"},
			"two addresses":    {"email,E-Mail\na@example.com,b@example.com\n", http.StatusUnprocessableEntity, "/columns/email", "duplicate_member"},
			"no name":          {"email,\na@example.com,b\n", http.StatusUnprocessableEntity, "/columns/2", "required"},
			"an unknown one":   {"email,role\na@example.com,admin\n", http.StatusUnprocessableEntity, "/columns/role", "not_allowed"},
			"a long one":       {"email," + strings.Repeat("x", 1000) + "\n", http.StatusUnprocessableEntity, "/columns/" + strings.Repeat("x", 100), "not_allowed"},
			"many":             {"email" + strings.Repeat(",x", 60_000) + "\n", http.StatusUnprocessableEntity, "/columns/3", "duplicate_member"},
			"too many rows":    {rows(10_001), http.StatusUnprocessableEntity, "/rows", "too_many"},
			"UTF-16":           {"\xff\xfee\x00m\x00a\x00i\x00l\x00", http.StatusBadRequest, "", "invalid_encoding"},
			"Windows-1252":     {"email,roles\na@example.com,M\xfcller\n", http.StatusBadRequest, "", "invalid_encoding"},
			"a workbook":       {"PK\x03\x04\x14\x00\x06\x00", http.StatusBadRequest, "", "invalid_encoding"},
			"a broken header":  {"em\"ail,\"roles\na@example.com,x\n", http.StatusBadRequest, "", "invalid_json"},
			"JSON, to be sure": {`{"email":"ada@example.com"}`, http.StatusBadRequest, "", "invalid_json"},
		} {
			a := h.imports(t, p, wrong.file).status(wrong.status)
			require.True(t, a.names(wrong.pointer, wrong.code), "%s: %.500s", name, a.body)
			require.Less(t, len(a.body), 4096, name)
		}
		h.imports(t, p, "email\n"+strings.Repeat("x", 10<<20)).problem(http.StatusRequestEntityTooLarge, "request_too_large")
		h.imports(t, p, rows(10_000)).status(http.StatusOK).is("accepted", 1).is("rejected", 9_999)
		h.imports(t, p, "email\n").status(http.StatusOK).is("accepted", 0).is("results", []any{})
		for _, kind := range []string{"", "application/json", "text/plain", "text/csv; charset=iso-8859-1", "text/csv, text/csv", "application/x-ndjson"} {
			h.imports(t, p, rows(1), header("Content-Type", kind)).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		h.imports(t, p, rows(1), header("Content-Encoding", "gzip")).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		h.imports(t, p, rows(1), header("Content-Type", "Text/CSV; Charset=UTF-8; header=present")).status(http.StatusOK)
		require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM invitations"))
	})
}
