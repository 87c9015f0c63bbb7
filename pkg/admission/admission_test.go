package admission

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	earlier = noon.Add(-time.Hour)
)

// person makes an account out of words: "password", "confirmed", "disabled", "unverified"; "nobody" is none.
func person(t *testing.T, words string) *account.Account {
	t.Helper()
	if words == "nobody" {
		return nil
	}
	address, err := email.Parse("ada@gmial.com")
	require.NoError(t, err)
	a, err := account.New(address, "en", earlier)
	require.NoError(t, err)
	a.Entitlements = []string{"case-1"}
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "password":
			a.PasswordHash = "a hash"
		case "confirmed":
			a.Confirmed = &earlier
		case "disabled":
			a.Disabled = &earlier
		case "unverified":
			a.UnverifiedSince = &earlier
		case "bare":
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return a
}

// invitations by name.
var invitations = map[string]*Invitation{
	"-":       nil,
	"pending": {ExpiresAt: noon.Add(time.Millisecond)},
	"expired": {ExpiresAt: noon},
	"keyless": {ExpiresAt: noon.Add(time.Hour), KeyLost: true},
}

// lock is the state of a lock after inARow failures in a row, which ends at until; the zero time is no lock.
func lock(inARow int64, until time.Time) lockout.State {
	var state lockout.State
	members := state.Scanned()
	*members[1].(*int64) = inARow
	if !until.IsZero() {
		*members[2].(*int64) = until.UnixMilli()
	}
	return state
}

// doors are the headings of the tables below.
var doors = map[string]Door{
	"lookup": Lookup, "before": BeforePassword, "after": AfterPassword, "own": OwnPassword, "register": Register,
	"confirm": RequestConfirmation, "reset": RequestReset, "resend": ResendInvitation, "secret": UseSecret,
}

// abbreviated are the words of the tables: "." is an open door, "silent" one that refuses without saying so.
var abbreviated = map[string]string{
	"wrong": "incorrect_credentials", "unknown": "email_not_found", "disabled": "account_disabled",
	"unconfirmed": "email_not_confirmed", "no-password": "password_not_set", "registered": "email_already_registered",
	"invited": "pending_invitation", "expired": "token_expired", "confirmed": "email_already_confirmed",
	"closed": "registration_closed", "channel": "channel_unavailable", "locked": "account_locked",
	"reset": "password_reset_required", "resource": "resource_not_granted",
}

const table = `
account                       invitation  next               lookup   before       after        register    confirm    reset     resend      secret
nobody                        -           .                  unknown  .            wrong        .           unknown    unknown   unknown     .
nobody                        pending     redeem_invitation  unknown  .            wrong        invited     unknown    unknown   .           .
nobody                        expired     .                  unknown  .            wrong        .           unknown    unknown   expired     .
nobody                        keyless     redeem_invitation  unknown  .            wrong        invited     unknown    unknown   expired     .
password,confirmed            -           password           .        .            .            registered  confirmed  .         registered  .
password,confirmed,disabled   -           password           .        .            disabled     registered  confirmed  disabled  registered  disabled
password                      -           confirm_email      .        .            unconfirmed  registered  .          .         registered  .
password,disabled             -           confirm_email      .        .            disabled     registered  disabled   disabled  registered  disabled
confirmed                     -           set_password       .        no-password  wrong        registered  confirmed  .         registered  .
bare                          -           set_password       .        no-password  wrong        registered  .          .         registered  .
bare,disabled                 -           set_password       .        no-password  wrong        registered  disabled   disabled  registered  disabled
password,unverified           -           confirm_email      .        .            unconfirmed  .           .          .         unknown     .
password,unverified           pending     redeem_invitation  .        .            unconfirmed  invited     .          .         .           .
password,unverified           expired     confirm_email      .        .            unconfirmed  .           .          .         expired     .
password,unverified,disabled  -           confirm_email      .        .            disabled     registered  disabled   disabled  unknown     disabled
`

