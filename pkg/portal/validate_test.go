package portal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// good are settings that need no change.
func good() Settings {
	s := Defaults()
	s.Name = "Acme"
	return s
}

func ptr(text string) *string { return &text }

// wrongs lists the errors of normalize, as "pointer code".
func wrongs(s *Settings) []string {
	list := make([]string, 0)
	for _, f := range s.normalize() {
		list = append(list, f.Pointer+" "+string(f.Code))
	}
	return list
}

func TestDefaultsAreGood(t *testing.T) {
	t.Parallel()
	s := good()
	require.Empty(t, wrongs(&s))
	require.Equal(t, good(), s)
}

// Each number has two bounds, which are themselves allowed.
func TestNumbersHaveBounds(t *testing.T) {
	t.Parallel()
	const month = 30 * 86400
	for _, tt := range []struct {
		pointer   string
		low, high int64
		set       func(s *Settings, to int64)
	}{
		{"/confirmation_ttl", 60, month, func(s *Settings, to int64) { s.ConfirmationTTL = Seconds(to) }},
		{"/password_min_length", 8, 64, func(s *Settings, to int64) { s.PasswordMinLength = int(to) }},
		{"/reset_ttl", 60, 86400, func(s *Settings, to int64) { s.ResetTTL = Seconds(to) }},
		{"/set_password_ttl", 60, month, func(s *Settings, to int64) { s.SetPasswordTTL = Seconds(to) }},
		{"/invitation_ttl", 60, month, func(s *Settings, to int64) { s.InvitationTTL = Seconds(to) }},
		{"/code_ttl", 60, 3600, func(s *Settings, to int64) { s.CodeTTL = Seconds(to) }},
		{"/device_pin_ttl", 60, 3600, func(s *Settings, to int64) { s.DevicePINTTL = Seconds(to) }},
		{"/device_ttl", 3600, 365 * 86400, func(s *Settings, to int64) { s.DeviceTTL = Seconds(to) }},
		{"/lockout/threshold", 1, 100, func(s *Settings, to int64) { s.Lockout.Threshold = int(to) }},
		{"/lockout/window", 60, 86400, func(s *Settings, to int64) { s.Lockout.Window = Seconds(to) }},
		{"/lockout/duration", 60, 86400, func(s *Settings, to int64) { s.Lockout.Duration, s.Lockout.MaxDuration = Seconds(to), 86400 }},
		{"/lockout/max_duration", 60, 86400, func(s *Settings, to int64) {
			s.Lockout.Duration, s.Lockout.MaxDuration = min(60, Seconds(to)), Seconds(to)
		}},
		{"/access_token_ttl", 60, 86400, func(s *Settings, to int64) { s.AccessTokenTTL = Seconds(to) }},
		{"/refresh_token_ttl", 300, 365 * 86400, func(s *Settings, to int64) { s.RefreshTokenTTL = Seconds(to) }},
		{"/refresh_grace", 1, 60, func(s *Settings, to int64) { s.RefreshGrace = Seconds(to) }},
		{"/session_max_age", 300, 365 * 86400, func(s *Settings, to int64) { s.SessionMaxAge = Seconds(to) }},
		{"/audit_retention", 86400, 3650 * 86400, func(s *Settings, to int64) { s.AuditRetention = Seconds(to) }},
	} {
		for _, inside := range []int64{tt.low, (tt.low + tt.high) / 2, tt.high} {
			s := good()
			tt.set(&s, inside)
			require.Empty(t, wrongs(&s), "%s %d", tt.pointer, inside)
		}
		for _, outside := range []int64{tt.low - 1, 0, -1, -1 << 62, tt.high + 1, 1 << 62} {
			s := good()
			tt.set(&s, outside)
			require.Contains(t, wrongs(&s), tt.pointer+" out_of_range", "%d", outside)
		}
	}
	s := good()
	s.Lockout.Duration, s.Lockout.MaxDuration = 900, 899
	require.Equal(t, []string{"/lockout/max_duration conflict"}, wrongs(&s))
}

