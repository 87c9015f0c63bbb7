package audit

import (
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Target is the thing that an event is about, where that is no person. It must name nobody: an address never goes in.
type Target struct {
	kind string
	id   string
	name string // as people know it; "" for a thing without a name
}

// PortalTarget is a portal as a target.
func PortalTarget(id ids.Portal, slug string) Target { return Target{"portal", id.String(), slug} }

// APIKeyTarget is an API key as a target.
func APIKeyTarget(id ids.APIKey, name string) Target { return Target{"api_key", id.String(), name} }

// SigningKeyTarget is a signing key as a target.
func SigningKeyTarget(kid string) Target { return Target{"signing_key", kid, kid} }

// InvitationTarget is an invitation as a target. Its only name would be the address of the person, which is left out.
func InvitationTarget(id ids.Invitation) Target { return Target{"invitation", id.String(), ""} }

// Event is one thing that happened. A person is named by the account's id and a digest of the address, so that
// deleting the person leaves the event without the person.
type Event struct {
	portalID    ids.Portal
	kind        Type
	err         error
	emailDigest digest.Digest
	accountID   ids.Account
	target      Target
	changed     []string
	hints       []string
}

// OfAccount is an event about an account. The digest is that of its address; zero where it is not at hand.
func OfAccount(portalID ids.Portal, what Type, accountID ids.Account, emailDigest digest.Digest) Event {
	return OfAddress(portalID, what, emailDigest).WithAccount(accountID)
}

// OfAddress is an event about an address that has no account, or not for certain.
func OfAddress(portalID ids.Portal, what Type, emailDigest digest.Digest) Event {
	return Event{portalID: portalID, kind: what, emailDigest: emailDigest}
}

// OfTarget is an event about a thing. Its portal is Installation where it must outlive the portal.
func OfTarget(portalID ids.Portal, what Type, target Target) Event {
	return Event{portalID: portalID, kind: what, target: target}
}

// WithAccount adds the account of the address; the zero id adds none.
func (e Event) WithAccount(id ids.Account) Event {
	e.accountID = id
	return e
}

// WithTarget adds the thing that the event is about beside the person.
func (e Event) WithTarget(target Target) Event {
	e.target = target
	return e
}

// WithHints adds what the typed password looked like: codes such as "all_caps", nothing of the password itself.
func (e Event) WithHints(hints []string) Event {
	e.hints = hints
	return e
}

// Failed says why it failed. Only the code of err is kept. A nil err is success.
func (e Event) Failed(err error) Event {
	e.err = err
	return e
}

// Changed says which members of the account or the portal have another value now, by their names in JSON.
func (e Event) Changed(members ...string) Event {
	e.changed = slices.Sorted(slices.Values(members))
	return e
}
