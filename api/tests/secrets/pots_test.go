package secrets_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A stranger who registers an address at many portals bombs nobody, and silences nobody: the owner of a confirmed
// account gets their reset and the notice of a changed password.
func TestStrangersNeitherBombNorSilence(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		home := o.Portal(t)
		ada := o.Account(t, home, apitest.Object{})
		statuses := map[string]int{}
		register := func(p apitest.Portal) {
			var answer struct{ Delivery struct{ Status string } }
			o.Post(t, p.Front+"/registrations", apitest.Object{"email": ada.Email, "password": apitest.GoodPassword}).
				Status(http.StatusCreated).Decode(&answer)
			statuses[answer.Delivery.Status]++
		}
		const portals = 24
		var others []apitest.Portal
		for i := range portals {
			others = append(others, o.Portal(t, apitest.Object{"slug": fmt.Sprintf("other-%d", i)}))
			register(others[len(others)-1])
		}
		require.Equal(t, map[string]int{"queued": portals}, statuses, "the first at each portal")
		o.Clock.Advance(apitest.ResendInterval)
		for _, p := range others {
			register(p)
		}
		require.Equal(t, map[string]int{"queued": portals, "suppressed": portals}, statuses)
		o.AwaitAllSent(t)

		secret := o.RequestSecret(t, home, apitest.PasswordResets, ada.Email)
		reset := secret.ByLink()
		reset["password"] = apitest.OtherPassword
		o.Post(t, home.Front+"/password-resets/redeem", reset).Status(http.StatusOK)
		o.AwaitAllSent(t)
		require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM deliveries WHERE kind = 'password_changed' AND status = 'sent'"))
	})
}

// The 20th mail at an open portal is the same whether or not the address is a member of a private portal, and whatever
// was asked for there.
func TestPrivatePortalsChangeNoCount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		private := o.Portal(t, apitest.Object{"enumeration": "private"})
		o.Account(t, private, apitest.Object{}, apitest.Object{"email": "member@example.com"})
		seen := map[string][]string{}
		for _, who := range []string{"member", "stranger"} {
			address := apitest.Object{"email": who + "@example.com", "password": apitest.GoodPassword}
			o.Post(t, private.Front+"/password-resets", apitest.Object{"email": who + "@example.com"}).Status(http.StatusAccepted)
			o.Post(t, private.Front+"/registrations", address).Status(http.StatusCreated)
			for i := range 12 {
				p := o.Portal(t, apitest.Object{"slug": fmt.Sprint(who, "-", i)})
				for _, call := range []string{"/registrations", "/confirmations"} {
					body := address
					if call == "/confirmations" {
						body = apitest.Object{"email": who + "@example.com"}
					}
					var answer struct{ Delivery struct{ Status string } }
					o.Post(t, p.Front+call, body).Decode(&answer)
					seen[who] = append(seen[who], answer.Delivery.Status)
					o.Clock.Advance(apitest.ResendInterval)
				}
			}
			require.Equal(t, []string{"queued", "suppressed"}, seen[who][22:])
		}
		require.Equal(t, seen["stranger"], seen["member"])
	})
}
