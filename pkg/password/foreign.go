package password

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // hashes that others made, replaced at login
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/alexedwards/argon2id"
	argon2x "github.com/go-crypt/x/argon2"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// ErrUnreadable marks a stored hash of a kind that is not known, that is spelled wrongly, or that costs more than the
// ceilings allow. Errors that wrap it say which, and never hold any of the hash.
var ErrUnreadable = errors.New("password: stored hash cannot be verified")

// Ceilings on the cost of a stored hash. People who may import hashes must not be able to stop every login with one:
// each of these is a few seconds of one core at most.
const (
	maxEncodedLength = 512
	maxKeyLength     = 128
	maxSaltLength    = 128
	// minKeyLength keeps out hashes cut so short that a wrong password may match.
	minKeyLength = 16

	// The memory of argon2 and scrypt, and that memory times the passes over it.
	maxMemoryKiB = 256 * 1024
	maxWorkKiB   = 1024 * 1024

	maxArgon2Passes     = 16
	maxArgon2Lanes      = 16
	maxScryptBlocks     = 64
	maxScryptLanes      = 16
	minBcryptCost       = 4
	maxBcryptCost       = 15
	maxPBKDF2Iterations = 2_000_000
)

// matcher compares a password with one stored hash. It is expensive, and belongs in a slot of the pool.
type matcher func(password string) bool

// parse reads a stored hash and checks every ceiling; nothing is computed and no more than the hash is allocated. Read
// are, each at no more than the cost named:
//
//   - argon2id, argon2i and argon2d, version 19, in PHC form: 256 MiB, 16 passes, 16 lanes
//   - bcrypt ($2a$, $2b$, $2y$): cost 15. Bytes of a password beyond the 72nd do not count, as everywhere
//   - scrypt in PHC form ($scrypt$ln=,r=,p=$): 256 MiB, r 64, p 16
//   - PBKDF2 as passlib writes it ($pbkdf2$, $pbkdf2-sha256$, $pbkdf2-sha512$) and as Django does (pbkdf2_sha256$,
//     pbkdf2_sha1$): 2,000,000 iterations, those of further output blocks included
//
// Memory times passes may be 1 GiB at most. Salts have 1 to 128 bytes, keys 16 to 128.
//
// Errors: ErrUnreadable, wrapped with the reason.
func parse(encoded string) (matcher, error) {
	if len(encoded) > maxEncodedLength {
		return nil, unreadable("too long")
	}
	if !printable(encoded) {
		return nil, unreadable("characters that no hash has")
	}
	fields := strings.Split(encoded, "$")
	if fields[0] != "" {
		return parseDjango(fields)
	}
	if len(fields) < 2 {
		return nil, unreadable("empty")
	}
	switch kind := fields[1]; kind {
	case "argon2id", "argon2i", "argon2d":
		return parseArgon2(kind, fields[2:])
	case "2a", "2b", "2y":
		return parseBcrypt(encoded, fields[2:])
	case "scrypt":
		return parseScrypt(fields[2:])
	case "pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512":
		return parsePasslib(kind, fields[2:])
	default:
		return nil, unreadable("unknown kind")
	}
}

func unreadable(reason string) error { return fmt.Errorf("%w: %s", ErrUnreadable, reason) }

// printable keeps out line breaks above all, which Go's base64 decoder skips even when it is strict.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

// argon2Key is the signature of golang.org/x/crypto/argon2; memory is in KiB.
type argon2Key func(password, salt []byte, passes, memory uint32, lanes uint8, keyLength uint32) []byte

// argon2d is in no exported function of golang.org/x/crypto, so it comes from a fork that is otherwise the same.
func argon2d(password, salt []byte, passes, memory uint32, lanes uint8, keyLength uint32) []byte {
	return argon2x.DKey(password, salt, passes, memory, uint32(lanes), keyLength)
}

var argon2Keys = map[string]argon2Key{"argon2id": argon2.IDKey, "argon2i": argon2.Key, "argon2d": argon2d}

// parseArgon2 reads v=19, m=…,t=…,p=…, salt and key. golang.org/x/crypto panics at no passes or lanes, and RFC 9106
// §3.1 wants 8 KiB a lane.
func parseArgon2(kind string, fields []string) (matcher, error) {
	if len(fields) != 4 || fields[0] != "v="+strconv.Itoa(argon2.Version) {
		return nil, unreadable("argon2 of another version or form")
	}
	costs, ok := parseCosts(fields[1], "m", "t", "p")
	if !ok {
		return nil, unreadable("argon2 parameters")
	}
	memory, passes, lanes := costs[0], costs[1], costs[2]
	if passes < 1 || passes > maxArgon2Passes || lanes < 1 || lanes > maxArgon2Lanes ||
		memory < 8*lanes || memory > maxMemoryKiB || memory*passes > maxWorkKiB {
		return nil, unreadable("argon2 parameters out of bounds")
	}
	salt, key, err := decodeSaltAndKey(base64.RawStdEncoding.Strict(), fields[2], fields[3])
	if err != nil {
		return nil, err
	}
	params := argon2id.Params{Memory: uint32(memory), Iterations: uint32(passes), Parallelism: uint8(lanes)}
	return argon2Matcher(argon2Keys[kind], params, salt, key), nil
}

func argon2Matcher(derive argon2Key, params argon2id.Params, salt, key []byte) matcher {
	return func(password string) bool {
		derived := derive([]byte(password), salt, params.Iterations, params.Memory, params.Parallelism, uint32(len(key)))
		return subtle.ConstantTimeCompare(derived, key) == 1
	}
}

