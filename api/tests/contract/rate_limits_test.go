package contract_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// aMinute is how many requests a network has for operations that have a limit of their own: of failed tries, or of
// requests that mail something or register an account. The other operations of a portal have 600.
var aMinute = map[string]int{
	"lookUp": 60, "logIn": 60, "verifyConfirmation": 60, "redeemConfirmation": 60, "verifyPasswordReset": 60,
	"redeemPasswordReset": 60, "verifyInvitation": 60, "redeemInvitation": 60,
	"register": 20, "issueConfirmation": 20, "issuePasswordReset": 20, "resendInvitation": 20, "changePassword": 20,
}

// forwarded is a request that a proxy says is from an address.
func forwarded(socket string, by ...string) apitest.Option {
	return func(r *http.Request) {
		r.RemoteAddr = socket
		for _, entry := range by {
			r.Header.Add("X-Forwarded-For", entry)
		}
	}
}

// requireLeft wants an answer to say how many requests are left of how many, and when all are given back.
func requireLeft(a *apitest.Answer, limit, remaining, reset int) *apitest.Answer {
	a.T.Helper()
	return a.HasHeader("RateLimit-Policy", fmt.Sprintf(`"network";q=%d;w=60`, limit)).
		HasHeader("RateLimit", fmt.Sprintf(`"network";r=%d;t=%d`, remaining, reset)).
		HasHeader("RateLimit-Limit", strconv.Itoa(limit)).HasHeader("RateLimit-Remaining", strconv.Itoa(remaining)).
		HasHeader("RateLimit-Reset", strconv.Itoa(reset))
}

// Every operation of a portal announces its limit. Operations of administrators and those without a portal have none.
func TestLimitOfEachOperation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		in := h.LogIn(t, h.Account(t, h.Portal(t)))
		few := h.Calling(h.NewServer(t, db, apitest.WithLimits(api.Limits{Requests: 1, Failures: 1, Issues: 1, OwnPasswords: 1})))
		known := 0
		for _, op := range apitest.OpenAPI().Operations {
			a := h.Call(t, op.Method, apitest.FillPath(op.Path, "acme"), nil, apitest.Entitled(op, in), apitest.FromAddress("192.0.2.200:1"))
			limit, own := aMinute[op.OperationID]
			if own {
				known++
			} else if limit = 600; !strings.HasPrefix(op.Path, "/v1/portals") {
				a.HasHeader("RateLimit", "").HasHeader("RateLimit-Policy", "").HasHeader("RateLimit-Limit", "")
				continue
			}
			a.HasHeader("RateLimit-Limit", strconv.Itoa(limit))
			require.NotNil(t, op.Responses.Value("429"), "%s documents its limit", op)
			few.Call(t, op.Method, apitest.FillPath(op.Path, "acme"), nil, apitest.Entitled(op, in))
			few.Call(t, op.Method, apitest.FillPath(op.Path, "nowhere"), nil).Problem(http.StatusTooManyRequests, "rate_limited")
		}
		require.Len(t, aMinute, known)
	})
}

