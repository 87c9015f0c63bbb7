// Package config is Latchkey's configuration, from the environment or from flags, checked before anything starts.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Database is the part of the configuration that every subcommand with a database wants.
type Database struct {
	DatabaseURL      string `name:"database-url" env:"LATCHKEY_DATABASE_URL" file:"true" default:"sqlite:latchkey.db" help:"sqlite:PATH, or postgres://… in production."`
	DatabaseMaxConns int    `name:"database-max-conns" env:"LATCHKEY_DATABASE_MAX_CONNS" default:"0" help:"All connections at most, 3 or more with Postgres; 0 means 4 x cores."`
	SecretKey        string `name:"secret-key" env:"LATCHKEY_SECRET_KEY" file:"true" help:"Base64 keys of 32 bytes, comma-separated: the first signs, all verify. Made and kept beside an embedded database; required with Postgres."`
	LogFormat        string `name:"log-format" env:"LATCHKEY_LOG_FORMAT" enum:"text,json" default:"text" help:"text or json."`
	LogLevel         string `name:"log-level" env:"LATCHKEY_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`

	// MayCreate lets a command make the database. Other commands refuse to run where there is none, so that a wrong
	// directory or URL shows.
	MayCreate bool `kong:"-"`
}

// Server is the configuration of `latchkey serve`.
type Server struct {
	Database
	Addr              string        `name:"addr" env:"LATCHKEY_ADDR" default:"127.0.0.1:8080" help:"Address to listen on."`
	PublicURL         PublicURL     `name:"public-url" env:"LATCHKEY_PUBLIC_URL" file:"true" default:"http://localhost:8080" help:"Where callers reach this server; the issuer of tokens begins with it."`
	OperatorKey       string        `name:"operator-key" env:"LATCHKEY_OPERATOR_KEY" file:"true" help:"An operator key (lk_…, 32 characters or more) that always works."`
	SMTPURL           string        `name:"smtp-url" env:"LATCHKEY_SMTP_URL" file:"true" help:"smtp://user:pass@host:587, or smtps://…; smtp://host?tls=required insists on TLS; none notes mail in the log."`
	TrustedProxies    []string      `name:"trusted-proxies" env:"LATCHKEY_TRUSTED_PROXIES" help:"Networks (CIDR) whose X-Forwarded-For is believed."`
	UnlimitedNetworks []string      `name:"unlimited-networks" env:"LATCHKEY_UNLIMITED_NETWORKS" help:"Networks (CIDR) that the limits per network leave out, such as that of your own backend."`
	RateLimit         string        `name:"rate-limit" env:"LATCHKEY_RATE_LIMIT" enum:"on,off" default:"on" help:"Limits per network: on, or off for load tests."`
	HashSlots         int           `name:"hash-slots" env:"LATCHKEY_HASH_SLOTS" default:"0" help:"Passwords hashed at once; 0 means one per core."`
	HashWait          time.Duration `name:"hash-wait" env:"LATCHKEY_HASH_WAIT" default:"2s" help:"How long a caller waits for a slot before 503 overloaded."`
	HashMemory        uint32        `name:"hash-memory" env:"LATCHKEY_HASH_MEMORY" default:"19456" help:"argon2id memory in KiB."`
	HashIterations    uint32        `name:"hash-iterations" env:"LATCHKEY_HASH_ITERATIONS" default:"2" help:"argon2id passes."`
	HashParallelism   uint8         `name:"hash-parallelism" env:"LATCHKEY_HASH_PARALLELISM" default:"1" help:"argon2id lanes."`
	SigningAlgorithm  string        `name:"signing-algorithm" env:"LATCHKEY_SIGNING_ALGORITHM" enum:"ES256,RS256,EdDSA" default:"ES256" help:"Signs access tokens: ES256, RS256 or EdDSA. Changing it rotates the signing key."`
	BreachedPasswords string        `name:"breached-passwords" env:"LATCHKEY_BREACHED_PASSWORDS" enum:"on,off" default:"off" help:"Ask Have I Been Pwned (by k-anonymity) about new passwords: on or off."`
}

// operatorKeyLength is the least number of characters of LATCHKEY_OPERATOR_KEY.
const operatorKeyLength = 32

