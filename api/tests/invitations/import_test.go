package invitations_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// postImport sends a file of invitations.
func postImport(t testing.TB, h *apitest.Harness, p apitest.Portal, file string, with ...apitest.Option) *apitest.Answer {
	t.Helper()
	return h.Post(t, p.Admin+"/invitations/import", file, append([]apitest.Option{apitest.AsOperator}, with...)...)
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
				h := apitest.New(t, db)
				p := h.Portal(t)
				postImport(t, h, p, file).Status(http.StatusOK).Is("accepted", 2).Is("rejected", 0).
					Is("results.0.status", "accepted").Is("results.0.code", nil).Is("results.0.detail", nil).
					Is("results.0.email", "Ada@example.com").Is("results.1.email", "jörg@bücher.example")
				list := h.Get(t, p.Admin+"/invitations", apitest.AsOperator)
				require.Equal(t, []any{"jörg@bücher.example", "Ada@example.com"}, list.List("items", "email"))
				list.Is("items.1.roles", []string{"editor", "reader"}).Is("items.1.metadata", apitest.Object{"customer": "1815"}).
					Is("items.1.expires_at", h.TimeAfter(time.Hour)).Is("items.1.sent_at", nil).Is("items.1.invited_by", "operator").
					Is("items.0.roles", []string{}).Is("items.0.metadata", apitest.Object{}).Is("items.0.expires_at", h.TimeAfter(7*24*time.Hour))
			})
		})
	}
}

// A wrong row is rejected with a reason in the caller's language and does not stop the others. Rows have the numbers of
// a spreadsheet program.
func TestImportReportsEveryRow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Account(t, p, apitest.Object{"email": "known@example.com"})
		h.Post(t, p.Admin+"/invitations", unsent("invited@example.com"), apitest.AsOperator).Status(http.StatusCreated)
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
		a := postImport(t, h, p, file.String()).Status(http.StatusOK).Is("accepted", 2).Is("rejected", len(rows)-2)
		for i, r := range rows {
			at := fmt.Sprintf("results.%d.", i)
			a.Is(at+"row", i+2)
			if r.code == "" {
				a.Is(at+"status", "accepted").Is(at+"code", nil).Is(at+"detail", nil)
				continue
			}
			a.Is(at+"status", "rejected").Is(at+"code", r.code)
			require.Contains(t, a.Text(at+"detail"), r.detail)
		}
		a.Is("results.0.email", "good@example.com").Is("results.2.email", nil)
		require.ElementsMatch(t, []any{"last@example.com", "good@example.com", "invited@example.com"},
			h.Get(t, p.Admin+"/invitations", apitest.AsOperator).List("items", "email"))
		postImport(t, h, p, "email\nnobody\n", apitest.Language("de")).Is("results.0.detail", "email: "+
			h.Post(t, p.Admin+"/invitations", apitest.Object{"email": "nobody"}, apitest.AsOperator, apitest.Language("de")).Text("errors.0.detail"))
	})
}

// What was sent once may be sent again: nobody is invited or mailed twice.
func TestImportTwice(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		const people = 450 // three transactions
		var file strings.Builder
		file.WriteString("email;roles\r\n")
		for i := range people {
			fmt.Fprintf(&file, "p%d@example.com;editor\r\n", i)
		}
		postImport(t, o.Harness, p, file.String()).Status(http.StatusOK).Is("accepted", people).Is("rejected", 0)
		postImport(t, o.Harness, p, file.String()).Status(http.StatusOK).Is("accepted", 0).Is("rejected", people)
		require.Equal(t, people, o.AwaitAllSent(t))
		require.Equal(t, fmt.Sprint(people), o.QueryValue(t, "SELECT COUNT(*) FROM invitations"))
		require.Equal(t, fmt.Sprint(people), o.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation.created' AND outcome = 'success'"))
		require.Equal(t, fmt.Sprint(people), o.QueryValue(t, "SELECT COUNT(DISTINCT number) FROM invitations"))
	})
}

func TestImportWhileInvitingOneByOne(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		const people = 300
		forth, back := []string{"email,send"}, []string{"email,send"}
		for i := range people {
			forth = append(forth, fmt.Sprintf("p%d@example.com,no", i))
			back = append(back, fmt.Sprintf("P%d@example.com,no", people-1-i))
		}
		const one = 10
		answers := make([]*apitest.Answer, 2+one)
		var all sync.WaitGroup
		for i, file := range []string{strings.Join(forth, "\n"), strings.Join(back, "\n")} {
			all.Go(func() { answers[i] = postImport(t, f[i%len(f)], p, file) })
		}
		for i := range one {
			all.Go(func() {
				body := unsent(fmt.Sprintf("p%d@example.com", i*29))
				answers[2+i] = f[i%len(f)].Post(t, p.Admin+"/invitations", body, apitest.AsOperator)
			})
		}
		all.Wait()
		made := 0
		for _, a := range answers {
			switch a.HTTPStatus {
			case http.StatusOK:
				accepted, _ := a.At("accepted")
				made += int(accepted.(float64))
			case http.StatusCreated:
				made++
			default:
				a.Problem(http.StatusConflict, "invitation_pending")
			}
		}
		require.Equal(t, people, made)
		require.Equal(t, fmt.Sprint(people), h.QueryValue(t, "SELECT COUNT(*) FROM invitations WHERE open"))
	})
}

func TestRefusedImportFiles(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
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
			"UTF-16, no mark":  {"e\x00m\x00a\x00i\x00l\x00", http.StatusBadRequest, "", "invalid_encoding"},
			"MS-DOS":           {"email,roles\na@example.com,M\x81ller\n", http.StatusBadRequest, "", "invalid_encoding"},
			"a workbook":       {"PK\x03\x04\x14\x00\x06\x00", http.StatusBadRequest, "", "invalid_encoding"},
			"a broken header":  {"em\"ail,\"roles\na@example.com,x\n", http.StatusBadRequest, "", "invalid_json"},
			"JSON, to be sure": {`{"email":"ada@example.com"}`, http.StatusBadRequest, "", "invalid_json"},
		} {
			a := postImport(t, h, p, wrong.file).Status(wrong.status)
			require.True(t, a.NamesField(wrong.pointer, wrong.code), "%s: %.500s", name, a.Body)
			require.Less(t, len(a.Body), 4096, name)
		}
		postImport(t, h, p, "email\n"+strings.Repeat("x", 10<<20)).Problem(http.StatusRequestEntityTooLarge, "request_too_large")
		postImport(t, h, p, rows(10_000)).Status(http.StatusOK).Is("accepted", 1).Is("rejected", 9_999)
		postImport(t, h, p, "email\n").Status(http.StatusOK).Is("accepted", 0).Is("results", []any{})
		for _, kind := range []string{"", "application/json", "text/plain", "text/csv; charset=iso-8859-1", "text/csv, text/csv", "application/x-ndjson"} {
			postImport(t, h, p, rows(1), apitest.Header("Content-Type", kind)).Problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		postImport(t, h, p, rows(1), apitest.Header("Content-Encoding", "gzip")).Problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		postImport(t, h, p, rows(1), apitest.Header("Content-Type", "Text/CSV; Charset=UTF-8; header=present")).Status(http.StatusOK)
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM invitations"))
	})
}