func TestWordsAreOfTheirLists(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pointer string
		good    []string
		set     func(s *Settings, to string)
	}{
		{"/enumeration", []string{"open", "private"}, func(s *Settings, to string) { s.Enumeration = Enumeration(to) }},
		{"/registration", []string{"open", "invite_only", "closed"}, func(s *Settings, to string) { s.Registration = to }},
		{"/cookie_same_site", []string{"lax", "strict", "none"}, func(s *Settings, to string) { s.CookieSameSite = to }},
		{"/default_locale", []string{"en", "de", "fr", "nl", "da"}, func(s *Settings, to string) { s.DefaultLocale = to }},
		{"/login_methods/0", []string{"password", "email_code", "sms_code"}, func(s *Settings, to string) { s.LoginMethods = []Method{Method(to)} }},
	} {
		for _, word := range tt.good {
			s := good()
			tt.set(&s, word)
			require.Empty(t, wrongs(&s), "%s %s", tt.pointer, word)
		}
		for _, word := range []string{"", "nothing", strings.ToUpper(tt.good[0]), tt.good[0] + " ", "en-GB"} {
			s := good()
			tt.set(&s, word)
			require.Equal(t, []string{tt.pointer + " not_allowed"}, wrongs(&s), "%q", word)
		}
	}
}

func TestOtherSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set   func(s *Settings)
		wrong []string
	}{
		"no name":                   {func(s *Settings) { s.Name = "" }, []string{"/name required"}},
		"a blank name":              {func(s *Settings) { s.Name = " \u3000 " }, []string{"/name required"}},
		"a long name":               {func(s *Settings) { s.Name = strings.Repeat("é", 101) }, []string{"/name too_long"}},
		"a name just short":         {func(s *Settings) { s.Name = strings.Repeat("é", 100) }, nil},
		"no login methods":          {func(s *Settings) { s.LoginMethods = []Method{} }, []string{"/login_methods required"}},
		"nil login methods":         {func(s *Settings) { s.LoginMethods = nil }, []string{"/login_methods required"}},
		"all login methods":         {func(s *Settings) { s.LoginMethods = []Method{SMSCode, Password, EmailCode} }, nil},
		"a login method twice":      {func(s *Settings) { s.LoginMethods = []Method{Password, Password} }, []string{"/login_methods/1 duplicate_member"}},
		"private, unconfirmed":      {func(s *Settings) { s.Enumeration, s.RequireConfirmation = Private, false }, []string{"/require_confirmation conflict"}},
		"open, unconfirmed":         {func(s *Settings) { s.RequireConfirmation = false }, nil},
		"private, confirmed":        {func(s *Settings) { s.Enumeration = Private }, nil},
		"a sender":                  {func(s *Settings) { s.Sender = Sender{ptr("Acme"), ptr("login@acme.example")} }, nil},
		"an empty sender":           {func(s *Settings) { s.Sender.Name = ptr("") }, []string{"/sender/name required"}},
		"a long sender":             {func(s *Settings) { s.Sender.Name = ptr(strings.Repeat("x", 101)) }, []string{"/sender/name too_long"}},
		"a sender's address":        {func(s *Settings) { s.Sender.Address = ptr("Acme <login@acme.example>") }, []string{"/sender/address invalid_email"}},
		"a support address":         {func(s *Settings) { s.Support.Email = ptr("help") }, []string{"/support/email invalid_email"}},
		"support":                   {func(s *Settings) { s.Support = Support{ptr("help@acme.example"), ptr("https://acme.example/help")} }, nil},
		"support by a script":       {func(s *Settings) { s.Support.URL = ptr("javascript:alert(1)") }, []string{"/support/url invalid"}},
		"many domains":              {func(s *Settings) { s.Domains = numbered("login%d.acme.example", 20) }, nil},
		"too many domains":          {func(s *Settings) { s.Domains = numbered("login%d.acme.example", 21) }, []string{"/domains too_many"}},
		"many origins":              {func(s *Settings) { s.Origins = numbered("https://login%d.acme.example", 50) }, nil},
		"too many origins":          {func(s *Settings) { s.Origins = numbered("https://login%d.acme.example", 51) }, []string{"/origins too_many"}},
		"two spellings of a domain": {func(s *Settings) { s.Domains = []string{"a.example", "A.EXAMPLE"} }, []string{"/domains/1 duplicate_member"}},
		"two spellings of an origin": {func(s *Settings) { s.Origins = []string{"https://a.example", "https://A.example:443/"} },
			[]string{"/origins/1 duplicate_member"}},
		"everything at once": {func(s *Settings) {
			s.Name, s.Registration, s.RefreshGrace, s.Domains = "", "x", 0, []string{"ok.example", "no"}
		}, []string{"/name required", "/domains/1 invalid", "/registration not_allowed", "/refresh_grace out_of_range"}},
	} {
		s := good()
		tt.set(&s)
		require.ElementsMatch(t, tt.wrong, wrongs(&s), name)
	}
}

