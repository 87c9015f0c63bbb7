package admission

import "github.com/latchkey-auth/latchkey/pkg/fault"

// Door is a call that may refuse a person, or one point of such a call.
type Door int

// The doors. A login has two, because an answer before the password was found right must not tell whether the address
// has an account.
const (
	Lookup Door = iota
	BeforePassword
	AfterPassword
	OwnPassword // a change of password in a session
	Register
	RequestConfirmation
	RequestReset
	ResendInvitation
	UseSecret // a one-time secret, verified or redeemed
)

// Answer is the answer of a door.
type Answer struct {
	// Finding is the finding that refuses; nil when the door is open.
	Finding *Finding
	// told is the fault that the caller is answered; nil when the door is open, or a private portal keeps silent.
	told *fault.Error
}

// Open reports whether nothing refuses.
func (a Answer) Open() bool { return a.Finding == nil }

// Silent reports whether a private portal refuses without saying so: the caller gets the usual answer, the usual rows
// are written, and nothing is sent.
func (a Answer) Silent() bool { return a.Finding != nil && a.told == nil }

// Err is the fault that the caller is answered; nil when the door is open or silent.
func (a Answer) Err() error {
	if a.told == nil {
		return nil
	}
	return a.told
}

// Code is the code of Err.
func (a Answer) Code() fault.Code { return fault.CodeOf(a.Err()) }

// At asks a door. The answer is the first finding that refuses there. A finding that is told goes before one that a
// private portal keeps silent about. A finding that a private portal disguises as another goes before all: otherwise
// the others would tell what it hides.
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

// Told is the fault that a portal answers for a finding that another package found by itself, such as a disabled
// account that the ledger of one-time secrets refuses. A code that the door does not know is answered unchanged.
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

// told makes the fault of a reply; nil when the portal keeps silent.
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
