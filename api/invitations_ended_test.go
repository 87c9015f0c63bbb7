package api_test

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

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// An account that comes while the invitation of its address is renewed ends it all the same: it does not come back to
// life once the account has another address.
func TestAnAccountComesWhileItsInvitationIsRenewed(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		for round := range rounds {
			email := fmt.Sprintf("eve%d@example.com", round)
			id := h.post(t, p.admin+"/invitations", unsent(email, object{"roles": []string{"admin"}}), asOperator).text("id")
			answers := f.atOnce(t,
				h.prepare(t, http.MethodPost, p.admin+"/accounts", object{"email": email}, asOperator),
				h.prepare(t, http.MethodPost, p.admin+"/invitations/"+id+"/resend", nil, asOperator))
			account := answers[0].status(http.StatusCreated).text("id")
			require.Contains(t, []int{http.StatusAccepted, http.StatusConflict}, answers[1].httpStatus)
			h.patch(t, p.admin+"/accounts/"+account, object{"email": "moved-" + email}, asOperator).status(http.StatusOK)
			h.get(t, p.admin+"/invitations/"+id, asOperator).is("status", "expired")
			require.Empty(t, h.exports(t, p, "csv", "&status=pending"))
		}
	})
}

// A claim that is proved becomes the account of its address, and ends the invitation that may have come beside it.
func TestAProvedClaimEndsTheInvitation(t *testing.T) {
	t.Parallel()
	for kind, path := range map[string]string{"confirmation": confirmations, "reset": resets, "administrator": ""} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				o := newOffice(t, db)
				p := o.portal(t)
				_, mail := o.registers(t, p)
				id := o.post(t, p.admin+"/invitations", unsent("other@example.com", object{"roles": []string{"admin"}}), asOperator).text("id")
				// At the same moment they miss each other; here it is made so.
				o.exec(t, "UPDATE invitations SET email = ?, email_canonical = ? WHERE id = ?", newcomer, newcomer, id)
				o.get(t, p.admin+"/invitations/"+id, asOperator).is("status", "pending")
				switch path {
				case confirmations:
					o.redeem(t, p, path, mail.byLink()).status(http.StatusOK)
				case resets:
					o.redeem(t, p, path, o.asks(t, p, path, newcomer).byLink()).status(http.StatusOK)
				default:
					account := o.get(t, p.admin+"/accounts?q="+newcomer, asOperator).text("items.0.id")
					o.patch(t, p.admin+"/accounts/"+account, object{"confirmed": true}, asOperator).status(http.StatusOK)
				}
				o.get(t, p.admin+"/invitations/"+id, asOperator).is("status", "expired")
			})
		})
	}
}

// Deleting a person takes along whatever invited him, under whichever address that was.
func TestInvitationsOfADeletedPersonGo(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		invite := func(email string, term int) {
			t.Helper()
			h.post(t, p.admin+"/invitations", unsent(email, object{"metadata": object{"note": "told in confidence"}, "expires_in": term}),
				asOperator).status(http.StatusCreated)
		}
		invite("Eve.Old@example.com", 60)
		h.clock.advance(time.Minute)
		invite("eve.old@example.com", 3600)
		eve := h.account(t, p, object{"email": "eve.old@example.com"})
		h.patch(t, eve.admin, object{"email": "eve.new@example.com"}, asOperator).status(http.StatusOK)
		require.Contains(t, strings.ToLower(h.dump(t)), "eve.old")
		h.delete(t, eve.admin, asOperator).status(http.StatusNoContent)
		left := strings.ToLower(h.dump(t))
		for _, word := range []string{"eve.", "in confidence"} {
			require.NotContains(t, left, word)
		}
		require.Empty(t, h.get(t, p.admin+"/invitations", asOperator).list("items", "id"))
	})
}

// The newest invitation is the one that holds the address, whatever the clock of another instance says.
func TestInvitedAnewByAClockThatIsBehind(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		invite := func() (id, code string) {
			t.Helper()
			id = h.post(t, p.admin+"/invitations", unsent("ada@example.com"), asOperator).status(http.StatusCreated).text("id")
			return id, h.exports(t, p, "csv", "")["ada@example.com"]["code"]
		}
		id, older := invite()
		h.delete(t, p.admin+"/invitations/"+id, asOperator).status(http.StatusNoContent)
		h.clock.advance(-20 * time.Millisecond)
		_, newer := invite()
		verify := func(code string) *answer {
			t.Helper()
			return h.post(t, p.front+"/invitations/verify", object{"code": code})
		}
		verify(newer).status(http.StatusOK)
		require.Contains(t, []int{http.StatusGone}, verify(older).httpStatus)
	})
}

// Numbers are for invitations that are made: sending a file again every hour uses none up.
func TestWhatIsNotMadeTakesNoNumber(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.account(t, p, object{"email": "known@example.com"})
		for range 3 {
			h.imports(t, p, "email,send\na@example.com,no\nknown@example.com,no\nb@example.com,no\nA@example.com,no\n").status(http.StatusOK)
			h.post(t, p.admin+"/invitations", unsent("a@example.com"), asOperator).problem(http.StatusConflict, "invitation_pending")
		}
		require.Equal(t, "2", h.sql(t, "SELECT last FROM invitation_numbers"))
	})
}

// HTTP/1.0 has no way to tell half an answer from a whole one but its length.
func TestAnExportOverOldHTTP(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := overSocket(t, db)
		p := h.portal(t)
		var file strings.Builder
		file.WriteString("email,send\n")
		for i := range 600 {
			fmt.Fprintf(&file, "p%d@example.com,no\n", i)
		}
		direct := *h
		direct.base = ""
		direct.imports(t, p, file.String()).is("accepted", 600)
		get := func() (status int, kind, body string) {
			t.Helper()
			conn, err := net.Dial("tcp", strings.TrimPrefix(h.base, "http://"))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = fmt.Fprintf(conn, "GET %s/invitations/export HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n", p.admin, operatorKey)
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
		h.exec(t, "UPDATE invitations SET email = 'no address' WHERE email = 'p0@example.com'")
		status, kind, _ := get()
		require.Equal(t, http.StatusInternalServerError, status)
		require.Equal(t, "application/problem+json", kind)
	})
}
