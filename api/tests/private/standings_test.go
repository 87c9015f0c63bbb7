package private_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api/apitest"
)

// standing is how an address stands with a portal: what a stranger must not learn of a private one. One that comes later
// is a line in standings, and a word in the operations of which an open portal answers it in particular.
type standing struct {
	name string
	// typed is what a stranger may tell apart, for it comes of what was typed and not of who there is.
	typed string
	bring bringer
}

// What was typed before: nothing, wrong passwords until they locked, or a hundred in a row.
const (
	fresh  = "fresh"
	locked = "locked"
	off    = "off"
)

// bringer makes the account of an address that stands so, if there is one.
type bringer func(t testing.TB, h *apitest.Harness, p apitest.Portal, email string)

func nobody(testing.TB, *apitest.Harness, apitest.Portal, string) {}

// account has members that differ from Ada's.
func account(members apitest.Object) bringer {
	return func(t testing.TB, h *apitest.Harness, p apitest.Portal, email string) {
		h.Account(t, p, members, apitest.Object{"email": email})
	}
}

// imported has a hash of another system, which is slower than ours.
func imported(t testing.TB, h *apitest.Harness, p apitest.Portal, email string) {
	who := h.Account(t, p, apitest.Object{"email": email})
	h.SetPasswordHash(t, who, apitest.ForeignHash(who.Password, 1)) // every try at a private portal computes it
}

// asked was invited and has done nothing yet.
func asked(t testing.TB, h *apitest.Harness, p apitest.Portal, email string) {
	h.PostInvitation(t, p, apitest.Object{"email": email}).Status(http.StatusCreated)
}

// askedOnce was invited, and has let the time go by.
func askedOnce(t testing.TB, h *apitest.Harness, p apitest.Portal, email string) {
	a := h.PostInvitation(t, p, apitest.Object{"email": email}).Status(http.StatusCreated)
	h.Exec(t, "UPDATE invitations SET expires_at = ? WHERE id = ?", h.Clock.Now().UnixMilli(), a.Text("id"))
}

var standings = []standing{
	{"unknown", fresh, nobody},
	{"active", fresh, account(nil)},
	{"disabled", fresh, account(apitest.Object{"disabled": true})},
	{"unconfirmed", fresh, account(apitest.Object{"confirmed": false})},
	{"unconfirmed and disabled", fresh, account(apitest.Object{"confirmed": false, "disabled": true})},
	{"without a password", fresh, account(apitest.Object{"password": nil})},
	{"without either", fresh, account(apitest.Object{"password": nil, "confirmed": false})},
	{"opted out", fresh, account(apitest.Object{"opted_out": true})},
	{"imported", fresh, imported},
	{"invited", fresh, asked},
	{"invited and expired", fresh, askedOnce},
	{"unknown, locked", locked, nobody},
	{"active, locked", locked, account(nil)},
	{"disabled, locked", locked, account(apitest.Object{"disabled": true})},
	{"unconfirmed, locked", locked, account(apitest.Object{"confirmed": false})},
	{"without a password, locked", locked, account(apitest.Object{"password": nil})},
	{"imported, locked", locked, imported},
	{"invited, locked", locked, asked},
	{"invited and expired, locked", locked, askedOnce},
	{"unknown, off", off, nobody},
	{"active, off", off, account(nil)},
	{"unconfirmed, off", off, account(apitest.Object{"confirmed": false})},
	{"without a password, off", off, account(apitest.Object{"password": nil})},
	{"invited, off", off, asked},
}

// who is the standing apart from what was typed.
func (s standing) who() string {
	name, _, _ := strings.Cut(s.name, ",")
	return name
}

// email is the standing's address at a portal; all are of one length.
func (s standing) email() string {
	const width = 30
	local := strings.NewReplacer(" ", ".", ",", "").Replace(s.name)
	return local + strings.Repeat("x", width-len(local)) + "@example.com"
}

// bringAll makes all standings at a portal.
func bringAll(t testing.TB, h *apitest.Harness, p apitest.Portal) {
	t.Helper()
	now := h.Clock.Now().UnixMilli()
	for _, s := range standings {
		s.bring(t, h, p, s.email())
		if s.typed == fresh {
			continue
		}
		inARow, until := 5, now+900_000
		if s.typed == off {
			inARow, until = 100, 0
		}
		h.PutLock(t, p, s.email(), inARow, until)
	}
}