// Failed tries count, whatever else the network does. A refused network is refused until its minute ends.
func TestFailedTriesAreLimited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		p := h.Portal(t, apitest.WithLoginOrigin())
		ada := h.Account(t, p)
		for operation, fail := range map[string]func(n int) *apitest.Answer{
			"/login": func(n int) *apitest.Answer {
				return h.LogInWrong(t, p, fmt.Sprintf("nobody-%d@example.com", n)).Status(http.StatusUnauthorized)
			},
			"/lookup": func(n int) *apitest.Answer {
				return h.Post(t, p.Front+"/lookup", apitest.Object{"email": fmt.Sprintf("nobody-%d@example.com", n)}).Status(http.StatusNotFound)
			},
			"/confirmations/verify": func(int) *apitest.Answer {
				return h.Post(t, p.Front+"/confirmations/verify", apitest.Object{"token": "nonsense"}).Problem(http.StatusBadRequest, "token_invalid")
			},
			"/password-resets/redeem": func(int) *apitest.Answer {
				body := apitest.Object{"token": "nonsense", "password": apitest.GoodPassword}
				return h.Post(t, p.Front+"/password-resets/redeem", body).Problem(http.StatusBadRequest, "token_invalid")
			},
			"/invitations/verify": func(int) *apitest.Answer {
				return h.Post(t, p.Front+"/invitations/verify", apitest.Object{"code": "00000-00000-00000-00000"}).Problem(http.StatusBadRequest, "token_invalid")
			},
		} {
			good := func(with ...apitest.Option) *apitest.Answer {
				if operation == "/login" {
					return h.Post(t, p.Front+"/login", ada.Credentials(), with...)
				}
				return h.Post(t, p.Front+operation, apitest.Object{}, with...) // 422 is no failed try
			}
			for n := range 60 {
				requireLeft(fail(n), 60, 59-n, 60)
				require.NotEqual(t, http.StatusTooManyRequests, good(apitest.FromAddress("192.0.2.99:1")).HTTPStatus)
				if n < 59 {
					requireLeft(good(), 60, 59-n, 60)
				}
			}
			over := func(wait int) {
				t.Helper()
				requireLeft(good(apitest.Origin(apitest.LoginOrigin)).Problem(http.StatusTooManyRequests, "rate_limited"), 60, 0, wait).Remedies("wait").
					HasHeader("Retry-After", strconv.Itoa(wait)).HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin)
			}
			over(60)
			h.Clock.Advance(30500 * time.Millisecond)
			over(30)
			h.Clock.Advance(29500*time.Millisecond - time.Nanosecond)
			over(1)
			h.Clock.Advance(time.Nanosecond)
			requireLeft(good(), 60, 60, 60)
			h.Clock.Advance(time.Hour)
		}
	})
}

// Answers that are not the fault of the network do not count as failed tries.
func TestAnswersThatAreNoFailedTry(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.WithLimits(apitest.Few))
		p := h.Portal(t)
		ada := h.Account(t, p)
		for range 5 { // a stranger locks her
			h.LogInWrong(t, p, ada.Email, apitest.FromAddress("203.0.113.9:1"))
			h.Clock.Advance(time.Minute)
		}
		for range 10 {
			h.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked")
			h.Post(t, p.Front+"/login", apitest.Object{}).Status(http.StatusUnprocessableEntity)
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK)
		}
		private := h.Portal(t, apitest.Object{"slug": "private", "enumeration": "private"})
		for n := range 10 {
			h.Post(t, private.Front+"/lookup", apitest.Object{"email": fmt.Sprintf("nobody-%d@example.com", n)}).Status(http.StatusOK).
				HasHeader("RateLimit-Remaining", strconv.Itoa(apitest.Few.Failures))
		}
	})
}

// Requests that mail something or register an account count whatever their answer is.
func TestIssuesAreLimited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		p := h.Portal(t)
		ada := h.Account(t, p)
		for _, operation := range []string{"/registrations", "/confirmations", "/password-resets", "/invitations/resend"} {
			for n := range 20 {
				body := apitest.Object{}
				if n%2 == 0 {
					body = apitest.Object{"email": ada.Email}
				}
				a := h.Post(t, p.Front+operation, body)
				require.NotContains(t, string(a.Body), "rate_limited")
				requireLeft(a, 20, 19-n, 60)
			}
			requireLeft(h.Post(t, p.Front+operation, apitest.Object{}).Problem(http.StatusTooManyRequests, "rate_limited"), 20, 0, 60)
			h.Post(t, p.Front+operation, apitest.Object{}, apitest.FromAddress("192.0.2.78:1")).Status(http.StatusUnprocessableEntity)
		}
	})
}

