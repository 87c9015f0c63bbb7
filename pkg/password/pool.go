// Package password hashes, verifies and judges passwords.
//
// Hashing is the one expensive thing that a login does, so it runs in a Pool with a fixed number of slots, and own
// hashes are argon2id in PHC form. Hashes that came from other systems are verified too, within ceilings on their
// cost. Policy says what is wrong with a password that somebody wants to set, and Hints what may have gone wrong while
// typing one.
package password

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// ErrTooLong is returned by Hash for a password of more than MaxLength code points.
var ErrTooLong = errors.New("password: too long to be hashed")

// Params is the cost of an own hash. A zero field stands for that of Default.
type Params struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

var (
	// Default is one of the settings that OWASP's Password Storage Cheat Sheet calls equally strong, and the one that
	// suits a server of many callers: 19 MiB, two passes, one lane.
	Default = Params{MemoryKiB: 19 * 1024, Iterations: 2, Parallelism: 1}
	// Cheapest is the least that argon2 allows (RFC 9106 §3.1), for tests that are not about hashing.
	Cheapest = Params{MemoryKiB: 8, Iterations: 1, Parallelism: 1}
)

const (
	saltLength = 16
	keyLength  = 32
)

// retryAfter is what a caller is told who found no slot: by then the queue has moved on by some dozens of hashes.
const retryAfter = time.Second

// Pool hashes in as many slots as it was made with; other callers wait their turn, first come, first served.
// It is safe for concurrent use.
type Pool struct {
	params argon2id.Params
	wait   time.Duration
	slots  chan struct{}

	// ownPrefix and ownLength tell hashes of exactly these parameters from all others.
	ownPrefix string
	ownLength int
	// absent is verified for addresses without a password; it costs what an own hash does.
	absent matcher

	waiting    atomic.Int64
	hashed     atomic.Uint64
	waited     atomic.Uint64
	waitTime   atomic.Int64
	overloaded atomic.Uint64
	abandoned  atomic.Uint64
}

// NewPool makes a pool of that many slots (one at least), where a caller waits for a slot no longer than wait.
// The memory that hashing takes is slots × params.MemoryKiB, however many callers there are. Parameters have to stay
// within the ceilings of Supported; memory is raised to the 8 KiB a lane that RFC 9106 §3.1 asks for.
func NewPool(slots int, wait time.Duration, params Params) *Pool {
	lanes := cmp.Or(params.Parallelism, Default.Parallelism)
	p := &Pool{
		params: argon2id.Params{
			Memory:      max(cmp.Or(params.MemoryKiB, Default.MemoryKiB), 8*uint32(lanes)),
			Iterations:  cmp.Or(params.Iterations, Default.Iterations),
			Parallelism: lanes,
			SaltLength:  saltLength,
			KeyLength:   keyLength,
		},
		wait:  wait,
		slots: make(chan struct{}, max(slots, 1)),
	}
	p.ownPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$",
		argon2.Version, p.params.Memory, p.params.Iterations, lanes)
	p.ownLength = len(p.ownPrefix) + base64.RawStdEncoding.EncodedLen(saltLength) + len("$") +
		base64.RawStdEncoding.EncodedLen(keyLength)
	p.absent = argon2Matcher(argon2.IDKey, p.params, make([]byte, saltLength), make([]byte, keyLength))
	return p
}

// Hash makes a hash to store: argon2id in PHC form, of the password in NFC.
//
// Errors: overloaded when no slot came free in time, the context's own error when it ended before the hash began,
// ErrTooLong.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	password = norm.NFC.String(password)
	if utf8.RuneCountInString(password) > MaxLength {
		return "", ErrTooLong
	}
	var (
		encoded string
		failed  error
	)
	if err := p.run(ctx, func() { encoded, failed = argon2id.CreateHash(password, &p.params) }); err != nil {
		return "", err
	}
	if failed != nil {
		return "", fmt.Errorf("password: hash: %w", failed)
	}
	return encoded, nil
}

// Result is what Verify found.
type Result struct {
	Match bool
	// Outdated means that the stored hash is of another kind or has other parameters than the pool's: after a
	// match it is to be replaced. It says nothing about the password.
	Outdated bool
}

