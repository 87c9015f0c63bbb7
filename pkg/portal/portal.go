// Package portal keeps the tenants: it checks the settings of portals, caches them, and finds portals by slug or
// domain.
package portal

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Portal is one tenant. A Service returns shared portals: do not change them.
type Portal struct {
	ID   ids.Portal
	Slug string // never changes, and is never used again
	Settings
	CreatedAt time.Time
	UpdatedAt time.Time

	version int64
}

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidSlug reports whether a slug can name a portal: 1 to 63 lower-case letters, digits and inner dashes.
func ValidSlug(slug string) bool { return slugPattern.MatchString(slug) }

// Seconds is a duration of a setting, in whole seconds as JSON has it.
type Seconds int64

// Duration is the setting as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// Settings are what an administrator sets. openapi.yaml explains each of them.
type Settings struct {
	Name                string      `json:"name"`
	Domains             []string    `json:"domains"`
	Origins             []string    `json:"origins"`
	Enabled             bool        `json:"enabled"`
	Enumeration         Enumeration `json:"enumeration"`
	Registration        string      `json:"registration"`
	LoginMethods        []Method    `json:"login_methods"`
	RequireConfirmation bool        `json:"require_confirmation"`
	ConfirmationTTL     Seconds     `json:"confirmation_ttl"`
	PasswordMinLength   int         `json:"password_min_length"`
	ResetTTL            Seconds     `json:"reset_ttl"`
	SetPasswordTTL      Seconds     `json:"set_password_ttl"`
	InvitationTTL       Seconds     `json:"invitation_ttl"`
	CodeTTL             Seconds     `json:"code_ttl"`
	DeviceVerification  bool        `json:"device_verification"`
	DevicePINTTL        Seconds     `json:"device_pin_ttl"`
	DeviceTTL           Seconds     `json:"device_ttl"`
	Lockout             Lockout     `json:"lockout"`
	AccessTokenTTL      Seconds     `json:"access_token_ttl"`
	RefreshTokenTTL     Seconds     `json:"refresh_token_ttl"`
	RefreshGrace        Seconds     `json:"refresh_grace"`
	SessionMaxAge       Seconds     `json:"session_max_age"`
	CookieSameSite      string      `json:"cookie_same_site"`
	Links               Links       `json:"links"`
	Sender              Sender      `json:"sender"`
	Support             Support     `json:"support"`
	DefaultLocale       string      `json:"default_locale"`
	AuditRetention      Seconds     `json:"audit_retention"`
}

// Enumeration says whether strangers may learn which addresses have accounts.
type Enumeration string

// Open tells a person that the email is not found; Private tells a stranger nothing.
const (
	Open    Enumeration = "open"
	Private Enumeration = "private"
)

// Method is a way to log in.
type Method string

// The ways to log in.
const (
	Password  Method = "password"
	EmailCode Method = "email_code"
	SMSCode   Method = "sms_code"
)

// Who may register.
const (
	RegistrationOpen       = "open"
	RegistrationInviteOnly = "invite_only"
	RegistrationClosed     = "closed"
)

// Lockout says when wrong passwords lock, and for how long.
type Lockout struct {
	Threshold   int     `json:"threshold"`
	Window      Seconds `json:"window"`
	Duration    Seconds `json:"duration"`
	MaxDuration Seconds `json:"max_duration"`
}

// Links are the portal's own pages. Those of confirm, reset and invitation hold {token}; one that is nil is left out
// of mails.
type Links struct {
	Confirm    *string `json:"confirm"`
	Reset      *string `json:"reset"`
	Invitation *string `json:"invitation"`
	Login      *string `json:"login"`
}

// Link fills a token into the template of a link.
func Link(template, token string) string {
	return strings.ReplaceAll(template, "{token}", url.QueryEscape(token))
}

// Sender is who the portal's mail comes from.
type Sender struct {
	Name    *string `json:"name"`
	Address *string `json:"address"`
}

// Support is where a person asks for help.
type Support struct {
	Email *string `json:"email"`
	URL   *string `json:"url"`
}

// Defaults are the settings of a portal whose administrators set none.
func Defaults() Settings {
	return Settings{
		Domains: []string{}, Origins: []string{}, Enabled: true, Enumeration: Open, Registration: RegistrationOpen,
		LoginMethods: []Method{Password}, RequireConfirmation: true, ConfirmationTTL: 86400,
		PasswordMinLength: 12, ResetTTL: 900, SetPasswordTTL: 86400, InvitationTTL: 604800, CodeTTL: 900,
		DevicePINTTL: 1800, DeviceTTL: 2592000,
		Lockout:        Lockout{Threshold: 5, Window: 900, Duration: 900, MaxDuration: 1800},
		AccessTokenTTL: 600, RefreshTokenTTL: 1209600, RefreshGrace: 10, SessionMaxAge: 2592000,
		CookieSameSite: "lax", DefaultLocale: "en", AuditRetention: 31536000,
	}
}

// Clone makes a deep copy.
func (s Settings) Clone() Settings {
	s.Domains = slices.Clone(s.Domains)
	s.Origins = slices.Clone(s.Origins)
	s.LoginMethods = slices.Clone(s.LoginMethods)
	for _, text := range []**string{
		&s.Links.Confirm, &s.Links.Reset, &s.Links.Invitation, &s.Links.Login,
		&s.Sender.Name, &s.Sender.Address, &s.Support.Email, &s.Support.URL,
	} {
		if *text != nil {
			copied := **text
			*text = &copied
		}
	}
	return s
}

// Private reports whether strangers may not learn which addresses have accounts.
func (s *Settings) Private() bool { return s.Enumeration == Private }

// Allows reports whether the portal has the way to log in.
func (s *Settings) Allows(method Method) bool { return slices.Contains(s.LoginMethods, method) }

// SenderName is the name that mail comes from: the portal's own where none is set.
func (s *Settings) SenderName() string {
	if s.Sender.Name != nil {
		return *s.Sender.Name
	}
	return s.Name
}
