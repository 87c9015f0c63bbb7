package audit

import (
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Target is the thing that an event is about, if that is not a person. It must not identify a person: an address never
// goes in.
type Target struct {
	kind string
	id   string
	name string // "" for a thing without a name
}

// PortalTarget is a portal as a target.
func PortalTarget(id ids.Portal, slug string) Target { return Target{"portal", id.String(), slug} }

// APIKeyTarget is an API key as a target.
func APIKeyTarget(id ids.APIKey, name string) Target { return Target{"api_key", id.String(), name} }

// SigningKeyTarget is a signing key as a target.
func SigningKeyTarget(kid string) Target { return Target{"signing_key", kid, kid} }

// InvitationTarget is an invitation as a target. It has no name, because that would be the address of the person.
func InvitationTarget(id ids.Invitation) Target { return Target{"invitation", id.String(), ""} }

// Event is one event. It identifies a person by the account's id and a digest of the address only, so that deleting the
// person leaves an anonymous event.
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

// OfAccount is an event about an account. The digest is of its address; the zero digest is none.
func OfAccount(portalID ids.Portal, what Type, accountID ids.Account, emailDigest digest.Digest) Event {
	return OfAddress(portalID, what, emailDigest).WithAccount(accountID)
}

// OfAddress is an event about an address that has no account, or may have none.
func OfAddress(portalID ids.Portal, what Type, emailDigest digest.Digest) Event {
	return Event{portalID: portalID, kind: what, emailDigest: emailDigest}
}

// OfTarget is an event about a thing. Its portal is Installation if the event must outlive the portal.
func OfTarget(portalID ids.Portal, what Type, target Target) Event {
	return Event{portalID: portalID, kind: what, target: target}
}

// WithAccount adds the account of the address; the zero id adds none.
func (e Event) WithAccount(id ids.Account) Event {
	e.accountID = id
	return e
}

// WithTarget adds the thing that the event is about, in addition to the person.
func (e Event) WithTarget(target Target) Event {
	e.target = target
	return e
}

// WithHints adds what the typed password looked like: codes such as "all_caps", and no part of the password.
func (e Event) WithHints(hints []string) Event {
	e.hints = hints
	return e
}

// Failed adds the reason of a failure. Only the code of err is stored. A nil err is success.
func (e Event) Failed(err error) Event {
	e.err = err
	return e
}

// Changed adds the members of the account or portal that have new values, by their names in JSON.
func (e Event) Changed(members ...string) Event {
	e.changed = slices.Sorted(slices.Values(members))
	return e
}