// 200 people behind one address log in and look around in the same minute, one after the other and all at once.
func TestAnOfficeIsNotLimited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		p := h.Portal(t)
		ada := h.Account(t, p)
		for range 200 {
			h.Get(t, p.Front).Status(http.StatusOK)
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK)
			h.Post(t, p.Front+"/sessions/refresh", nil).Problem(http.StatusUnauthorized, "session_invalid")
			in := h.LogIn(t, ada)
			h.RequireAccess(t, p, in.Access, true)
			h.MustRefresh(t, p, in.Refresh)
		}
		var logins []apitest.PreparedRequest
		for range 200 {
			logins = append(logins, h.Prepare(t, http.MethodPost, p.Front+"/login", ada.Credentials()))
		}
		require.Equal(t, map[string]int{"200": 200}, apitest.Tally(apitest.Fleet{h}.SendAtOnce(t, logins...)))
	})
}

// Of wrong passwords at once, exactly as many are checked as the limit allows. A right one among them is not refused
// before that.
func TestTriesAtOnceAreLimited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		p := h.Portal(t)
		var logins []apitest.PreparedRequest
		for n := range 120 {
			body := apitest.Object{"email": fmt.Sprintf("nobody-%d@example.com", n), "password": apitest.WrongPassword}
			logins = append(logins, h.Prepare(t, http.MethodPost, p.Front+"/login", body))
		}
		require.Equal(t, map[string]int{"401 incorrect_credentials 4": 60, "429 rate_limited": 60},
			apitest.Tally(apitest.Fleet{h}.SendAtOnce(t, logins...)))
	})
}

// Slow bodies do not hold up the other callers of their network.
func TestSlowBodiesHoldNoTries(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.WithLimits(apitest.Few))
		p := h.Portal(t)
		ada := h.Account(t, p)
		var all sync.WaitGroup
		for range 10 {
			body, slow := io.Pipe()
			r := h.Request(t, http.MethodPost, p.Front+"/login", []byte{})
			r.Body, r.ContentLength = body, 100
			all.Go(func() { h.Send(t, r) })
			_, err := slow.Write([]byte("{"))
			require.NoError(t, err)
			defer func() { require.NoError(t, slow.Close()) }()
		}
		h.LogIn(t, ada)
	})
}

// Refused requests run no statement and no hash, and count nothing against an address. Only the first refusal of a
// network in a minute is recorded, at its portal.
func TestRefusalsAreRecordedOnceAMinute(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.WithLimits(apitest.Few))
		p := h.Portal(t)
		ada := h.Account(t, p)
		recorded := func() string {
			return h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'network.limited' AND code = 'rate_limited' AND portal_id = ?", p.ID)
		}
		spend := func() {
			for n := range apitest.Few.Failures {
				h.LogInWrong(t, p, fmt.Sprintf("nobody-%d@example.com", n)).Status(http.StatusUnauthorized)
				h.Post(t, p.Front+"/lookup", apitest.Object{"email": "nobody@example.com"}).Status(http.StatusNotFound)
			}
		}
		spend()
		require.Equal(t, "0", recorded())
		h.LogInWrong(t, p, ada.Email).Problem(http.StatusTooManyRequests, "rate_limited")
		require.Equal(t, "1", recorded())
		require.Equal(t, "192.0.2.77", h.QueryValue(t, "SELECT network FROM audit_events WHERE type = 'network.limited'"))
		before := h.RowCounts(t)
		for range 10 {
			h.LogInWrong(t, p, ada.Email).Problem(http.StatusTooManyRequests, "rate_limited")
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Problem(http.StatusTooManyRequests, "rate_limited")
		}
		require.Equal(t, before, h.RowCounts(t))
		h.Post(t, p.Front+"/login", ada.Credentials(), apitest.FromAddress("192.0.2.78:1")).Status(http.StatusOK)

		h.Clock.Advance(time.Minute)
		spend()
		h.LogInWrong(t, p, ada.Email).Problem(http.StatusTooManyRequests, "rate_limited")
		require.Equal(t, "2", recorded())
	})
}

