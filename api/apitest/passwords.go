package apitest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// SlowHash is the hash of a password that no test uses. It is slow, so that a test can act while it is checked.
var SlowHash = sync.OnceValue(func() string { return ForeignHash("nobody types this", 16) })

// OccupyHashing takes a pool's only slot. The function that it gives waits until the slot is free again.
func OccupyHashing(t testing.TB, pool *password.Pool) (wait func()) {
	t.Helper()
	hash, done := SlowHash(), make(chan error, 1)
	go func() {
		_, err := pool.For(ids.Portal{}).Verify(context.Background(), GoodPassword, hash)
		done <- err
	}()
	require.Eventually(t, func() bool { return pool.Stats().Running == 1 }, MailPatience, time.Millisecond)
	return func() { require.NoError(t, <-done) }
}

// AddressSpellings are spellings of one address; each of them leads to the same account.
var AddressSpellings = []string{
	"Ada.Lovelace@bücher.example", "ada.lovelace@bücher.example", "  ADA.LOVELACE@BÜCHER.EXAMPLE ", "ada.lovelace@bu\u0308cher.example",
	"ada.lovelace@xn--bcher-kva.example", "ada.lovelace＠bücher.example", "ａｄａ.lovelace@bücher。example",
	"\u00a0ada.lovelace@XN--BCHER-KVA.example\u3000",
}

// OtherPassword is a good password that differs from GoodPassword.
const OtherPassword = "a bicycle for two in the rain"

// ChangePassword is a person's change of password in a session.
func (h *Harness) ChangePassword(t testing.TB, at Portal, in Tokens, current, next string) *Answer {
	t.Helper()
	return h.Post(t, at.Front+"/me/password", Object{"current_password": current, "new_password": next}, Bearer(in.Access))
}