// Verify compares a password with a stored hash, own or foreign (see Supported). A password of more than MaxLength
// code points never matches, at the same cost.
//
// Errors: overloaded and the context's own, as Hash; then nothing was compared. ErrUnreadable when the stored hash
// cannot be verified; then a hash of the usual cost was done, and the caller treats it as a wrong password and logs it.
func (p *Pool) Verify(ctx context.Context, password, encoded string) (Result, error) {
	own := len(encoded) == p.ownLength && strings.HasPrefix(encoded, p.ownPrefix)
	matches, unreadable := parse(encoded)
	if unreadable != nil {
		own, matches = true, p.absent
	}
	match, err := p.compare(ctx, matches, password, own)
	if err != nil {
		return Result{}, err
	}
	if unreadable != nil {
		return Result{}, unreadable
	}
	return Result{Match: match, Outdated: !own}, nil
}

// VerifyAbsent does the work of Verify where there is nothing to compare with: an address without an account, or an
// account without a password. Time then tells a stranger nothing.
//
// Errors: overloaded and the context's own, as Hash.
func (p *Pool) VerifyAbsent(ctx context.Context, password string) error {
	_, err := p.compare(ctx, p.absent, password, true)
	return err
}

// compare tries the password in NFC, as own hashes are made. Other systems mostly hashed what was typed, byte for
// byte, so a foreign hash is also compared with that where it differs.
func (p *Pool) compare(ctx context.Context, matches matcher, password string, own bool) (match bool, err error) {
	normal := norm.NFC.String(password)
	tooLong := utf8.RuneCountInString(normal) > MaxLength
	if tooLong {
		normal, password = "", ""
	}
	err = p.run(ctx, func() {
		match = matches(normal) || (!own && password != normal && matches(password))
	})
	return match && !tooLong, err
}

// run does the work in a slot. Once begun it is not interrupted, whatever becomes of ctx: a caller who hangs up has
// had his answer computed, and login counts it.
func (p *Pool) run(ctx context.Context, work func()) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	work()
	p.hashed.Add(1)
	return nil
}

// acquire takes a slot. A channel hands a freed slot to who has waited longest, so a newcomer cannot push in.
func (p *Pool) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		p.abandoned.Add(1)
		return err
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
		return p.queue(ctx)
	}
}

// queue waits for a slot, for as long as the pool allows and the caller is there.
func (p *Pool) queue(ctx context.Context) error {
	began := time.Now()
	p.waited.Add(1)
	p.waiting.Add(1)
	defer func() {
		p.waiting.Add(-1)
		p.waitTime.Add(int64(time.Since(began)))
	}()
	timeout := time.NewTimer(p.wait)
	defer timeout.Stop()

	select {
	case p.slots <- struct{}{}:
		// The slot and the caller's end may have come at once, and select does not prefer either.
		if err := ctx.Err(); err != nil {
			<-p.slots
			p.abandoned.Add(1)
			return err
		}
		return nil
	case <-ctx.Done():
		p.abandoned.Add(1)
		return ctx.Err()
	case <-timeout.C:
		p.overloaded.Add(1)
		return fault.New(fault.Overloaded).After(retryAfter)
	}
}

// Stats is how busy a pool is (Slots, Running, Waiting) and has been since it was made (the rest).
type Stats struct {
	Slots, Running, Waiting int
	// Hashed counts hashes made and compared.
	Hashed uint64
	// Waited counts callers who found every slot taken, WaitTime is what they waited in total, those included who
	// got no slot.
	Waited   uint64
	WaitTime time.Duration
	// Overloaded counts callers whose wait was over, Abandoned those who left before their hash began.
	Overloaded, Abandoned uint64
}

// Stats reads the counters; each is exact, but they are not read at one instant.
func (p *Pool) Stats() Stats {
	return Stats{
		Slots:      cap(p.slots),
		Running:    len(p.slots),
		Waiting:    int(p.waiting.Load()),
		Hashed:     p.hashed.Load(),
		Waited:     p.waited.Load(),
		WaitTime:   time.Duration(p.waitTime.Load()),
		Overloaded: p.overloaded.Load(),
		Abandoned:  p.abandoned.Load(),
	}
}
