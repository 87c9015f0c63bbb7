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
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/pkg/ids"
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

// Pool hashes in as many slots as it was made with. Other callers wait their turn, and portals take turns: For names the
// portal. It is safe for concurrent use.
type Pool struct {
	params argon2id.Params
	queue  *fairQueue

	// ownPrefix and ownLength tell hashes of exactly these parameters from all others.
	ownPrefix string
	ownLength int
	// absent is verified for addresses without a password; it costs what an own hash does.
	absent matcher
}

// Share is a portal's share of a pool. While callers of several portals wait, each portal gets every so many slots, and
// no portal can take those of another.
type Share struct {
	pool   *Pool
	portal ids.Portal
}

// For returns a portal's share of the pool.
func (p *Pool) For(portal ids.Portal) Share { return Share{p, portal} }

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
		queue: newFairQueue(max(slots, 1), wait),
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
func (s Share) Hash(ctx context.Context, password string) (string, error) {
	password = norm.NFC.String(password)
	if utf8.RuneCountInString(password) > MaxLength {
		return "", ErrTooLong
	}
	var (
		encoded string
		failed  error
	)
	if err := s.run(ctx, func() { encoded, failed = argon2id.CreateHash(password, &s.pool.params) }); err != nil {
		return "", err
	}
	if failed != nil {
		return "", fmt.Errorf("password: hash: %w", failed)
	}
	return encoded, nil
}

// Result is the outcome of Verify.
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
func (s Share) Verify(ctx context.Context, password, encoded string) (Result, error) {
	p := s.pool
	own := len(encoded) == p.ownLength && strings.HasPrefix(encoded, p.ownPrefix)
	matches, unreadable := parse(encoded)
	if unreadable != nil {
		own, matches = true, p.absent
	}
	match, err := s.compare(ctx, matches, password, own)
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
func (s Share) VerifyAbsent(ctx context.Context, password string) error {
	_, err := s.compare(ctx, s.pool.absent, password, true)
	return err
}

// compare tries the password in NFC, as own hashes are made. Other systems mostly hashed what was typed, byte for
// byte, so a foreign hash is also compared with that where it differs.
func (s Share) compare(ctx context.Context, matches matcher, password string, own bool) (match bool, err error) {
	normal := norm.NFC.String(password)
	tooLong := utf8.RuneCountInString(normal) > MaxLength
	if tooLong {
		normal, password = "", ""
	}
	err = s.run(ctx, func() {
		match = matches(normal) || (!own && password != normal && matches(password))
	})
	return match && !tooLong, err
}

// run does the work in a slot. Once begun it is not interrupted, whatever happens to ctx: a caller who hangs up has had
// the answer computed, and login counts it.
func (s Share) run(ctx context.Context, work func()) error {
	if err := s.pool.queue.acquire(ctx, s.portal); err != nil {
		return err
	}
	hashed := false
	defer func() { s.pool.queue.release(hashed) }() // also when work panics
	work()
	hashed = true
	return nil
}

// Stats is how busy a pool is (Slots, Running, Waiting) and has been since it was made (the rest).
type Stats struct {
	Slots, Running, Waiting int
	// Hashed counts hashes made and compared.
	Hashed uint64
	// Waited counts callers who found every slot taken. WaitTime is how long they waited in total, with or without
	// getting a slot.
	Waited   uint64
	WaitTime time.Duration
	// Overloaded counts callers who were refused, Abandoned those who left before their hash began.
	Overloaded, Abandoned uint64
}

// Stats reads the counters, all at one instant.
func (p *Pool) Stats() Stats { return p.queue.snapshot() }
