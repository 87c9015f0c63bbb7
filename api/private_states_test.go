package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/installation"
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
type bringer func(t testing.TB, h *harness, p portal, email string)

func nobody(testing.TB, *harness, portal, string) {}

// account has members that differ from Ada's.
func account(members object) bringer {
	return func(t testing.TB, h *harness, p portal, email string) {
		h.account(t, p, members, object{"email": email})
	}
}

// imported has a hash of another system, which is slower than ours.
func imported(t testing.TB, h *harness, p portal, email string) {
	who := h.account(t, p, object{"email": email})
	h.setHash(t, who, foreignHash(who.password, 4))
}

// foreignHash is a password's hash as another system keeps it: argon2i, of which a pass takes some 20 ms.
func foreignHash(secret string, passes uint32) string {
	const memory = 32 * 1024
	salt := []byte("salt of another system")
	key := argon2.Key([]byte(secret), salt, passes, memory, 1, 32)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2i$v=19$m=%d,t=%d,p=1$%s$%s", memory, passes, encode(salt), encode(key))
}

// asked was invited and has done nothing yet.
func asked(t testing.TB, h *harness, p portal, email string) {
	h.invites(t, p, object{"email": email}).status(http.StatusCreated)
}

// askedOnce was invited, and has let the time go by.
func askedOnce(t testing.TB, h *harness, p portal, email string) {
	a := h.invites(t, p, object{"email": email}).status(http.StatusCreated)
	h.exec(t, "UPDATE invitations SET expires_at = ? WHERE id = ?", h.clock.now().UnixMilli(), a.text("id"))
}

var standings = []standing{
	{"unknown", fresh, nobody},
	{"active", fresh, account(nil)},
	{"disabled", fresh, account(object{"disabled": true})},
	{"unconfirmed", fresh, account(object{"confirmed": false})},
	{"unconfirmed and disabled", fresh, account(object{"confirmed": false, "disabled": true})},
	{"without a password", fresh, account(object{"password": nil})},
	{"without either", fresh, account(object{"password": nil, "confirmed": false})},
	{"opted out", fresh, account(object{"opted_out": true})},
	{"imported", fresh, imported},
	{"invited", fresh, asked},
	{"invited and expired", fresh, askedOnce},
	{"unknown, locked", locked, nobody},
	{"active, locked", locked, account(nil)},
	{"disabled, locked", locked, account(object{"disabled": true})},
	{"unconfirmed, locked", locked, account(object{"confirmed": false})},
	{"without a password, locked", locked, account(object{"password": nil})},
	{"imported, locked", locked, imported},
	{"invited, locked", locked, asked},
	{"invited and expired, locked", locked, askedOnce},
	{"unknown, off", off, nobody},
	{"active, off", off, account(nil)},
	{"unconfirmed, off", off, account(object{"confirmed": false})},
	{"without a password, off", off, account(object{"password": nil})},
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
func bringAll(t testing.TB, h *harness, p portal) {
	t.Helper()
	now := h.clock.now().UnixMilli()
	for _, s := range standings {
		s.bring(t, h, p, s.email())
		if s.typed == fresh {
			continue
		}
		inARow, until := 5, now+900_000
		if s.typed == off {
			inARow, until = 100, 0
		}
		h.putLock(t, p, s.email(), inARow, until)
	}
}

// putLock has an address locked until a moment in Unix milliseconds, whatever its count was.
func (h *harness) putLock(t testing.TB, p portal, email string, inARow int, until int64) {
	t.Helper()
	subject, now := h.subject(t, p, email), h.clock.now().UnixMilli()
	h.exec(t, "DELETE FROM lockouts WHERE portal_id = ? AND kind = 'login' AND subject = ?", p.id, subject)
	h.exec(t, `INSERT INTO lockouts (portal_id, kind, subject, failures, in_a_row, locked_at, locked_until, lock_length, counted,
		updated_at) VALUES (?, 'login', ?, '', ?, ?, ?, 900000, TRUE, ?)`, p.id, subject, inARow, now, until, now)
}

// subject is what the tables call an address.
func (h *harness) subject(t testing.TB, p portal, typed string) []byte {
	t.Helper()
	digests, err := installation.Open(context.Background(), h.db, h.ring)
	require.NoError(t, err)
	address, err := email.Parse(typed)
	require.NoError(t, err)
	return digests.Subject(uuid.MustParse(p.id), address.Canonical())
}

// shape is all that a stranger sees of an answer, without the ids of request and message, and with the address that he
// typed made one.
func shape(a *answer, email string) string {
	a.t.Helper()
	headers := maps.Clone(a.header)
	headers.Del("X-Request-ID")
	var body any
	if len(a.body) > 0 {
		a.into(&body)
	}
	if members, ok := body.(object); ok {
		delete(members, "request_id")
		if receipt, ok := members["delivery"].(object); ok {
			delete(receipt, "id")
			receipt["to"] = strings.TrimPrefix(receipt["to"].(string), email[:1])
		}
	}
	text, err := json.MarshalIndent([]any{a.httpStatus, headers, body}, "", "  ")
	require.NoError(a.t, err)
	return strings.NewReplacer(email, "<email>", strings.ToUpper(email), "<EMAIL>").Replace(string(text))
}