const privateTable = `
account                       invitation  next      lookup  before  after     register  confirm  reset   resend  secret
nobody                        -           password  silent  .       wrong     .         silent   silent  silent  .
nobody                        pending     password  silent  .       wrong     silent    silent   silent  .       .
nobody                        expired     password  silent  .       wrong     .         silent   silent  silent  .
nobody                        keyless     password  silent  .       wrong     silent    silent   silent  silent  .
password,confirmed            -           password  .       .       .         silent    silent   .       silent  .
password,confirmed,disabled   -           password  .       .       disabled  silent    silent   silent  silent  expired
password                      -           password  .       .       wrong     silent    .        .       silent  .
password,disabled             -           password  .       .       wrong     silent    silent   silent  silent  expired
confirmed                     -           password  .       silent  wrong     silent    silent   .       silent  .
bare                          -           password  .       silent  wrong     silent    .        .       silent  .
bare,disabled                 -           password  .       silent  wrong     silent    silent   silent  silent  expired
password,unverified           -           password  .       .       wrong     .         .        .       silent  .
password,unverified           pending     password  .       .       wrong     silent    .        .       .       .
password,unverified           expired     password  .       .       wrong     .         .        .       silent  .
password,unverified,disabled  -           password  .       .       wrong     silent    silent   silent  silent  expired
`

// said is the answer of a door in the words of the tables.
func said(a Answer) string {
	switch {
	case a.Open():
		return "."
	case a.Silent():
		return "silent"
	}
	return string(a.Code())
}

// TestSituations runs every account state, with and without an invitation, through every door, at open and private
// portals, under every state of the lock and under the settings that close a door by themselves.
func TestSituations(t *testing.T) {
	t.Parallel()
	for mode, text := range map[portal.Enumeration]string{portal.Open: table, portal.Private: privateTable} {
		rows := strings.Split(strings.TrimSpace(text), "\n")
		headings := strings.Fields(rows[0])
		for _, row := range rows[1:] {
			cells := strings.Fields(row)
			require.Len(t, cells, len(headings), row)
			settings := portal.Defaults()
			settings.Enumeration = mode
			s := Situation{
				Portal: &portal.Portal{Settings: settings}, Now: noon, Invitation: invitations[cells[1]],
				Account: person(t, strings.ReplaceAll(cells[0], ",", " ")),
			}
			want := map[Door]string{OwnPassword: "."}
			if s.Account != nil && !s.Account.HasPassword() {
				want[OwnPassword] = "password_not_set"
			}
			for i := 3; i < len(cells); i++ {
				code, ok := abbreviated[cells[i]]
				if !ok {
					code = cells[i]
				}
				want[doors[headings[i]]] = code
			}
			requireDoors(t, row, s, want)
			require.Equal(t, strings.TrimPrefix(cells[2], "."), string(s.Next()), row)
			requireLocks(t, row, s, want)
			requireSettings(t, row, s, want)
		}
	}
}

func requireDoors(t *testing.T, what string, s Situation, want map[Door]string) {
	t.Helper()
	require.Len(t, want, len(doors))
	for name, door := range doors {
		require.Equal(t, want[door], said(s.At(door)), "%s: %s", name, what)
	}
}

// with is a copy of want in which the changed doors answer code.
func with(want map[Door]string, code string, changed ...Door) map[Door]string {
	copied := map[Door]string{}
	for door, said := range want {
		copied[door] = said
	}
	for _, door := range changed {
		copied[door] = code
	}
	return copied
}

// requireLocks checks that a lock is told before all else when a password is tried, at every portal, and nowhere else.
func requireLocks(t *testing.T, what string, s Situation, want map[Door]string) {
	t.Helper()
	for _, tt := range []struct {
		name string
		lock lockout.State
		code string
	}{
		{"failures", lock(4, time.Time{}), ""},
		{"a lock that is over", lock(5, noon), ""},
		{"a lock", lock(5, noon.Add(time.Millisecond)), "account_locked"},
		{"99 in a row", lock(lockout.InARow-1, time.Time{}), ""},
		{"a hundred in a row", lock(lockout.InARow, time.Time{}), "password_reset_required"},
		{"a hundred in a row and a lock", lock(lockout.InARow, noon.Add(time.Minute)), "account_locked"},
	} {
		s.Lock = tt.lock
		expected := want
		if tt.code != "" {
			expected = with(want, tt.code, BeforePassword, OwnPassword)
		}
		requireDoors(t, tt.name+": "+what, s, expected)
	}
}