func numbered(format string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

func TestDomainsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"login.acme.example": "login.acme.example", "LOGIN.Acme.Example": "login.acme.example", "bücher.example": "xn--bcher-kva.example",
		"bu\u0308cher.example": "xn--bcher-kva.example", "XN--BCHER-KVA.example": "xn--bcher-kva.example", "a.b": "a.b",
		"login。acme。example": "login.acme.example",
		"":                   "", "localhost": "", "acme": "", ".example": "", "acme.": "", "acme.example.": "", "acme..example": "", "acme.example:443": "",
		"https://acme.example": "", "acme.example/": "", "acme .example": "", " acme.example": "", "acme_x.example": "", "-acme.example": "",
		"acme-.example": "", "*.acme.example": "", "acme.example?": "", "user@acme.example": "", "xn--.example": "",
		strings.Repeat("a", 64) + ".example": "", strings.Repeat("a.", 130) + "example": "",
	} {
		got, ok := canonicalDomain(typed)
		require.Equal(t, want != "", ok, typed)
		require.Equal(t, want, got, typed)
	}
}

// Origins are kept as browsers spell them, because they are compared with the header Origin.
func TestOriginsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"https://acme.example": "https://acme.example", "https://acme.example/": "https://acme.example", "HTTPS://ACME.Example": "https://acme.example",
		"https://acme.example:443": "https://acme.example", "http://acme.example:80": "http://acme.example", "http://acme.example:443": "http://acme.example:443",
		"https://acme.example:8443": "https://acme.example:8443", "http://localhost:3000": "http://localhost:3000", "http://127.0.0.1:3000": "http://127.0.0.1:3000",
		"http://[::1]:3000": "http://[::1]:3000", "https://bücher.example": "https://xn--bcher-kva.example", "https://acme.example:": "https://acme.example",
		"": "", "null": "", "*": "", "acme.example": "", "//acme.example": "", "https://": "", "https:///": "", "https:acme.example": "", "ftp://acme.example": "",
		"https://*.acme.example": "", "https://acme.example/path": "", "https://acme.example?x": "", "https://acme.example?": "", "https://acme.example#": "",
		"https://acme.example#x": "", "https://user@acme.example": "", "https://user:pw@acme.example": "", "https://acme.example:x": "",
		"https://acme.example\\@evil.example": "", " https://acme.example": "", "https://acme .example": "", "javascript://acme.example": "",
		"https://acme.example,https://evil.example": "", "https://a\nb.example": "",
		"capacitor://localhost": "capacitor://localhost", "ionic://localhost": "ionic://localhost", "Capacitor://LocalHost/": "capacitor://localhost",
		"tauri://localhost": "tauri://localhost", "app://obsidian.md": "app://obsidian.md", "com.acme.app://acme_app": "com.acme.app://acme_app",
		"chrome-extension://abcdefghijklmnop": "chrome-extension://abcdefghijklmnop", "app://localhost:8080": "app://localhost:8080",
		"app://localhost:80": "app://localhost:80", "capacitor://": "", "capacitor:localhost": "", "capacitor://localhost/path": "",
		"capacitor://*": "", "capacitor://user@localhost": "", "capacitor://localhost?x": "", "capacitor://lo cal": "",
		"file://": "", "file://localhost": "", "FILE://localhost": "", "data://x": "", "blob://x": "", "null://x": "", "about://blank": "", "wss://acme.example": "",
	} {
		got, ok := canonicalOrigin(typed)
		require.Equal(t, want != "", ok, typed)
		require.Equal(t, want, got, typed)
	}
}