// A site has a /48, which has 16 times as much as one of its networks.
func TestLimitsOfASite(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.WithLimits(apitest.Few))
		p := h.Portal(t)
		lookUp := func(from string) int {
			return h.Post(t, p.Front+"/lookup", apitest.Object{"email": "nobody@example.com"}, apitest.FromAddress(from)).HTTPStatus
		}
		failed := 0
		for network := range 40 {
			for range apitest.Few.Failures + 1 {
				if lookUp(fmt.Sprintf("[2001:db8:1:%x::1]:1", network)) == http.StatusNotFound {
					failed++
				}
			}
		}
		require.Equal(t, 16*apitest.Few.Failures, failed)
		require.Equal(t, http.StatusNotFound, lookUp("[2001:db8:2::1]:1"))
	})
}

// Exempt networks have no limit, and others behind the same proxy keep theirs.
func TestExemptNetworks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.WithLimits(apitest.Few), apitest.TrustingProxies("10.0.0.0/8"),
			apitest.ExemptNetworks("198.51.100.0/24", "2001:db8:1::/48"))
		p := h.Portal(t)
		lookUp := func(from string) *apitest.Answer {
			return h.Post(t, p.Front+"/lookup", apitest.Object{"email": "nobody@example.com"}, forwarded("10.0.0.1:1", from))
		}
		for range 20 {
			lookUp("198.51.100.7").Status(http.StatusNotFound).HasHeader("RateLimit", "")
			lookUp("::ffff:198.51.100.7").Status(http.StatusNotFound)
			lookUp("2001:db8:1:2::3").Status(http.StatusNotFound).HasHeader("RateLimit-Limit", "")
		}
		for range apitest.Few.Failures {
			lookUp("198.51.101.7").Status(http.StatusNotFound)
		}
		lookUp("198.51.101.7").Problem(http.StatusTooManyRequests, "rate_limited")
	})
}

// One warning says that an address which is not trusted sends X-Forwarded-For.
func TestForwardedByAStrangerIsLogged(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.TrustingProxies("10.0.0.0/8"))
		warnings := func() int { return strings.Count(h.Log.String(), "LATCHKEY_TRUSTED_PROXIES") }
		h.Get(t, "/healthz").Status(http.StatusOK)
		h.Get(t, "/healthz", forwarded("10.0.0.1:1", "203.0.113.9")).Status(http.StatusOK)
		h.Get(t, "/healthz", forwarded("[::ffff:10.0.0.1]:1", "203.0.113.9")).Status(http.StatusOK)
		require.Zero(t, warnings())
		for range 3 {
			h.Get(t, "/healthz", forwarded("172.16.0.1:1", "203.0.113.9")).Status(http.StatusOK)
		}
		require.Equal(t, 1, warnings())
	})
}

