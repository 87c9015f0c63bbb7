package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// remedy is something that the person can do next, such as a button of the frontend.
type remedy struct {
	Action string            `json:"action"`
	Method string            `json:"method,omitempty"`
	Href   string            `json:"href,omitempty"`
	Body   map[string]string `json:"body,omitempty"`
	Detail string            `json:"detail"`
}

// The actions of remedies, as openapi.yaml lists them.
const (
	actionResendConfirmation   = "resend_confirmation"
	actionResetPassword        = "reset_password"
	actionSetPassword          = "set_password"
	actionRedeemInvitation     = "redeem_invitation"
	actionResendInvitation     = "resend_invitation"
	actionDeleteInvitation     = "delete_invitation"
	actionUseOtherChannel      = "use_other_channel"
	actionCorrectEmail         = "correct_email"
	actionLogIn                = "log_in"
	actionRetry                = "retry"
	actionWait                 = "wait"
	actionCheckSpam            = "check_spam"
	actionContactSupport       = "contact_support"
	actionContactAdministrator = "contact_administrator"
)

// remediesOf lists the actions that help with each problem, best first.
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

	fault.PendingInvitation: {
		actionRedeemInvitation, actionResendInvitation, actionCheckSpam, actionContactAdministrator,
	},
	fault.InvitationEmailMismatch: {actionCorrectEmail, actionContactAdministrator},
	fault.InvitationPending:       {actionResendInvitation, actionDeleteInvitation},

	fault.EmailAlreadyRegistered: {actionLogIn, actionResetPassword},
}

// remediesAt are the exceptions by route. An administrator cannot look into the spam folder of another person.
var remediesAt = map[string]map[fault.Code][]string{
	"/v1/admin/portals/:portal/invitations/:id/resend": {fault.ResendTooSoon: {actionWait}},
}

// actionAnother is replaced by the action that asks for another secret of the operation's kind.
const actionAnother = "another"

// anotherOf is the action for actionAnother below each path, by code; "" is every other code. An ended invitation
// cannot be mailed again, so it has actions of its own.
var anotherOf = map[string]map[fault.Code]string{
	"/v1/portals/:portal/confirmations":   {"": actionResendConfirmation},
	"/v1/portals/:portal/password-resets": {"": actionResetPassword},
	"/v1/portals/:portal/invitations": {
		"": actionResendInvitation, fault.TokenUsed: actionResetPassword, fault.TokenExpired: actionContactAdministrator,
	},
}

// callPaths are the operations of a portal that actions call, all by POST. The bodies of those in takesAddress have the
// address or the older token of the failed request.
var (
	callPaths = map[string]string{
		actionLogIn:              "/login",
		actionResendConfirmation: "/confirmations",
		actionResetPassword:      "/password-resets",
		actionSetPassword:        "/password-resets",
		actionRedeemInvitation:   "/invitations/redeem",
		actionResendInvitation:   "/invitations/resend",
	}
	takesAddress = []string{actionResendConfirmation, actionResetPassword, actionSetPassword, actionResendInvitation}
)

// invitationCalls are the calls of an administrator to the invitation in a problem's invitation_id.
var invitationCalls = map[string]struct{ method, path string }{
	actionResendInvitation: {http.MethodPost, "/resend"},
	actionDeleteInvitation: {http.MethodDelete, ""},
}

// remedies are the remedies of a fault for the caller of this request.
func (s *Server) remedies(c echo.Context, language locale.Language, f *fault.Error) []remedy {
	actions, ok := remediesAt[c.Path()][f.Code]
	if !ok {
		actions = remediesOf[f.Code]
	}
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
			if action = another(c, f.Code); action == "" {
				continue
			}
		}
		r := remedy{Action: action, Detail: locale.Text(language, "remedy."+action, data)}
		if portalOf(c) != nil {
			r.call(c, portalOf(c), f)
			if r.Href != "" {
				r.Href = s.publicPath + r.Href
			}
		}
		list = append(list, r)
	}
	return list
}

// call adds the method, path and body of the action, if it has a call.
func (r *remedy) call(c echo.Context, p *portal.Portal, f *fault.Error) {
	if f.Code == fault.InvitationPending {
		if id, named := f.Members["invitation_id"]; named {
			call := invitationCalls[r.Action]
			r.Method, r.Href = call.method, fmt.Sprintf("/v1/admin/portals/%s/invitations/%s%s", p.Slug, id, call.path)
		}
		return
	}
	path, ok := callPaths[r.Action]
	if !ok {
		return
	}
	r.Method, r.Href = http.MethodPost, "/v1/portals/"+p.Slug+path
	if slices.Contains(takesAddress, r.Action) {
		r.Body = addressee(c, f.Code)
	}
}

// another is the action for actionAnother at the operation; "" for none.
func another(c echo.Context, code fault.Code) string {
	for path, actions := range anotherOf {
		if strings.HasPrefix(c.Path(), path) {
			return cmp.Or(actions[code], actions[""])
		}
	}
	return ""
}

// addressee is the body that asks for a secret: with the address of the request, or its token, unless that is forged.
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

// noteEmail keeps the address in a request for the bodies of remedies.
func noteEmail(c echo.Context, typed string) { c.Set(typedEmailKey, typed) }

// noteToken keeps the token in a request for the bodies of remedies.
func noteToken(c echo.Context, typed string) { c.Set(typedTokenKey, typed) }