// requireSettings checks the settings that close or open a door.
func requireSettings(t *testing.T, what string, s Situation, want map[Door]string) {
	t.Helper()
	settings := s.Portal.Settings
	alter := func(change func(*portal.Settings)) Situation {
		altered := s
		changed := settings.Clone()
		change(&changed)
		altered.Portal = &portal.Portal{Settings: changed}
		return altered
	}
	for _, closed := range []string{portal.RegistrationInviteOnly, portal.RegistrationClosed} {
		expected := want
		if want[Register] == "." || want[Register] == "silent" { // an open portal tells what it knows first
			expected = with(want, "registration_closed", Register)
		}
		requireDoors(t, closed+": "+what, alter(func(p *portal.Settings) { p.Registration = closed }), expected)
	}

	codes := alter(func(p *portal.Settings) { p.LoginMethods = []portal.Method{portal.EmailCode} })
	requireDoors(t, "no passwords: "+what, codes, with(want, "channel_unavailable", BeforePassword))
	switch codes.Next() {
	case NextRedeem, NextLoginCode, "":
	default:
		t.Errorf("no passwords: %s: %s", what, codes.Next())
	}

	if !s.Portal.Private() { // a private portal always requires confirmation
		lax := alter(func(p *portal.Settings) { p.RequireConfirmation = false })
		expected := want
		if want[AfterPassword] == "email_not_confirmed" {
			expected = with(want, ".", AfterPassword)
		}
		if s.unverified() { // there it is an account like any other
			verified := *s.Account
			verified.UnverifiedSince = nil
			same := lax
			same.Account = &verified
			for _, door := range []Door{Register, ResendInvitation} {
				require.NotEqual(t, ".", said(same.At(Register)), what)
				expected = with(expected, said(same.At(door)), door)
			}
		}
		requireDoors(t, "no confirmation: "+what, lax, expected)
	}

	s.Resource = "case-1"
	requireDoors(t, "a resource that is granted: "+what, s, want)
	s.Resource = "case-2"
	expected := want
	if want[AfterPassword] == "." {
		expected = with(want, "resource_not_granted", AfterPassword)
	}
	requireDoors(t, "a resource that is not granted: "+what, s, expected)
}

// TestReplies checks the members of the faults.
func TestReplies(t *testing.T) {
	t.Parallel()
	settings := portal.Defaults()
	address, err := email.Parse("ada@gmial.com")
	require.NoError(t, err)
	s := Situation{Portal: &portal.Portal{Settings: settings}, Address: address, Now: noon, Lock: lock(5, noon.Add(time.Minute))}

	var f *fault.Error
	require.ErrorAs(t, s.At(BeforePassword).Err(), &f)
	require.Equal(t, map[string]any{"locked_until": noon.Add(time.Minute)}, f.Members)
	require.Equal(t, time.Minute, f.RetryAfter)
	for _, door := range []Door{Lookup, RequestConfirmation, RequestReset, ResendInvitation} {
		require.ErrorAs(t, s.At(door).Err(), &f)
		require.Equal(t, map[string]any{"did_you_mean": []string{"ada@gmail.com"}}, f.Members)
	}
	require.NoError(t, s.At(UseSecret).Err())
}

// TestTold checks how each portal tells a fault that the ledger of secrets found by itself.
func TestTold(t *testing.T) {
	t.Parallel()
	open, private := portal.Defaults(), portal.Defaults()
	private.Enumeration = portal.Private
	for _, tt := range []struct {
		settings portal.Settings
		code     fault.Code
		want     fault.Code
	}{
		{open, fault.AccountDisabled, fault.AccountDisabled},
		{private, fault.AccountDisabled, fault.TokenExpired},
		{open, fault.TokenUsed, fault.TokenUsed},
		{private, fault.TokenUsed, fault.TokenUsed},
	} {
		s := Situation{Portal: &portal.Portal{Settings: tt.settings}}
		require.Equal(t, tt.want, fault.CodeOf(s.Told(UseSecret, tt.code)))
	}
}
