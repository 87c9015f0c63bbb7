package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
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

	fault.TokenInvalid:          {actionRetry, actionAnother},
	fault.TokenUsed:             {actionLogIn, actionAnother},
	fault.TokenSuperseded:       {actionCheckSpam, actionAnother},
	fault.TokenExpired:          {actionAnother},
	fault.CodeAttemptsExhausted: {actionAnother, actionCheckSpam},
	fault.ResendTooSoon:         {actionWait, actionCheckSpam, actionContactSupport},
	fault.EmailAlreadyConfirmed: {actionLogIn},
	fault.RegistrationClosed:    {actionContactAdministrator},

	fault.EmailAlreadyRegistered: {actionLogIn, actionResetPassword},
}

// actionAnother stands for asking for another secret of the kind that the operation is about.
const actionAnother = "another"

// anotherOf is what actionAnother means below each path.
var anotherOf = map[string]string{
	"/v1/portals/:portal/confirmations":   actionResendConfirmation,
	"/v1/portals/:portal/password-resets": actionResetPassword,
}

// callPaths are the operations of a portal behind the actions that have one; all are POST. Those in takesAddress want
// the address that the request named, or the older token that it brought.
var (
	callPaths = map[string]string{
		actionLogIn:              "/login",
		actionResendConfirmation: "/confirmations",
		actionResetPassword:      "/password-resets",
		actionSetPassword:        "/password-resets",
	}
	takesAddress = []string{actionResendConfirmation, actionResetPassword, actionSetPassword}
)

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
		if action == actionAnother {
			if action = another(c); action == "" {
				continue
			}
		}
		r := remedy{Action: action, Detail: locale.Text(language, "remedy."+action, data)}
		if path, ok := callPaths[action]; ok && portalOf(c) != nil {
			r.Method, r.Href = http.MethodPost, "/v1/portals/"+portalOf(c).Slug+path
			if slices.Contains(takesAddress, action) {
				r.Body = addressee(c, f.Code)
			}
		}
		list = append(list, r)
	}
	return list
}

// another is the action that asks for another secret of the kind that the operation is about.
func another(c echo.Context) string {
	for path, action := range anotherOf {
		if strings.HasPrefix(c.Path(), path) {
			return action
		}
	}
	return ""
}

// addressee is whom a secret is asked for: the address that the request named, or the token that it brought, unless
// that is none of ours.
func addressee(c echo.Context, why fault.Code) map[string]string {
	email, _ := c.Get(typedEmailKey).(string)
	if email != "" {
		return map[string]string{"email": email}
	}
	if a, ok := c.Get(accountKey).(*account.Account); ok {
		return map[string]string{"email": a.Email.Typed()}
	}
	token, _ := c.Get(typedTokenKey).(string)
	if token != "" && why != fault.TokenInvalid {
		return map[string]string{"token": token}
	}
	return nil
}

const (
	typedEmailKey = "typed email"
	typedTokenKey = "typed token"
)

// noteEmail keeps the address that a request named, for the bodies of remedies.
func noteEmail(c echo.Context, typed string) { c.Set(typedEmailKey, typed) }

// noteToken keeps the token that a request brought, for the bodies of remedies.
func noteToken(c echo.Context, typed string) { c.Set(typedTokenKey, typed) }
