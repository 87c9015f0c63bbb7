package invitations_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// An account that comes while the invitation of its address is renewed ends it all the same: it does not come back to
// life once the account has another address.
func TestAccountCreatedDuringRenewal(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		for round := range apitest.Rounds {
			email := fmt.Sprintf("eve%d@example.com", round)
			id := h.Post(t, p.Admin+"/invitations", unsent(email, apitest.Object{"roles": []string{"admin"}}), apitest.AsOperator).Text("id")
			answers := f.SendAtOnce(t,
				h.Prepare(t, http.MethodPost, p.Admin+"/accounts", apitest.Object{"email": email}, apitest.AsOperator),
				h.Prepare(t, http.MethodPost, p.Admin+"/invitations/"+id+"/resend", nil, apitest.AsOperator))
			account := answers[0].Status(http.StatusCreated).Text("id")
			require.Contains(t, []int{http.StatusAccepted, http.StatusConflict}, answers[1].HTTPStatus)
			h.Patch(t, p.Admin+"/accounts/"+account, apitest.Object{"email": "moved-" + email}, apitest.AsOperator).Status(http.StatusOK)
			h.Get(t, p.Admin+"/invitations/"+id, apitest.AsOperator).Is("status", "expired")
			require.Empty(t, exportTable(t, h, p, "csv&status=pending"))
		}
	})
}

// A registration that is confirmed becomes the account of its address, and ends an invitation that was made meanwhile.
func TestConfirmedRegistrationEndsInvitation(t *testing.T) {
	t.Parallel()
	for kind, path := range map[string]string{"confirmation": apitest.Confirmations, "reset": apitest.PasswordResets, "administrator": ""} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				o := apitest.NewWithMail(t, db)
				p := o.Portal(t)
				_, mail := o.Register(t, p)
				id := o.Post(t, p.Admin+"/invitations", unsent("other@example.com", apitest.Object{"roles": []string{"admin"}}), apitest.AsOperator).Text("id")
				// At the same moment they miss each other; here it is made so.
				o.Exec(t, "UPDATE invitations SET email = ?, email_canonical = ? WHERE id = ?", apitest.Newcomer, apitest.Newcomer, id)
				o.Get(t, p.Admin+"/invitations/"+id, apitest.AsOperator).Is("status", "pending")
				switch path {
				case apitest.Confirmations:
					o.Redeem(t, p, path, mail.ByLink()).Status(http.StatusOK)
				case apitest.PasswordResets:
					o.Redeem(t, p, path, o.RequestSecret(t, p, path, apitest.Newcomer).ByLink()).Status(http.StatusOK)
				default:
					account := o.Get(t, p.Admin+"/accounts?q="+apitest.Newcomer, apitest.AsOperator).Text("items.0.id")
					o.Patch(t, p.Admin+"/accounts/"+account, apitest.Object{"confirmed": true}, apitest.AsOperator).Status(http.StatusOK)
				}
				o.Get(t, p.Admin+"/invitations/"+id, apitest.AsOperator).Is("status", "expired")
			})
		})
	}
}

// Deleting a person deletes every invitation to them, under any of their addresses.
func TestDeletingPersonDeletesInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		invite := func(email string, term int) {
			t.Helper()
			h.Post(t, p.Admin+"/invitations", unsent(email, apitest.Object{"metadata": apitest.Object{"note": "told in confidence"}, "expires_in": term}),
				apitest.AsOperator).Status(http.StatusCreated)
		}
		invite("Eve.Old@example.com", 60)
		h.Clock.Advance(time.Minute)
		invite("eve.old@example.com", 3600)
		eve := h.Account(t, p, apitest.Object{"email": "eve.old@example.com"})
		h.Patch(t, eve.Admin, apitest.Object{"email": "eve.new@example.com"}, apitest.AsOperator).Status(http.StatusOK)
		require.Contains(t, strings.ToLower(h.Dump(t)), "eve.old")
		h.Delete(t, eve.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		left := strings.ToLower(h.Dump(t))
		for _, word := range []string{"eve.", "in confidence"} {
			require.NotContains(t, left, word)
		}
		require.Empty(t, h.Get(t, p.Admin+"/invitations", apitest.AsOperator).List("items", "id"))
	})
}

// The newest invitation holds the address, even if the clock of another instance is behind.
func TestInviteAgainWithClockBehind(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		invite := func() (id, code string) {
			t.Helper()
			id = h.Post(t, p.Admin+"/invitations", unsent("ada@example.com"), apitest.AsOperator).Status(http.StatusCreated).Text("id")
			return id, exportTable(t, h, p, "csv")["ada@example.com"]["code"]
		}
		id, older := invite()
		h.Delete(t, p.Admin+"/invitations/"+id, apitest.AsOperator).Status(http.StatusNoContent)
		h.Clock.Advance(-20 * time.Millisecond)
		_, newer := invite()
		verify := func(code string) *apitest.Answer {
			t.Helper()
			return h.Post(t, p.Front+"/invitations/verify", apitest.Object{"code": code})
		}
		verify(newer).Status(http.StatusOK)
		require.Contains(t, []int{http.StatusGone}, verify(older).HTTPStatus)
	})
}

// Numbers are for invitations that are made: sending a file again every hour uses none up.
func TestRefusedInvitationTakesNoNumber(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Account(t, p, apitest.Object{"email": "known@example.com"})
		for range 3 {
			postImport(t, h, p, "email,send\na@example.com,no\nknown@example.com,no\nb@example.com,no\nA@example.com,no\n").Status(http.StatusOK)
			h.Post(t, p.Admin+"/invitations", unsent("a@example.com"), apitest.AsOperator).Problem(http.StatusConflict, "invitation_pending")
		}
		require.Equal(t, "2", h.QueryValue(t, "SELECT last FROM invitation_numbers"))
	})
}

// HTTP/1.0 has no way to tell half an answer from a whole one but its length.
func TestExportOverHTTP10(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		p := h.Portal(t)
		var file strings.Builder
		file.WriteString("email,send\n")
		for i := range 600 {
			fmt.Fprintf(&file, "p%d@example.com,no\n", i)
		}
		direct := *h
		direct.BaseURL = ""
		postImport(t, &direct, p, file.String()).Is("accepted", 600)
		get := func() (status int, kind, body string) {
			t.Helper()
			conn, err := net.Dial("tcp", strings.TrimPrefix(h.BaseURL, "http://"))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = fmt.Fprintf(conn, "GET %s/invitations/export HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n", p.Admin, apitest.OperatorKey)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.EqualValues(t, response.ContentLength, len(text))
			return response.StatusCode, response.Header.Get("Content-Type"), string(text)
		}
		status, _, body := get()
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, 601, strings.Count(body, "\r\n"))
		h.Exec(t, "UPDATE invitations SET email = 'no address' WHERE email = 'p0@example.com'")
		status, kind, _ := get()
		require.Equal(t, http.StatusInternalServerError, status)
		require.Equal(t, "application/problem+json", kind)
	})
}
