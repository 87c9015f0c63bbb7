package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// The portal that people register at, and what they register with.
const (
	acmePath     = "/v1/portals/acme"
	acmePassword = "eleven small boats at dawn"
)

// mailVariable set to "all" makes the tests of mail large. A daily run has smaller ones.
const mailVariable = "LATCHKEY_TEST_MAIL"

// amount is everyDay, or all where the environment asks for that.
func amount(everyDay, all int) int {
	if os.Getenv(mailVariable) == "all" {
		return all
	}
	return everyDay
}

// onEachAtOnce runs fn on every database at the same time. That counts as one of the parallel tests, of which there are
// few at a time: those that use it wait much more than they work.
func onEachAtOnce(t *testing.T, fn func(t *testing.T, d database.Dialect)) {
	t.Helper()
	t.Parallel()
	var running sync.WaitGroup
	for _, d := range databasetest.Dialects() {
		running.Go(func() { t.Run(string(d), func(t *testing.T) { fn(t, d) }) })
	}
	running.Wait()
}

// acme makes a database with a portal, and the variables of programs over it that mail through a relay.
func acme(t *testing.T, d database.Dialect, relay *smtptest.Server) (url string, variables []string) {
	t.Helper()
	url = databasetest.URL(t, d)
	succeed(t, "portals", "create", "acme", "--name", "Acme", "--database-url", url)
	return url, append(keyed(url, keyring.Generate()), "LATCHKEY_SMTP_URL="+relay.URL(), "LATCHKEY_DATABASE_MAX_CONNS=6")
}

// issued is the answer of calls that send a mail.
type issued struct {
	Delivery receipt `json:"delivery"`
}

type receipt struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// tryToRegister registers somebody, if there is an answer.
func (p *process) tryToRegister(ctx context.Context, address string) (answer, error) {
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, address, acmePassword)
	return p.try(ctx, http.MethodPost, acmePath+"/registrations", "", body)
}

// deliveryIn is the id of the mail that the answer to a registration tells of.
func deliveryIn(a answer, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if a.status != http.StatusCreated {
		return "", fmt.Errorf("register: %d %s", a.status, a.body)
	}
	var said issued
	err = json.Unmarshal(a.body, &said)
	return said.Delivery.ID, err
}

// register registers somebody and gives the id of the mail.
func (p *process) register(t *testing.T, address string) string {
	t.Helper()
	id, err := deliveryIn(p.tryToRegister(t.Context(), address))
	require.NoError(t, err)
	return id
}

// statusOf follows a receipt.
func (p *process) statusOf(t *testing.T, id string) string {
	t.Helper()
	return read[receipt](t, p.call(t, http.MethodGet, acmePath+"/deliveries/"+id, "", ""), http.StatusOK).Status
}

// awaitStatus waits until a receipt says something, for at most the time given.
func (p *process) awaitStatus(t *testing.T, id, want string, within time.Duration) {
	t.Helper()
	status := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if status = p.statusOf(t, id); status == want {
			return
		}
	}
	t.Fatalf("the receipt %s says %s after %v, not %s", id, status, within, want)
}

// deliveryOf is the id of the delivery that a mail is: its Message-ID begins with it.
func deliveryOf(m smtptest.Message) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(m.Header.Get("Message-ID"), "<"), "@")
	return id
}

// taken counts how often each delivery was handed to a relay.
func taken(relay *smtptest.Server) map[string]int {
	times := make(map[string]int)
	for _, m := range relay.Messages() {
		times[deliveryOf(m)]++
	}
	return times
}

// requireOnce wants each delivery to have been handed over, and none twice.
func requireOnce(t *testing.T, relay *smtptest.Server, ids []string) {
	t.Helper()
	times := taken(relay)
	for _, id := range ids {
		require.Equal(t, 1, times[id], id)
	}
	require.Len(t, times, len(ids))
}

var codeLine = regexp.MustCompile(`(?m)^    (\d{6}|[0-9A-Z]{4}-[0-9A-Z]{4})$`)

// codeIn is the code that a mail says to type.
func codeIn(t *testing.T, m smtptest.Message) string {
	t.Helper()
	code := codeLine.FindStringSubmatch(m.Text)
	require.NotNil(t, code, m.Text)
	return code[1]
}