func TestLinksAreTemplates(t *testing.T) {
	t.Parallel()
	const invalid = "/links/reset invalid"
	for typed, fine := range map[string]bool{
		"https://acme.example/reset?token={token}": true, "https://acme.example/reset/{token}": true, "http://localhost:3000/#/reset/{token}": true,
		"https://acme.example/{token}": true, "https://acme.example?token={token}": true, "https://acme.example#{token}": true,
		"https://acme.example/reset?token={token}&lang=en": true, "HTTPS://acme.example/{token}": true,
		"": false, "https://acme.example/reset": false, "https://acme.example/{token}/{token}": false, "https://acme.example/{Token}": false,
		"https://acme.example/{token}{x}": false, "https://acme.example/{{token}}": false, "/reset/{token}": false, "//acme.example/{token}": false,
		"https://{token}.acme.example/": false, "https://acme.example{token}/": false, "https://acme.example:{token}/": false,
		"https://{token}@acme.example/": false, "https://user:pw@acme.example/{token}": false, "javascript:alert({token})": false,
		"mailto:a@acme.example?body={token}": false, "data:text/html,{token}": false, "https://acme.example/<{token}>": false,
		"https://acme.example/\"{token}": false, "https://acme.example/ {token}": false, "https://acme.example/\\{token}": false,
		"https://acme.example/\n{token}": false, "https://acme.example/%zz/{token}": false, "{token}": false, "{token}://acme.example/": false,
		"https://acme.example/" + strings.Repeat("x", 2000) + "{token}": false,
	} {
		s := good()
		s.Links.Reset = ptr(typed)
		if fine {
			require.Empty(t, wrongs(&s), typed)
		} else {
			require.Equal(t, []string{invalid}, wrongs(&s), typed)
		}
	}
	s := good()
	s.Links.Login = ptr("https://acme.example/login")
	require.Empty(t, wrongs(&s))
	s.Links.Login = ptr("https://acme.example/login?{token}") // it is no template
	require.Equal(t, []string{"/links/login invalid"}, wrongs(&s))
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	for _, slug := range []string{"a", "acme", "0", "a-b", "a--b", strings.Repeat("a", 63), "1-2-3"} {
		require.True(t, ValidSlug(slug), slug)
	}
	for _, slug := range []string{"", "-", "-a", "a-", "A", "acme_x", "a.b", "a b", " a", "a\n", "é", "a/b", strings.Repeat("a", 64), "acme\x00"} {
		require.False(t, ValidSlug(slug), slug)
	}
}

// A clone is a deep copy, of settings that are added later too.
func TestAClone(t *testing.T) {
	t.Parallel()
	s := good()
	s.Domains, s.Origins = []string{"a.example"}, []string{"https://a.example"}
	s.Links = Links{ptr("confirm"), ptr("reset"), ptr("invitation"), ptr("login")}
	s.Sender, s.Support = Sender{ptr("name"), ptr("address")}, Support{ptr("email"), ptr("url")}
	before, err := json.Marshal(s)
	require.NoError(t, err)
	clone := s.Clone()
	after, err := json.Marshal(clone)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))

	clone.Domains[0], clone.Origins[0], clone.LoginMethods[0] = "changed", "changed", SMSCode
	for _, text := range []*string{
		clone.Links.Confirm, clone.Links.Reset, clone.Links.Invitation, clone.Links.Login,
		clone.Sender.Name, clone.Sender.Address, clone.Support.Email, clone.Support.URL,
	} {
		*text = "changed"
	}
	after, err = json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
}