// parseBcrypt reads the cost, and 22 characters of salt with 31 of key in bcrypt's own base64. The three prefixes
// differ in bugs of implementations that golang.org/x/crypto does not have; the right ones verify alike.
func parseBcrypt(encoded string, fields []string) (matcher, error) {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(fields) != 2 || len(fields[0]) != 2 || len(fields[1]) != 22+31 || strings.Trim(fields[1], alphabet) != "" {
		return nil, unreadable("bcrypt form")
	}
	cost, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil || cost < minBcryptCost || cost > maxBcryptCost {
		return nil, unreadable("bcrypt cost out of bounds")
	}
	return func(password string) bool {
		return bcrypt.CompareHashAndPassword([]byte(encoded), []byte(password)) == nil
	}, nil
}

// parseScrypt reads ln=…,r=…,p=…, salt and key. Memory is 128·N·r bytes (RFC 7914 §2), N being 2 to the power of ln.
func parseScrypt(fields []string) (matcher, error) {
	if len(fields) != 3 {
		return nil, unreadable("scrypt form")
	}
	costs, ok := parseCosts(fields[0], "ln", "r", "p")
	if !ok {
		return nil, unreadable("scrypt parameters")
	}
	ln, blocks, lanes := costs[0], costs[1], costs[2]
	if ln < 1 || ln > 30 || blocks < 1 || blocks > maxScryptBlocks || lanes < 1 || lanes > maxScryptLanes {
		return nil, unreadable("scrypt parameters out of bounds")
	}
	memory := 128 * blocks << ln / 1024
	if memory > maxMemoryKiB || memory*lanes > maxWorkKiB {
		return nil, unreadable("scrypt parameters out of bounds")
	}
	salt, key, err := decodeSaltAndKey(base64.RawStdEncoding.Strict(), fields[1], fields[2])
	if err != nil {
		return nil, err
	}
	return func(password string) bool {
		derived, err := scrypt.Key([]byte(password), salt, 1<<ln, int(blocks), int(lanes), len(key))
		return err == nil && subtle.ConstantTimeCompare(derived, key) == 1
	}, nil
}

var pbkdf2Hashes = map[string]func() hash.Hash{
	"pbkdf2":        sha1.New,
	"pbkdf2-sha256": sha256.New,
	"pbkdf2-sha512": sha512.New,
	"pbkdf2_sha1":   sha1.New,
	"pbkdf2_sha256": sha256.New,
}

// passlibEncoding is base64 with a dot in place of the plus.
var passlibEncoding = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").
	WithPadding(base64.NoPadding).Strict()

// parsePasslib reads iterations, salt and key.
func parsePasslib(kind string, fields []string) (matcher, error) {
	if len(fields) != 3 {
		return nil, unreadable("PBKDF2 form")
	}
	salt, key, err := decodeSaltAndKey(passlibEncoding, fields[1], fields[2])
	if err != nil {
		return nil, err
	}
	return pbkdf2Matcher(pbkdf2Hashes[kind], fields[0], salt, key)
}

// parseDjango reads kind, iterations, a salt that is text, and a key in padded base64.
func parseDjango(fields []string) (matcher, error) {
	newHash, known := pbkdf2Hashes[fields[0]]
	if !known || !strings.HasPrefix(fields[0], "pbkdf2_") {
		return nil, unreadable("unknown kind")
	}
	if len(fields) != 4 {
		return nil, unreadable("PBKDF2 form")
	}
	salt := []byte(fields[2])
	key, err := base64.StdEncoding.Strict().DecodeString(fields[3])
	if err != nil || !withinLengths(salt, key) {
		return nil, unreadable("salt or key")
	}
	return pbkdf2Matcher(newHash, fields[1], salt, key)
}

// pbkdf2Matcher counts the iterations of every output block: a key longer than the hash costs them again
// (RFC 8018 §5.2).
func pbkdf2Matcher(newHash func() hash.Hash, iterations string, salt, key []byte) (matcher, error) {
	n, err := strconv.ParseUint(iterations, 10, 31)
	size := newHash().Size()
	outputBlocks := uint64((len(key) + size - 1) / size)
	if err != nil || n < 1 || n*outputBlocks > maxPBKDF2Iterations {
		return nil, unreadable("PBKDF2 iterations out of bounds")
	}
	return func(password string) bool {
		derived, err := pbkdf2.Key(newHash, password, salt, int(n), len(key))
		return err == nil && subtle.ConstantTimeCompare(derived, key) == 1
	}, nil
}

// parseCosts reads name=number pairs in the order of names, as PHC strings have them. 31 bits keep every product of
// two costs exact.
func parseCosts(field string, names ...string) ([]uint64, bool) {
	pairs := strings.Split(field, ",")
	if len(pairs) != len(names) {
		return nil, false
	}
	costs := make([]uint64, len(names))
	for i, pair := range pairs {
		name, digits, _ := strings.Cut(pair, "=")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || name != names[i] {
			return nil, false
		}
		costs[i] = n
	}
	return costs, true
}

func decodeSaltAndKey(encoding *base64.Encoding, saltField, keyField string) (salt, key []byte, err error) {
	salt, saltErr := encoding.DecodeString(saltField)
	key, keyErr := encoding.DecodeString(keyField)
	if saltErr != nil || keyErr != nil || !withinLengths(salt, key) {
		return nil, nil, unreadable("salt or key")
	}
	return salt, key, nil
}

func withinLengths(salt, key []byte) bool {
	return len(salt) >= 1 && len(salt) <= maxSaltLength && len(key) >= minKeyLength && len(key) <= maxKeyLength
}