// One person cannot keep the hashing busy by changing passwords, from however many networks; nor can an administrator.
func TestPasswordChangesAreLimited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		limits := apitest.Few
		limits.Issues = 100
		h := apitest.New(t, db, apitest.WithLimits(limits))
		p := h.Portal(t)
		in := h.LogIn(t, h.Account(t, p))
		other := h.LogIn(t, h.Account(t, p, apitest.Object{"email": "grace@example.com"}))
		change := func(in apitest.Tokens, n int) *apitest.Answer {
			body := apitest.Object{"current_password": apitest.GoodPassword, "new_password": "short"}
			return h.Post(t, p.Front+"/me/password", body, apitest.Bearer(in.Access), apitest.FromAddress(fmt.Sprintf("192.0.2.%d:1", n+1)))
		}
		for n := range limits.OwnPasswords {
			change(in, n).Problem(http.StatusUnprocessableEntity, "password_rejected")
		}
		for n := range 10 {
			change(in, 100+n).Problem(http.StatusTooManyRequests, "rate_limited").HasHeader("Retry-After", "60")
		}
		change(other, 0).Problem(http.StatusUnprocessableEntity, "password_rejected")

		admin, second := h.APIKey(t, apitest.Object{}), h.APIKey(t, apitest.Object{})
		create := func(n int, as apitest.Option) *apitest.Answer {
			return h.Post(t, p.Admin+"/accounts", apitest.Object{"email": fmt.Sprintf("a%d@example.com", n), "password": apitest.GoodPassword}, as)
		}
		for n := range limits.Passwords {
			create(n, apitest.Bearer(admin.Text)).Status(http.StatusCreated)
		}
		create(100, apitest.Bearer(admin.Text)).Problem(http.StatusTooManyRequests, "rate_limited").HasHeader("Retry-After", "60")
		h.Post(t, p.Admin+"/accounts", apitest.Object{"email": "without@example.com"}, apitest.Bearer(admin.Text)).Status(http.StatusCreated)
		create(101, apitest.Bearer(second.Text)).Status(http.StatusCreated)
		for n := range 2 * limits.Passwords {
			create(200+n, apitest.AsOperator).Status(http.StatusCreated)
		}
	})
}

// One caller is an IPv4 address, the /64 of an IPv6 one, or, behind a trusted proxy, the address that the proxy names.
func TestLimitedNetworks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited, apitest.TrustingProxies("10.0.0.0/8", "fd00::/8"))
		p := h.Portal(t)
		const proxy, outer = "10.0.0.1:443", "10.0.0.2"
		left := func(want int, with apitest.Option) {
			t.Helper()
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": "nobody@example.com"}, with).Status(http.StatusNotFound).
				HasHeader("RateLimit-Remaining", strconv.Itoa(want))
		}
		left(59, apitest.FromAddress("198.51.100.1:1"))
		left(58, apitest.FromAddress("198.51.100.1:2"))
		left(57, apitest.FromAddress("[::ffff:198.51.100.1]:3"))
		left(56, forwarded(proxy, "198.51.100.1"))
		left(55, forwarded(proxy, "203.0.113.9, 198.51.100.1"))
		left(54, forwarded(proxy, "203.0.113.9", "198.51.100.1, "+outer))
		left(53, forwarded(proxy, "198.51.100.1:61234"))
		left(52, forwarded("[fd00::1]:443", "::ffff:198.51.100.1"))
		left(51, forwarded("198.51.100.1:1", "203.0.113.9"))
		left(59, apitest.FromAddress("198.51.100.2:1"))
		left(59, forwarded(proxy, "203.0.113.9"))
		left(59, apitest.FromAddress(proxy))
		left(58, forwarded(proxy, "203.0.113.10, nonsense")) // a trusted proxy wrote it: it is all that is known

		left(59, apitest.FromAddress("[2001:db8:1:2::1]:1"))
		left(58, apitest.FromAddress("[2001:db8:1:2:ffff:ffff:ffff:ffff]:1"))
		left(57, apitest.FromAddress("[2001:db8:1:2::1%25eth0]:1"))
		left(56, forwarded(proxy, "2001:db8:1:2:3::"))
		left(55, forwarded(proxy, "[2001:db8:1:2:3::]:443"))
		left(59, apitest.FromAddress("[2001:db8:1:3::1]:1"))
		left(59, apitest.FromAddress("[2001:db8:2:2::1]:1"))
		left(59, apitest.FromAddress("no address"))
		left(58, apitest.FromAddress(""))
	})
}

func TestRateLimitsOff(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for range 70 {
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": "nobody@example.com"}).Status(http.StatusNotFound).HasHeader("RateLimit", "").HasHeader("RateLimit-Limit", "")
		}
		for range 5 {
			h.LogInWrong(t, p, "nobody@example.com").Problem(http.StatusUnauthorized, "incorrect_credentials")
		}
		h.LogInWrong(t, p, "nobody@example.com").Problem(http.StatusLocked, "account_locked") // the locking is never off
	})
}
