package invitations_test

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// traces are what a database may hold of a person who was invited as traced says.
var traces = []string{"Hedwig.Lamarr@bücher.example", "hedwig.lamarr@", "Hedwig", "Kiesler", "frequency hopping", "inventor", "patents"}

func traced() apitest.Object {
	return apitest.Object{
		"email": traces[0], "roles": []string{"inventor"}, "entitlements": []string{"patents"},
		"metadata": apitest.Object{"idea": "frequency hopping"},
	}
}

// requireNoTraces wants no table to hold anything of that person.
func requireNoTraces(t testing.TB, o *apitest.MailHarness) {
	t.Helper()
	o.AwaitAllSent(t)
	dump := strings.ToLower(o.Dump(t))
	for _, trace := range traces {
		require.False(t, strings.Contains(dump, strings.ToLower(trace)), "%q stands in a table", trace)
		require.False(t, strings.Contains(dump, hex.EncodeToString([]byte(strings.ToLower(trace)))), "%q, as octets", trace)
	}
}

// Deleting an account leaves nothing of the person in any table. Their code still tells that it was used.
func TestDeleteInvitedPerson(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		older, _ := o.Invite(t, p, apitest.Merge(traced(), apitest.Object{"expires_in": 60}))
		o.Clock.Advance(time.Minute)
		i, _ := o.Invite(t, p, traced())
		require.Contains(t, o.Dump(t), "frequency hopping", "it is a dump")
		o.PostResend(t, p, traces[0]).Status(http.StatusAccepted)
		id := o.AcceptInvitation(t, i, apitest.Object{"given_name": "Hedwig", "family_name": "Kiesler"}).Status(http.StatusCreated).Text("account.id")
		o.AwaitAllSent(t)
		o.Delete(t, p.Admin+"/accounts/"+id, apitest.AsOperator).Status(http.StatusNoContent)
		requireNoTraces(t, o)
		o.RequireCodeRefused(t, i, http.StatusGone, "token_used")
		o.RequireCodeRefused(t, older, http.StatusGone, "token_superseded")
		o.Get(t, i.Admin, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		require.Empty(t, o.Get(t, p.Admin+"/invitations", apitest.AsOperator).Status(http.StatusOK).List("items", "id"))
		again, _ := o.Invite(t, p, traced())
		o.RequireCodeRefused(t, i, http.StatusGone, "token_used")
		o.AcceptInvitation(t, again).Status(http.StatusCreated)
	})
}

// So does deleting an account that came to its address in another way.
func TestDeletePersonWithUnredeemedInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		i, _ := o.Invite(t, p, traced())
		who := o.Account(t, p, apitest.Object{"email": traces[0]})
		o.Delete(t, who.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		requireNoTraces(t, o)
		o.RequireCodeRefused(t, i, http.StatusGone, "token_expired")
	})
}

// And of the addresses that the person had before.
func TestDeletePersonAfterEmailChange(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		for name, arrives := range map[string]func(t *testing.T) (account string){
			"by invitation": func(t *testing.T) string {
				i, _ := o.Invite(t, p, traced())
				return p.Admin + "/accounts/" + o.AcceptInvitation(t, i).Status(http.StatusCreated).Text("account.id")
			},
			"by the second invitation": func(t *testing.T) string {
				o.Invite(t, p, apitest.Merge(traced(), apitest.Object{"expires_in": 60}))
				o.Clock.Advance(time.Minute)
				i, _ := o.Invite(t, p, traced())
				return p.Admin + "/accounts/" + o.AcceptInvitation(t, i).Status(http.StatusCreated).Text("account.id")
			},
			"by an administrator": func(t *testing.T) string {
				o.Invite(t, p, traced())
				return o.Account(t, p, apitest.Object{"email": traces[0]}).Admin
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Cleanup(func() { o.Exec(t, "DELETE FROM invitations") })
				account := arrives(t)
				o.Patch(t, account, apitest.Object{"email": "lamarr@example.com"}, apitest.AsOperator).Status(http.StatusOK)
				o.Delete(t, account, apitest.AsOperator).Status(http.StatusNoContent)
				requireNoTraces(t, o)
			})
		}
	})
}

// Neither the database nor the log holds a code, whether it is queued, mailed, typed or used.
func TestInvitationCodesAreNotStored(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		used, _ := o.Invite(t, p, apitest.Object{})
		pending, _ := o.Invite(t, p, apitest.Object{"email": apitest.Newcomer})
		o.AcceptInvitation(t, pending, apitest.Object{"email": "eve@example.com"}).Problem(http.StatusForbidden, "invitation_email_mismatch")
		o.AcceptInvitation(t, used).Status(http.StatusCreated)
		o.ExportedCode(t, p, apitest.Newcomer)
		o.Clock.Advance(apitest.ResendInterval)
		renewed := o.Renew(t, pending)
		o.AwaitAllSent(t)
		dump, logged := strings.ToUpper(o.Dump(t)), strings.ToUpper(o.Log.String())
		require.Contains(t, dump, strings.ToUpper(apitest.Newcomer), "it is a dump")
		for _, code := range []string{used.Code, pending.Code, renewed.Code} {
			plain := strings.ReplaceAll(code, "-", "")
			for name, text := range map[string]string{"database": dump, "log": logged} {
				for _, part := range []string{code, plain, plain[7:], code[12:]} {
					require.NotContains(t, text, part, name)
				}
			}
		}
	})
}
