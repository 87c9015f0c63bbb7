package login

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// NextStep is the step that a login page shows after a person typed an address.
type NextStep struct {
	Next admission.Next
	// Receipt is that of the set-password mail, which is sent without being asked for; nil for none.
	Receipt *delivery.Receipt
}

// LookUp gives the next step for an address. A person without a password is mailed a link to set one, unless such a
// mail is outstanding. A private portal answers from its settings alone and reads no account.
//
// Errors: email_not_found, with did_you_mean where the domain looks mistyped.
func (s *Service) LookUp(ctx context.Context, p *portal.Portal, address email.Address) (NextStep, error) {
	situation := admission.Situation{Portal: p, Address: address, Now: s.clock.Now()}
	if p.Private() {
		return NextStep{Next: situation.Next()}, nil
	}
	holder, err := s.invitations.Holder(ctx, p, address)
	if err != nil {
		return NextStep{}, err
	}
	situation.Account, situation.Invitation = holder.Account, holder.Waiting.Facts()
	step := NextStep{Next: situation.Next()}
	switch step.Next {
	case "":
		return NextStep{}, situation.At(admission.Lookup).Err()
	case admission.NextSetPassword:
		if situation.At(admission.RequestReset).Open() {
			step.Receipt, err = s.resets.Outstanding(ctx, p, holder.Account)
		}
	}
	return step, err
}
