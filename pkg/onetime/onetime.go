// Package onetime is the ledger of one-time secrets: the links and typed codes that confirm an address, set a password
// or log in. No secret is stored. It is derived from the secret key and from its row, of which each portal, purpose and
// address has one, existing or not. So only the newest secret can be good, and a stolen database opens nothing.
package onetime

import (
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Purpose is what a secret is for. Only the newest secret of a purpose and address can be redeemed.
type Purpose string

// The purposes. Setting the first password and resetting one are one purpose; the variant tells them apart.
const (
	Confirmation Purpose = "confirmation"
	Password     Purpose = "password"
	LoginCode    Purpose = "login_code"
	// Invitation has rows that count how often the mail is asked for again. The mail carries the invitation's own code.
	Invitation Purpose = "invitation"
)

// keptLong is database.Kept for an address whose next code is long. A stranger can make such rows, so they must not pile up for
// ever.
const keptLong = 365 * 24 * time.Hour

// How often a secret may be asked for, for one purpose and address.
var (
	askQuotas = []slidinglog.Quota{
		{N: 1, Within: time.Minute}, {N: 5, Within: time.Hour}, {N: 20, Within: 24 * time.Hour},
	}
	// An administrator has a cool-down of their own and no caps.
	sendQuotas = []slidinglog.Quota{{N: 1, Within: time.Minute}}
)

// Account is the account that a secret is for. The secret ends when the stamp changes, or the account is disabled or
// deleted.
type Account struct {
	ID            ids.Account
	SecurityStamp uuid.UUID
	// LastLogin is when the account last logged in; nil for never. A login takes the address back to the short code.
	LastLogin *time.Time
}

// IssueRequest is a secret to be issued.
type IssueRequest struct {
	Purpose Purpose
	// EmailDigest is the keyed digest of the address.
	EmailDigest digest.Digest
	// Account is nil for an address without one. The same row is then written, and its secret is never good.
	Account *Account
	Variant string
	TTL     time.Duration
	// ByAdministrator leaves the person's cool-down and caps alone.
	ByAdministrator bool
	// Private says that strangers must not see whether the address has an account. Then nothing that only the owner of
	// an account does takes the address back to the short code: neither a login nor a redeemed secret.
	Private bool
	// DeliveryID is the message that carries the secret.
	DeliveryID ids.Delivery
}

// lastLogin is the time of the account's last login in Unix milliseconds; 0 for never, and at a private portal.
func (w IssueRequest) lastLogin() int64 {
	if w.Private || w.Account == nil || w.Account.LastLogin == nil {
		return 0
	}
	return w.Account.LastLogin.UnixMilli()
}

// Issued describes a secret that was issued.
type Issued struct {
	Generation int64
	ExpiresAt  time.Time
	// ResendAfter is the time until the same caller may ask for the next one: a minute, or longer where a cap is
	// reached.
	ResendAfter time.Duration
	DeliveryID  ids.Delivery
}

// Secret is what a message carries.
type Secret struct {
	Token     string
	Code      string // as it is shown: 6 digits, or 8 characters in two groups
	ExpiresAt time.Time
	Variant   string
}

// Credential is a secret that a person presents: the token of a link, or a typed code with the address's digest.
type Credential struct {
	Token       string
	EmailDigest digest.Digest
	Code        string
	Private     bool // as in IssueRequest
}

// Checked is a secret that was good when Check read its row.
type Checked struct {
	AccountID ids.Account
	// SecurityStamp is the account's. Consume sees the account as it was when its statement began. A later statement in
	// the same transaction must therefore check this stamp again when it writes to the account.
	SecurityStamp uuid.UUID
	EmailDigest   digest.Digest
	Email         string // the account's, as typed; only Check sets it
	Variant       string
	ExpiresAt     time.Time
	Generation    int64
	proof         proof
}

// proof shows that Check made a Checked. Consume takes nothing else. Its last members matter where a code was typed.
type proof struct {
	seed
	typed     bool
	long      bool  // the code
	private   bool  // as in IssueRequest
	lastLogin int64 // of the account, in Unix milliseconds; 0 for never
}
