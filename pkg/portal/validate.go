package portal

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

const (
	maxName    = 100 // code points
	maxDomains = 20
	maxOrigins = 50
	maxOrigin  = 300  // octets
	maxURL     = 2000 // octets
	day        = 86400
)

// normalize brings domains and origins into their one spelling, and lists every setting that is wrong.
func (s *Settings) normalize() fault.Fields {
	var c checker
	s.Name = strings.TrimSpace(s.Name)
	c.length("/name", s.Name, 1, maxName)
	c.list("/domains", s.Domains, maxDomains, spelling{canonicalDomain, ""})
	c.list("/origins", s.Origins, maxOrigins, spelling{canonicalOrigin, "field.origin"})
	c.OneOf("/enumeration", string(s.Enumeration), string(Open), string(Private))
	c.OneOf("/registration", s.Registration, RegistrationOpen, RegistrationInviteOnly, RegistrationClosed)
	s.checkLoginMethods(&c)
	s.checkNumbers(&c)
	c.OneOf("/cookie_same_site", s.CookieSameSite, "lax", "strict", "none")
	c.link("/links/confirm", s.Links.Confirm, true)
	c.link("/links/reset", s.Links.Reset, true)
	c.link("/links/invitation", s.Links.Invitation, true)
	c.link("/links/login", s.Links.Login, false)
	if s.Sender.Name != nil {
		c.length("/sender/name", *s.Sender.Name, 1, maxName)
	}
	c.address("/sender/address", s.Sender.Address)
	c.address("/support/email", s.Support.Email)
	c.link("/support/url", s.Support.URL, false)
	c.OneOf("/default_locale", s.DefaultLocale, locale.Tags()...)
	if s.Private() && !s.RequireConfirmation {
		// Without a confirmation, the answer to a registration would tell whether the address has an account.
		c.Wrong("/require_confirmation", fault.FieldConflict)
	}
	return c.Fields
}

func (s *Settings) checkLoginMethods(c *checker) {
	if len(s.LoginMethods) == 0 {
		c.Wrong("/login_methods", fault.FieldRequired)
	}
	for i, method := range s.LoginMethods {
		pointer := fmt.Sprintf("/login_methods/%d", i)
		c.OneOf(pointer, string(method), string(Password), string(EmailCode), string(SMSCode))
		if slices.Contains(s.LoginMethods[:i], method) {
			c.Wrong(pointer, fault.FieldDuplicate)
		}
	}
}

func (s *Settings) checkNumbers(c *checker) {
	for _, bound := range []struct {
		pointer          string
		value, low, high int64
	}{
		{"/confirmation_ttl", int64(s.ConfirmationTTL), 60, 30 * day},
		{"/password_min_length", int64(s.PasswordMinLength), 8, 64},
		{"/reset_ttl", int64(s.ResetTTL), 60, day},
		{"/set_password_ttl", int64(s.SetPasswordTTL), 60, 30 * day},
		{"/invitation_ttl", int64(s.InvitationTTL), 60, 30 * day},
		{"/code_ttl", int64(s.CodeTTL), 60, 3600},
		{"/device_pin_ttl", int64(s.DevicePINTTL), 60, 3600},
		{"/device_ttl", int64(s.DeviceTTL), 3600, 365 * day},
		{"/lockout/threshold", int64(s.Lockout.Threshold), 1, 100},
		{"/lockout/window", int64(s.Lockout.Window), 60, day},
		{"/lockout/duration", int64(s.Lockout.Duration), 60, day},
		{"/lockout/max_duration", int64(s.Lockout.MaxDuration), 60, day},
		{"/access_token_ttl", int64(s.AccessTokenTTL), 60, day},
		{"/refresh_token_ttl", int64(s.RefreshTokenTTL), 300, 365 * day},
		{"/refresh_grace", int64(s.RefreshGrace), 1, 60},
		{"/session_max_age", int64(s.SessionMaxAge), 300, 365 * day},
		{"/audit_retention", int64(s.AuditRetention), day, 3650 * day},
	} {
		if bound.value < bound.low || bound.value > bound.high {
			c.Wrong(bound.pointer, fault.FieldOutOfRange)
		}
	}
	if s.Lockout.MaxDuration < s.Lockout.Duration {
		c.Wrong("/lockout/max_duration", fault.FieldConflict)
	}
}

// checker collects the settings that are wrong.
type checker struct{ fault.Fields }

func (c *checker) length(pointer, text string, low, high int) {
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && low > 0:
		c.Wrong(pointer, fault.FieldRequired)
	case n > high:
		c.Beyond(pointer, fault.FieldTooLong, high)
	}
}

// spelling brings the items of a list into one form. explained names the text about an item that has none; "" is the
// usual text.
type spelling struct {
	canonical func(string) (string, bool)
	explained string
}

func (c *checker) list(pointer string, items []string, most int, spelling spelling) {
	if len(items) > most {
		c.Beyond(pointer, fault.FieldTooMany, most)
		return
	}
	for i, item := range items {
		spelled, ok := spelling.canonical(item)
		if !ok {
			c.Fields = append(c.Fields, fault.Field{
				Pointer: fmt.Sprintf("%s/%d", pointer, i), Code: fault.FieldInvalid, Text: spelling.explained,
			})
		} else if slices.Contains(items[:i], spelled) {
			c.Wrong(fmt.Sprintf("%s/%d", pointer, i), fault.FieldDuplicate)
		}
		items[i] = spelled
	}
}

func (c *checker) address(pointer string, text *string) {
	if text == nil {
		return
	}
	if _, err := email.Parse(*text); err != nil {
		c.Wrong(pointer, fault.FieldEmail)
	}
}

// link checks an http(s) URL. A template holds {token} once, outside the host, and no other braces.
func (c *checker) link(pointer string, text *string, template bool) {
	if text == nil {
		return
	}
	const hole = "{token}"
	filled := *text
	if template {
		if strings.Count(filled, hole) != 1 {
			c.Wrong(pointer, fault.FieldInvalid)
			return
		}
		filled = strings.Replace(filled, hole, "token", 1)
	}
	u, err := url.Parse(filled)
	if err != nil || len(filled) > maxURL || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
		u.User != nil || strings.ContainsAny(filled, "{}<>\" \\") ||
		(template && strings.Contains(authority(*text), hole)) {
		c.Wrong(pointer, fault.FieldInvalid)
	}
}

// authority is the part of a URL between // and the path, query or fragment (RFC 3986 §3.2).
func authority(text string) string {
	_, rest, _ := strings.Cut(text, "//")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// hostNames reads host names as a resolver does, and checks their lengths.
var hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// canonicalDomain is the ASCII form of a host name with a dot in it.
func canonicalDomain(text string) (string, bool) {
	ascii, err := hostNames.ToASCII(text)
	if err != nil || !strings.Contains(ascii, ".") || strings.HasSuffix(ascii, ".") {
		return "", false
	}
	return ascii, true
}
