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

// upload is an import whose body a test sends by itself.
type upload struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// beginUpload sends the header of an import that announces a length, with further fields.
func beginUpload(t *testing.T, h *apitest.Harness, p apitest.Portal, length int, fields string) *upload {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.BaseURL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	u := &upload{t, conn, bufio.NewReader(conn)}
	u.write(fmt.Sprintf("POST %s/invitations/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: text/csv\r\nContent-Length: %d\r\n%s\r\n", p.Admin, apitest.OperatorKey, length, fields))
	return u
}

func (u *upload) write(text string) {
	u.t.Helper()
	_, err := io.WriteString(u.conn, text)
	require.NoError(u.t, err)
}

func (u *upload) answer() *apitest.Answer {
	u.t.Helper()
	response, err := http.ReadResponse(u.in, nil) //nolint:bodyclose // it ends with the connection
	require.NoError(u.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(u.t, err)
	return &apitest.Answer{T: u.t, HTTPStatus: response.StatusCode, Header: response.Header, Body: body}
}

// continues wants the server to ask for the body.
func (u *upload) continues() {
	u.t.Helper()
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		line, err := u.in.ReadString('\n')
		require.NoError(u.t, err)
		require.Equal(u.t, want, line)
	}
}

const people = "email,send\r\nada@example.com,no\r\n"

// A client that waits for 100 Continue is asked for its file when the portal has no other import, and refused otherwise.
func TestImportAfter100Continue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		first := beginUpload(t, h, p, len(people), "Expect: 100-continue\r\n")
		first.continues()
		refused := beginUpload(t, h, p, len(people), "Expect: 100-continue\r\n")
		elsewhere := beginUpload(t, h, other, len(people), "Expect: 100-continue\r\n")
		elsewhere.continues()
		elsewhere.write(people)
		elsewhere.answer().Status(http.StatusOK).Is("accepted", 1)
		refused.answer().Problem(http.StatusServiceUnavailable, "unavailable").HasHeader("Retry-After", "5")

		waiting := beginUpload(t, h, p, len(people), "Expect: 100-continue\r\n")
		first.write(people)
		first.answer().Status(http.StatusOK).Is("accepted", 1)
		waiting.continues()
		waiting.write(people)
		waiting.answer().Status(http.StatusOK).Is("rejected", 1)
	})
}

// Slow uploads of one portal hold one place, until they are cut off. Other portals import meanwhile.
func TestSlowImports(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		const most = 10 << 20
		begun := time.Now()
		var slow []*upload
		for range 24 {
			u := beginUpload(t, h, p, most, "")
			u.write("email\r\n")
			slow = append(slow, u)
		}
		for range 3 {
			postImport(t, h, other, people).Status(http.StatusOK)
		}
		cut := 0
		for _, u := range slow {
			a := u.answer()
			if a.HTTPStatus == http.StatusServiceUnavailable {
				a.Problem(http.StatusServiceUnavailable, "unavailable")
				continue
			}
			a.Problem(http.StatusBadRequest, "malformed_request")
			require.Contains(t, a.Text("detail"), "too slowly")
			cut++
		}
		require.Positive(t, cut)
		require.Less(t, time.Since(begun), 20*time.Second)
		postImport(t, h, p, people).Status(http.StatusOK).Is("accepted", 1)
	})
}
