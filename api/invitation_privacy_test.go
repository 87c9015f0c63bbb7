package api_test

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// traces are what a database may hold of a person who was invited as traced says.
var traces = []string{"Hedwig.Lamarr@bücher.example", "hedwig.lamarr@", "Hedwig", "Kiesler", "frequency hopping", "inventor", "patents"}

func traced() object {
	return object{
		"email": traces[0], "roles": []string{"inventor"}, "entitlements": []string{"patents"},
		"metadata": object{"idea": "frequency hopping"},
	}
}

// untraced wants no table to hold anything of that person.
func (o *office) untraced(t testing.TB) {
	t.Helper()
	o.quiet(t)
	dump := strings.ToLower(o.dump(t))
	for _, trace := range traces {
		require.False(t, strings.Contains(dump, strings.ToLower(trace)), "%q stands in a table", trace)
		require.False(t, strings.Contains(dump, hex.EncodeToString([]byte(strings.ToLower(trace)))), "%q, as octets", trace)
	}
}

// Deleting an account leaves nothing of the person in any table, and his code still says what became of it.
func TestDeletingWhoWasInvited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		older, _ := o.invite(t, p, with(traced(), object{"expires_in": 60}))
		o.clock.advance(time.Minute)
		i, _ := o.invite(t, p, traced())
		require.Contains(t, o.dump(t), "frequency hopping", "it is a dump")
		o.resends(t, p, traces[0]).status(http.StatusAccepted)
		id := o.accepts(t, i, object{"given_name": "Hedwig", "family_name": "Kiesler"}).status(http.StatusCreated).text("account.id")
		o.quiet(t)
		o.delete(t, p.admin+"/accounts/"+id, asOperator).status(http.StatusNoContent)
		o.untraced(t)
		o.refuses(t, i, http.StatusGone, "token_used")
		o.refuses(t, older, http.StatusGone, "token_superseded")
		o.get(t, i.admin, asOperator).problem(http.StatusNotFound, "not_found")
		require.Empty(t, o.get(t, p.admin+"/invitations", asOperator).status(http.StatusOK).list("items", "id"))
		again, _ := o.invite(t, p, traced())
		o.refuses(t, i, http.StatusGone, "token_used")
		o.accepts(t, again).status(http.StatusCreated)
	})
}

// So does deleting an account that came to its address in another way.
func TestDeletingWhoNeedNotAccept(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		i, _ := o.invite(t, p, traced())
		who := o.account(t, p, object{"email": traces[0]})
		o.delete(t, who.admin, asOperator).status(http.StatusNoContent)
		o.untraced(t)
		o.refuses(t, i, http.StatusGone, "token_expired")
	})
}

// And of the addresses that the person had before.
func TestDeletingWhoHadAnotherAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		for name, arrives := range map[string]func(t *testing.T) (account string){
			"by invitation": func(t *testing.T) string {
				i, _ := o.invite(t, p, traced())
				return p.admin + "/accounts/" + o.accepts(t, i).status(http.StatusCreated).text("account.id")
			},
			"by the second invitation": func(t *testing.T) string {
				o.invite(t, p, with(traced(), object{"expires_in": 60}))
				o.clock.advance(time.Minute)
				i, _ := o.invite(t, p, traced())
				return p.admin + "/accounts/" + o.accepts(t, i).status(http.StatusCreated).text("account.id")
			},
			"by an administrator": func(t *testing.T) string {
				o.invite(t, p, traced())
				return o.account(t, p, object{"email": traces[0]}).admin
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Cleanup(func() { o.exec(t, "DELETE FROM invitations") })
				account := arrives(t)
				o.patch(t, account, object{"email": "lamarr@example.com"}, asOperator).status(http.StatusOK)
				o.delete(t, account, asOperator).status(http.StatusNoContent)
				o.untraced(t)
			})
		}
	})
}

// No code stands in the database or the log: neither one that waits in the queue nor one that was mailed, typed or used.
func TestNoInvitationCodeStandsAnywhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		used, _ := o.invite(t, p, object{})
		pending, _ := o.invite(t, p, object{"email": newcomer})
		o.accepts(t, pending, object{"email": "eve@example.com"}).problem(http.StatusForbidden, "invitation_email_mismatch")
		o.accepts(t, used).status(http.StatusCreated)
		o.exported(t, p, newcomer)
		o.clock.advance(nextAsk)
		renewed := o.renewed(t, pending)
		o.quiet(t)
		dump, logged := strings.ToUpper(o.dump(t)), strings.ToUpper(o.log.String())
		require.Contains(t, dump, strings.ToUpper(newcomer), "it is a dump")
		for _, code := range []string{used.code, pending.code, renewed.code} {
			plain := strings.ReplaceAll(code, "-", "")
			for name, text := range map[string]string{"database": dump, "log": logged} {
				for _, part := range []string{code, plain, plain[7:], code[12:]} {
					require.NotContains(t, text, part, name)
				}
			}
		}
	})
}