// Check says everything that is wrong with the configuration at once, naming the variables and never a secret.
func (s Server) Check() error {
	var wrong []error
	if _, _, err := net.SplitHostPort(s.Addr); err != nil {
		wrong = append(wrong, fmt.Errorf("LATCHKEY_ADDR: want host:port, got %q", s.Addr))
	}
	if err := s.PublicURL.Check(); err != nil {
		wrong = append(wrong, fmt.Errorf("LATCHKEY_PUBLIC_URL: %w", err))
	}
	if err := checkOperatorKey(s.OperatorKey); err != nil {
		wrong = append(wrong, fmt.Errorf("LATCHKEY_OPERATOR_KEY: %w", err))
	}
	if _, err := s.Proxies(); err != nil {
		wrong = append(wrong, err)
	}
	if _, err := s.Unlimited(); err != nil {
		wrong = append(wrong, err)
	}
	if s.HashSlots < 0 || s.HashWait <= 0 {
		wrong = append(wrong, errors.New("LATCHKEY_HASH_SLOTS, LATCHKEY_HASH_WAIT: want positive values"))
	}
	if s.HashIterations < 1 || s.HashParallelism < 1 || s.HashMemory < 8*uint32(s.HashParallelism) || s.HashMemory > 4<<20 {
		wrong = append(wrong, errors.New("LATCHKEY_HASH_MEMORY, _ITERATIONS, _PARALLELISM: "+
			"want at least one pass, one lane and 8 KiB a lane (RFC 9106 §3.1), and 4 GiB at most"))
	}
	if err := s.Database.Check(); err != nil {
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// checkOperatorKey refuses a key that no Authorization header can carry, because it would never work.
func checkOperatorKey(key string) error {
	switch {
	case key == "":
		return nil
	case !strings.HasPrefix(key, "lk_") || len(key) < operatorKeyLength:
		return fmt.Errorf("want lk_… of %d characters or more", operatorKeyLength)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("want letters, digits and punctuation of ASCII alone, without white space inside")
	}
	return nil
}

// minPostgresConns is the least number of connections: the queue needs two, and the rest of the program one.
const minPostgresConns = 3

// Check returns the fault of the settings of the database.
func (d Database) Check() error {
	if d.DatabaseMaxConns < 0 {
		return errors.New("LATCHKEY_DATABASE_MAX_CONNS: want 0 or more")
	}
	_, embedded := d.EmbeddedPath()
	if !embedded && 0 < d.DatabaseMaxConns && d.DatabaseMaxConns < minPostgresConns {
		return fmt.Errorf("LATCHKEY_DATABASE_MAX_CONNS: want %d or more with Postgres, or 0 for 4 per core", minPostgresConns)
	}
	if scheme, _, _ := strings.Cut(d.DatabaseURL, "://"); !embedded && scheme != "postgres" && scheme != "postgresql" {
		return errors.New("LATCHKEY_DATABASE_URL: want sqlite:PATH or postgres://…")
	}
	if d.SecretKey == "" {
		if !embedded {
			return errors.New("LATCHKEY_SECRET_KEY: required with Postgres; make one with `openssl rand -base64 32` " +
				"and keep it: without it the database is locked for good")
		}
		return nil
	}
	if _, err := keyring.Parse(d.SecretKey); err != nil {
		return fmt.Errorf("LATCHKEY_SECRET_KEY: %w", err)
	}
	return nil
}

// EmbeddedPath is the file of the embedded database, if that is used.
func (d Database) EmbeddedPath() (path string, embedded bool) {
	return strings.CutPrefix(d.DatabaseURL, "sqlite:")
}

// Proxies are the networks whose X-Forwarded-For is believed.
func (s Server) Proxies() ([]netip.Prefix, error) {
	return networks("LATCHKEY_TRUSTED_PROXIES", s.TrustedProxies)
}

// Unlimited are the networks that the limits per network leave out.
func (s Server) Unlimited() ([]netip.Prefix, error) {
	return networks("LATCHKEY_UNLIMITED_NETWORKS", s.UnlimitedNetworks)
}

// networks reads a list of networks. An address is the network that has only this address.
func networks(variable string, list []string) ([]netip.Prefix, error) {
	var read []netip.Prefix
	for _, text := range list {
		text = trim(text)
		if address, err := netip.ParseAddr(text); err == nil {
			read = append(read, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no network such as 10.0.0.0/8", variable, text)
		}
		read = append(read, network.Masked())
	}
	return read, nil
}

// Slots is the number of passwords hashed at once.
func (s Server) Slots() int {
	if s.HashSlots > 0 {
		return s.HashSlots
	}
	return runtime.GOMAXPROCS(0)
}

// Level is the least level that is logged.
func (d Database) Level() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(d.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return level
}
