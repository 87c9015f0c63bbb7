package admission

import "github.com/latchkey-auth/latchkey/pkg/fault"

// Door is a point at which a person may be refused.
type Door int

// The doors. A login has two: what is said before the password is known to be right must tell nobody whose it is.
const (
	Lookup Door = iota
	BeforePassword
	AfterPassword
	OwnPassword // changing it, in a session
	Register
	RequestConfirmation
	RequestReset
	ResendInvitation
	UseSecret // a one-time secret, verified or redeemed
)

// Answer is what a door says.
type Answer struct {
	// Finding is the one that refuses; nil where the door is open.
	Finding *Finding
	// told is what the caller learns; nil where the door is open, or a private portal keeps silent.
	told *fault.Error
}

// Open reports whether nothing refuses.
func (a Answer) Open() bool { return a.Finding == nil }

// Silent reports whether a private portal refuses without saying so: the caller is answered as everybody is, the same
// rows are written, and nobody is sent anything.
func (a Answer) Silent() bool { return a.Finding != nil && a.told == nil }

// Err is what the caller is told; nil where the door is open or silent.
func (a Answer) Err() error {
	if a.told == nil {
		return nil
	}
	return a.told
}

// Code is the code of Err.
func (a Answer) Code() fault.Code { return fault.CodeOf(a.Err()) }

// At asks a door. The first finding that refuses there is the answer, and one that is told goes before one that a private
// portal keeps silent about. One that a private portal disguises as another goes before all others: after them, they
// would tell what it hides.
func (s Situation) At(door Door) Answer {
	var told, silent Answer
	for _, finding := range s.Findings() {
		reply, refuses := finding.rule.at[door]
		if !refuses {
			continue
		}
		answer := Answer{Finding: &finding, told: finding.told(s, reply)}
		switch {
		case s.Portal.Private() && reply.disguises():
			return answer
		case answer.Silent() && silent.Open():
			silent = answer
		case !answer.Silent() && told.Open():
			told = answer
		}
	}
	if told.Open() {
		return silent
	}
	return told
}

// Told is what a portal tells of a finding that something below has made sure of by itself, such as the ledger of
// one-time secrets of a disabled account. A code that the door does not know is told as it is.
func (s Situation) Told(door Door, code fault.Code) error {
	for _, r := range rules {
		if reply, refuses := r.at[door]; refuses && reply.open == code {
			if told := (Finding{rule: r}).told(s, reply); told != nil {
				return told
			}
		}
	}
	return fault.New(code)
}

// told makes the fault of a reply; nil where the portal keeps silent.
func (f Finding) told(s Situation, reply reply) *fault.Error {
	code := reply.open
	if s.Portal.Private() {
		code = reply.private
	}
	if code == "" {
		return nil
	}
	told := fault.New(code)
	if f.rule.explain != nil && code == reply.open {
		f.rule.explain(s, told)
	}
	return told
}
