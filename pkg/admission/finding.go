package admission

import (
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Finding is one reason why a person is refused somewhere.
type Finding struct {
	// Code names the reason. It is a problem's code if a problem has this reason.
	Code string
	rule rule
}

// reply holds the problem codes that a door answers at open and at private portals; "" keeps silent.
type reply struct{ open, private fault.Code }

// always answers the same code at every portal.
func always(code fault.Code) reply { return reply{code, code} }

// silently answers the code at open portals alone.
func silently(code fault.Code) reply { return reply{open: code} }

// disguises reports whether a private portal answers another reason instead.
func (r reply) disguises() bool { return r.private != "" && r.private != r.open }

// rule is a reason, the condition under which it holds, and the replies of the doors that it closes.
type rule struct {
	code    string
	holds   func(Situation) bool
	at      map[Door]reply
	explain func(Situation, *fault.Error) // adds members to the fault
}

// rules are all reasons, in the order in which a person has to solve them. A door answers the first that refuses.
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

// Findings are all reasons that hold, in the order in which a person has to solve them.
func (s Situation) Findings() []Finding {
	var found []Finding
	for _, r := range rules {
		if r.holds(s) {
			found = append(found, Finding{Code: r.code, rule: r})
		}
	}
	return found
}

// mailable reports whether the invitation can be redeemed and its code can still be derived.
func (s Situation) mailable() bool { return s.Invited() && !s.Invitation.KeyLost }

// didYouMean adds the addresses that the person probably meant.
func didYouMean(s Situation, told *fault.Error) {
	if meant := email.Suggest(s.Address.Canonical(), nil); len(meant) > 0 {
		_ = told.With("did_you_mean", meant)
	}
}
