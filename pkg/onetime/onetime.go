// Package onetime is the ledger of one-time secrets: the links and typed codes that confirm an address, set a password
// or log in. A secret stands nowhere. It is derived from the secret key over what its row holds, one row for each
// portal, purpose and address, existing or not: so the newest alone can be good, and a stolen database opens nothing.
package onetime

import (
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Purpose is what a secret is for. Of one purpose and subject only the newest counts.
type Purpose string

// The purposes. Setting the first password and resetting one are one purpose; the variant tells them apart.
const (
	Confirmation Purpose = "confirmation"
	Password     Purpose = "password"
	LoginCode    Purpose = "login_code"
	// Invitation has rows for how often one may be asked for again. What is mailed is the code of the invitation itself.
	Invitation Purpose = "invitation"
)

// Kept is how long a row is kept after it expired and was last touched (contract §2): until then a bad secret can be
// told used, superseded and expired apart.
const Kept = 30 * 24 * time.Hour

// Tries are how many wrong codes are heard for one secret, whatever races.
const Tries = 5

// offAfter is how many wrong codes in a row, across secrets, switch typed codes off.
const offAfter = 100

// How often is often enough, for one purpose and subject (contract §2).
var (
	askQuotas = []slidinglog.Quota{{N: 1, Within: time.Minute}, {N: 5, Within: time.Hour}, {N: 20, Within: 24 * time.Hour}}
	// What an administrator sends has a cool-down of its own and no caps.
	sendQuotas  = []slidinglog.Quota{{N: 1, Within: time.Minute}}
	wrongQuotas = []slidinglog.Quota{{N: 15, Within: time.Hour}, {N: 50, Within: 24 * time.Hour}}
)

// Account is what a secret rests on: it dies when the stamp changes, or the account is disabled or goes.
type Account struct {
	ID            ids.Account
	SecurityStamp uuid.UUID
}

// IssueRequest is a secret to be issued.
type IssueRequest struct {
	Purpose Purpose
	// EmailDigest is the keyed digest of the address.
	EmailDigest digest.Digest
	// Account is nil for nobody: the same row is written, and no secret of it is ever good.
	Account *Account
	Variant string
	TTL     time.Duration
	// ByAdministrator leaves the person's cool-down and caps alone.
	ByAdministrator bool
	// DeliveryID is the message that carries it.
	DeliveryID ids.Delivery
}

// Issued is a secret that was.
type Issued struct {
	Generation int64
	ExpiresAt  time.Time
	// ResendAfter is when the same caller may ask for the next one: a minute, or longer where a cap is reached.
	ResendAfter time.Duration
	DeliveryID  ids.Delivery
}

// Secret is what a message carries.
type Secret struct {
	Token     string
	Code      string // 6 digits
	ExpiresAt time.Time
	Variant   string
}

// Credential is what a person gives back: the token of a link, or else a typed code and whose it is.
type Credential struct {
	Token       string
	EmailDigest digest.Digest
	Code        string
}

// Checked is a secret that was good when it was looked at.
type Checked struct {
	AccountID ids.Account
	// SecurityStamp is the account's. Consume sees the account as it was when its statement began, so what follows in
	// its transaction must find this stamp once more as it writes to the account.
	SecurityStamp uuid.UUID
	EmailDigest   digest.Digest
	Email         string // the account's, as typed; Check alone tells it
	Variant       string
	ExpiresAt     time.Time
	Generation    int64
	proof         proof
}

// proof is how a Found came to be: only Check makes one, so nothing else can be consumed.
type proof struct {
	seed
	typed     bool
	lastLogin int64 // of the account, in Unix milliseconds; 0 for never
}
