package delivery

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// PotMessages is how many messages an address that proved nothing to us gets in 24 hours. All open portals share one
// pot for each address. A private portal has a pot of its own for each address, so that its members cannot be found by
// the counts of another portal.
//
// The first message of a day at each portal is sent even if the pot is empty, so that a stranger who empties it at other
// portals silences nobody.
const PotMessages = 20

// potQuota is the quota of a pot.
var potQuota = []slidinglog.Quota{{N: PotMessages, Within: 24 * time.Hour}}

// maxPotPortals is how many portals a pot remembers. Older ones are forgotten first.
const maxPotPortals = 500

// suppressedAnswer is the reason that a suppressed message shows.
const suppressedAnswer = "the recipient got too many messages within a day"

// unproved reports whether a message counts in a pot: a stranger can cause it without the recipient's doing, whether or
// not an account has the address. Messages to confirmed accounts have cool-downs, and security notices must always be
// sent.
//
// A reset of an unverified registration counts at open portals only. At a private portal the count would depend on the
// state of the account.
func (m *Message) unproved(p *portal.Portal) bool {
	switch m.Kind {
	case Confirm, AlreadyRegistered, Invited:
		return true
	case ResetPassword, SetPassword:
		return !p.Private() && isUnverified(m.Account)
	}
	return false
}

func isUnverified(a *account.Account) bool { return a != nil && a.UnverifiedSince != nil }

// potEntry is a message as a pot counts it.
type potEntry struct {
	pot digest.Digest
	// portal names the portal within the pot without being its id: potPortalWidth letters of a digest.
	portal string
}

// potPortalWidth is the length of potEntry.portal. Its characters are letters, so that no part of a time matches it.
const potPortalWidth = 16

// potEntry is the entry of a message in the pot of its address.
func (s *Service) potEntry(p *portal.Portal, m *Message) potEntry {
	atPortal := s.digests.OfEmail(p.ID, m.Address)
	pot := atPortal
	if !p.Private() {
		pot = s.digests.OfEmail(ids.Portal{}, m.Address)
	}
	name := make([]byte, 0, potPortalWidth)
	for _, octet := range atPortal[:potPortalWidth/2] {
		name = append(name, 'a'+octet>>4, 'a'+octet&15)
	}
	return potEntry{pot, string(name)}
}
