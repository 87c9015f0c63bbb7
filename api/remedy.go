package api

import (
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

// remedy is one thing that a person can do next: a button of the frontend.
type remedy struct {
	Action string            `json:"action"`
	Method string            `json:"method,omitempty"`
	Href   string            `json:"href,omitempty"`
	Body   map[string]string `json:"body,omitempty"`
	Detail string            `json:"detail"`
}

// The actions of contract §1 that problems suggest.
const (
	actionResendConfirmation   = "resend_confirmation"
	actionResetPassword        = "reset_password"
	actionSetPassword          = "set_password"
	actionUseOtherChannel      = "use_other_channel"
	actionCorrectEmail         = "correct_email"
	actionLogIn                = "log_in"
	actionRetry                = "retry"
	actionWait                 = "wait"
	actionCheckSpam            = "check_spam"
	actionContactSupport       = "contact_support"
	actionContactAdministrator = "contact_administrator"
)

// remediesOf lists what helps against each problem that a person can do something about, the best first.
var remediesOf = map[fault.Code][]string{
	fault.AuthenticationRequired: {actionLogIn},
	fault.AccessTokenInvalid:     {actionLogIn},
	fault.PermissionDenied:       {actionContactAdministrator},
	fault.OriginNotAllowed:       {actionContactAdministrator},
	fault.OrganizationNotFound:   {actionContactAdministrator},
	fault.RateLimited:            {actionWait},
	fault.Internal:               {actionRetry, actionContactSupport},
	fault.Overloaded:             {actionRetry},
	fault.Unavailable:            {actionRetry, actionContactSupport},

	fault.EmailNotFound:        {actionCorrectEmail, actionContactAdministrator},
	fault.IncorrectCredentials: {actionRetry, actionResetPassword},
	fault.AccountDisabled:      {actionContactAdministrator},
	fault.EmailNotConfirmed:    {actionResendConfirmation, actionCheckSpam},
	fault.PasswordNotSet:       {actionSetPassword, actionCheckSpam},
	fault.ChannelUnavailable:   {actionUseOtherChannel},
	fault.ResourceNotGranted:   {actionContactAdministrator},
	fault.PasswordRejected:     {actionRetry},
	fault.SessionInvalid:       {actionLogIn},

	fault.AccountLocked:            {actionWait, actionResetPassword, actionContactSupport},
	fault.PasswordResetRequired:    {actionResetPassword, actionContactSupport},
	fault.RefreshTokenReused:       {actionLogIn, actionContactSupport},
	fault.CurrentPasswordIncorrect: {actionRetry, actionResetPassword},

	fault.EmailAlreadyRegistered: {actionLogIn, actionResetPassword},
}

// call is the operation of a portal behind an action, for those that have one.
type call struct {
	path      string
	takesMail bool // it takes the address that the request named
}

var calls = map[string]call{
	actionLogIn: {path: "/login"},
}

// remedies are what the caller of this request can do about a fault.
func (s *Server) remedies(c echo.Context, language locale.Language, f *fault.Error) []remedy {
	actions := remediesOf[f.Code]
	for _, field := range f.Fields {
		if field.Pointer == "/email" {
			actions = []string{actionCorrectEmail}
		}
	}
	data := locale.Data{}
	if f.RetryAfter > 0 {
		data["wait"] = locale.Wait(language, f.RetryAfter)
	}
	list := make([]remedy, 0, len(actions))
	for _, action := range actions {
		r := remedy{Action: action, Detail: locale.Text(language, "remedy."+action, data)}
		if target, ok := calls[action]; ok {
			if p := portalOf(c); p != nil {
				r.Method, r.Href = "POST", "/v1/portals/"+p.Slug+target.path
				if email := typedEmail(c); email != "" && target.takesMail {
					r.Body = map[string]string{"email": email}
				}
			}
		}
		list = append(list, r)
	}
	return list
}

const typedEmailKey = "typed email"

// noteEmail keeps the address that a request named, for the bodies of remedies.
func noteEmail(c echo.Context, typed string) { c.Set(typedEmailKey, typed) }

func typedEmail(c echo.Context) string {
	typed, _ := c.Get(typedEmailKey).(string)
	return typed
}
