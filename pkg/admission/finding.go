package admission

import (
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Finding is one reason why a person is refused somewhere.
type Finding struct {
	// Code names the reason, in the words of problem codes where a problem has it.
	Code string
	rule rule
}

// reply is what a door answers: the code of a problem. A private portal has a code of its own; "" keeps silent.
type reply struct{ open, private fault.Code }

// always is told at every portal.
func always(code fault.Code) reply { return reply{code, code} }

// silently is told at open portals alone.
func silently(code fault.Code) reply { return reply{open: code} }

// disguises reports whether a private portal tells another reason instead.
func (r reply) disguises() bool { return r.private != "" && r.private != r.open }

// rule is a reason, when it holds, and what each door says then. A door that is not listed stays open.
type rule struct {
	code    string
	holds   func(Situation) bool
	at      map[Door]reply
	explain func(Situation, *fault.Error) // adds what the problem says beside its code
}

// rules are every reason there is, in the order in which they have to be solved: the first that refuses at a door is
// what it answers.
var rules = []rule{
	{
		code:  "channel_unavailable",
		holds: func(s Situation) bool { return !s.Portal.Allows(portal.Password) },
		at:    map[Door]reply{BeforePassword: always(fault.ChannelUnavailable)},
	},
	{
		code:  "pending_invitation",
		holds: func(s Situation) bool { return s.Invited() },
		at:    map[Door]reply{Register: silently(fault.PendingInvitation)},
	},
	{
		code:  "email_already_registered",
		holds: func(s Situation) bool { return !s.Replaceable() },
		at:    map[Door]reply{Register: silently(fault.EmailAlreadyRegistered)},
	},
	{
		code:  "already_accepted",
		holds: func(s Situation) bool { return s.registered() && !s.mailable() },
		at:    map[Door]reply{ResendInvitation: silently(fault.EmailAlreadyRegistered)},
	},
	{
		code:  "invitation_expired",
		holds: func(s Situation) bool { return s.Invitation != nil && !s.mailable() },
		at:    map[Door]reply{ResendInvitation: silently(fault.TokenExpired)},
	},
	{
		code:    "not_invited",
		holds:   func(s Situation) bool { return s.Invitation == nil && !s.registered() },
		at:      map[Door]reply{ResendInvitation: silently(fault.EmailNotFound)},
		explain: didYouMean,
	},
	{
		code:  "registration_closed",
		holds: func(s Situation) bool { return s.Portal.Registration != portal.RegistrationOpen },
		at:    map[Door]reply{Register: always(fault.RegistrationClosed)},
	},
	{
		code:  "account_locked",
		holds: func(s Situation) bool { _, locked := s.Lock.Locked(s.Now); return locked },
		at: map[Door]reply{
			BeforePassword: always(fault.AccountLocked), OwnPassword: always(fault.AccountLocked),
		},
		explain: func(s Situation, told *fault.Error) {
			until, _ := s.Lock.Locked(s.Now)
			_ = told.With("locked_until", until).After(until.Sub(s.Now))
		},
	},
	{
		code:  "password_reset_required",
		holds: func(s Situation) bool { return s.Lock.ResetRequired() },
		at: map[Door]reply{
			BeforePassword: always(fault.PasswordResetRequired), OwnPassword: always(fault.PasswordResetRequired),
		},
	},
	{
		code:  "email_not_found",
		holds: func(s Situation) bool { return s.Account == nil },
		at: map[Door]reply{
			Lookup: silently(fault.EmailNotFound), AfterPassword: always(fault.IncorrectCredentials),
			RequestConfirmation: silently(fault.EmailNotFound), RequestReset: silently(fault.EmailNotFound),
		},
		explain: didYouMean,
	},
	{
		code:  "password_not_set",
		holds: func(s Situation) bool { return s.Account != nil && !s.Account.HasPassword() },
		at: map[Door]reply{
			BeforePassword: silently(fault.PasswordNotSet),
			AfterPassword:  always(fault.IncorrectCredentials),
			OwnPassword:    always(fault.PasswordNotSet),
		},
	},
	{
		code:  "email_already_confirmed",
		holds: func(s Situation) bool { return s.Account != nil && s.Account.Confirmed != nil },
		at:    map[Door]reply{RequestConfirmation: silently(fault.EmailAlreadyConfirmed)},
	},
	{
		code:  "account_disabled",
		holds: func(s Situation) bool { return s.disabled() },
		at: map[Door]reply{
			AfterPassword:       always(fault.AccountDisabled),
			RequestConfirmation: silently(fault.AccountDisabled),
			RequestReset:        silently(fault.AccountDisabled),
			UseSecret:           {open: fault.AccountDisabled, private: fault.TokenExpired},
		},
	},
	{
		code:  "email_not_confirmed",
		holds: func(s Situation) bool { return s.unconfirmed() },
		at: map[Door]reply{
			AfterPassword: {open: fault.EmailNotConfirmed, private: fault.IncorrectCredentials},
		},
	},
	{
		code: "resource_not_granted",
		holds: func(s Situation) bool {
			return s.Resource != "" && (s.Account == nil || !slices.Contains(s.Account.Entitlements, s.Resource))
		},
		at: map[Door]reply{AfterPassword: always(fault.ResourceNotGranted)},
	},
}

// Findings are all reasons that hold, in the order in which they have to be solved.
func (s Situation) Findings() []Finding {
	var found []Finding
	for _, r := range rules {
		if r.holds(s) {
			found = append(found, Finding{Code: r.code, rule: r})
		}
	}
	return found
}

// mailable reports whether the invitation can be redeemed, and its code derived once more.
func (s Situation) mailable() bool { return s.Invited() && !s.Invitation.KeyLost }

// didYouMean adds the addresses that were probably meant.
func didYouMean(s Situation, told *fault.Error) {
	if meant := email.Suggest(s.Address.Canonical(), nil); len(meant) > 0 {
		_ = told.With("did_you_mean", meant)
	}
}
