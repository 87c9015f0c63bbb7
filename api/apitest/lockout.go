package apitest

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

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// PrepareWrongLogin is a login with a wrong password.
func (h *Harness) PrepareWrongLogin(t testing.TB, p Portal, email string) PreparedRequest {
	t.Helper()
	return h.Prepare(t, http.MethodPost, p.Front+"/login", Object{"email": email, "password": WrongPassword})
}

// LogInWrong logs in with a wrong password.
func (h *Harness) LogInWrong(t testing.TB, p Portal, email string, with ...Option) *Answer {
	t.Helper()
	return h.Post(t, p.Front+"/login", Object{"email": email, "password": WrongPassword}, with...)
}

// LockoutStatus asks for the lock of an address.
func (h *Harness) LockoutStatus(t testing.TB, p Portal, email string) *Answer {
	t.Helper()
	return h.Post(t, p.Front+"/lockout-status", Object{"email": email}).Status(http.StatusOK)
}

// LogInRight logs in with the password that every account of the tests has at first.
func (h *Harness) LogInRight(t testing.TB, p Portal, email string) *Answer {
	t.Helper()
	return h.Post(t, p.Front+"/login", Object{"email": email, "password": GoodPassword})
}

// ForeignHash is a password's hash as another system keeps it: argon2i, of which a pass takes some 20 ms.
func ForeignHash(secret string, passes uint32) string {
	const memory = 32 * 1024
	salt := []byte("salt of another system")
	key := argon2.Key([]byte(secret), salt, passes, memory, 1, 32)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2i$v=19$m=%d,t=%d,p=1$%s$%s", memory, passes, encode(salt), encode(key))
}

// PutLock locks an address until a time in Unix milliseconds, whatever its count was.
func (h *Harness) PutLock(t testing.TB, p Portal, email string, inARow int, until int64) {
	t.Helper()
	subject, now := h.AddressDigest(t, p, email), h.Clock.Now().UnixMilli()
	h.Exec(t, "DELETE FROM lockouts WHERE portal_id = ? AND kind = 'login' AND subject = ?", p.ID, subject)
	h.Exec(t, `INSERT INTO lockouts (portal_id, kind, subject, failures, in_a_row, locked_at, locked_until, lock_length, counted,
		updated_at) VALUES (?, 'login', ?, '', ?, ?, ?, 900000, TRUE, ?)`, p.ID, subject, inARow, now, until, now)
}

// AddressDigest is the digest of an address in the tables.
func (h *Harness) AddressDigest(t testing.TB, p Portal, typed string) digest.Digest {
	t.Helper()
	digests, err := digest.Open(context.Background(), h.DB, h.ring)
	require.NoError(t, err)
	address, err := email.Parse(typed)
	require.NoError(t, err)
	return digests.OfEmail(ids.Portal{UUID: uuid.MustParse(p.ID)}, address)
}

// VisibleAnswer is everything that a stranger sees of an answer, without the ids of request and message, and with the
// address that they typed replaced.
func VisibleAnswer(a *Answer, email string) string {
	a.T.Helper()
	headers := maps.Clone(a.Header)
	headers.Del("X-Request-ID")
	var body any
	if len(a.Body) > 0 {
		a.Decode(&body)
	}
	if members, ok := body.(Object); ok {
		delete(members, "request_id")
		if receipt, ok := members["delivery"].(Object); ok {
			delete(receipt, "id")
			receipt["to"] = strings.TrimPrefix(receipt["to"].(string), email[:1])
		}
	}
	text, err := json.MarshalIndent([]any{a.HTTPStatus, headers, body}, "", "  ")
	require.NoError(a.T, err)
	return strings.NewReplacer(email, "<email>", strings.ToUpper(email), "<EMAIL>").Replace(string(text))
}
