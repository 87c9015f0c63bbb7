package invitation

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

// digitsOfCrockford are those of https://www.crockford.com/base32.html
const digitsOfCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var (
	here  = ids.Portal{UUID: uuid.UUID{15: 1}}
	there = ids.Portal{UUID: uuid.UUID{15: 2}}
)

func codesOf(t testing.TB, keys ...byte) codes { return codes{ringOf(t, keys...)} }

func (c codes) must(t testing.TB, portalID ids.Portal, of serial) string {
	t.Helper()
	code, err := c.derive(portalID, of)
	require.NoError(t, err)
	return code
}

// serials are the smallest and largest ones, and some between.
func serials(key keyring.ID) []serial {
	var all []serial
	for _, number := range []int64{1, 2, 31, 32, 1<<24 + 5, maxNumber - 1, maxNumber} {
		for _, counter := range []int64{0, 1, 31, 32, 512, maxCounter} {
			all = append(all, serial{number, counter, key})
		}
	}
	return all
}

func TestCodeIsReadBack(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 1)
	seen := map[string]bool{}
	for _, of := range serials(c.ring.Primary()) {
		code := c.must(t, here, of)
		require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$`, code)
		require.False(t, seen[code])
		seen[code] = true
		read, err := c.read(here, code)
		require.NoError(t, err)
		require.Equal(t, of, read)
	}
}

// TestCodeLayout computes codes in another way, from the raw key on: 25 bits of number, 10 of counter, the first 65 of
// HMAC-SHA-256 over portal and those two, as one number of 100 bits in base 32.
func TestCodeLayout(t *testing.T) {
	t.Parallel()
	require.Equal(t, digitsOfCrockford, typedcode.Alphabet)
	c := codesOf(t, 1)
	subkey, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{1}, keyring.KeySize), nil, "latchkey/v1/invitation-code", sha256.Size)
	require.NoError(t, err)
	for _, of := range serials(c.ring.Primary()) {
		head := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(of.number), 10), big.NewInt(of.counter))
		mac := hmac.New(sha256.New, subkey)
		for _, part := range [][]byte{here.UUID[:], head.FillBytes(make([]byte, 8))} {
			mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			mac.Write(part)
		}
		tail := new(big.Int).Rsh(new(big.Int).SetBytes(mac.Sum(nil)), 256-65)
		whole := new(big.Int).Or(new(big.Int).Lsh(head, 65), tail)
		require.LessOrEqual(t, whole.BitLen(), 100)

		digits, digit := make([]byte, 20), new(big.Int)
		for i := range digits {
			whole.DivMod(whole, big.NewInt(32), digit)
			digits[len(digits)-1-i] = digitsOfCrockford[digit.Int64()]
		}
		require.Zero(t, whole.Sign(), "no bit is left over")
		code := strings.ReplaceAll(c.must(t, here, of), "-", "")
		require.Equal(t, string(digits), code, "%+v", of)
		require.Equal(t, string(digits[:7]), code[:7], "seven characters tell number and counter")
	}
}

// Codes in people's mailboxes were encoded five bits at a time, as byFiveBits does. encoding/base32 must give the same.
func TestCodesAreThoseOfEarlierVersions(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 2, 1)
	random := rand.New(rand.NewPCG(9, 8))
	for range 100_000 {
		portalID := ids.Portal{}
		binary.BigEndian.PutUint64(portalID.UUID[:], random.Uint64())
		of := serial{1 + random.Int64N(maxNumber), random.Int64N(maxCounter + 1), c.ring.IDs()[random.IntN(2)]}
		want := byFiveBits(t, c.ring, portalID, of)
		require.Equal(t, want, c.must(t, portalID, of), "%+v", of)
		read, err := c.read(portalID, want)
		require.NoError(t, err)
		require.Equal(t, of, read)
	}
}

func byFiveBits(t *testing.T, ring *keyring.Ring, portalID ids.Portal, of serial) string {
	t.Helper()
	head := uint64(of.number)<<10 | uint64(of.counter)
	mac, err := ring.MAC(of.key, codePurpose, portalID.UUID[:], binary.BigEndian.AppendUint64(nil, head))
	require.NoError(t, err)
	var code []byte
	for i := range 20 {
		if i%5 == 0 && i > 0 {
			code = append(code, '-')
		}
		if i < 7 {
			code = append(code, digitsOfCrockford[head>>(5*(6-i))&0x1f])
			continue
		}
		bit := 5 * (i - 7)
		pair := binary.BigEndian.Uint16(mac[bit/8:])
		code = append(code, digitsOfCrockford[pair>>(11-bit%8)&0x1f])
	}
	return string(code)
}

// TestMACOfEveryBit checks that each of the 13 characters of a MAC takes all 32 values over many codes.
func TestMACOfEveryBit(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 1)
	seen := make([]map[byte]bool, codeLength)
	for number := range int64(1000) {
		plain, err := c.plain(here, serial{number + 1, 0, c.ring.Primary()})
		require.NoError(t, err)
		for i := serialLength; i < codeLength; i++ {
			if seen[i] == nil {
				seen[i] = map[byte]bool{}
			}
			seen[i][plain[i]] = true
		}
	}
	for i, characters := range seen[serialLength:] {
		require.Len(t, characters, 32, "character %d of the MAC", i)
	}
}

func TestOneChangedCharacterIsInvalid(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 2, 1)
	for _, key := range c.ring.IDs() {
		plain := []byte(strings.ReplaceAll(c.must(t, here, serial{7, 3, key}), "-", ""))
		for i := range plain {
			for _, other := range []byte(typedcode.Alphabet) {
				changed := bytes.Clone(plain)
				changed[i] = other
				_, err := c.read(here, string(changed))
				if other == plain[i] {
					require.NoError(t, err)
				} else {
					requireCode(t, fault.TokenInvalid, err)
				}
			}
			if i > 0 && plain[i] != plain[i-1] {
				swapped := bytes.Clone(plain)
				swapped[i], swapped[i-1] = plain[i-1], plain[i]
				_, err := c.read(here, string(swapped))
				requireCode(t, fault.TokenInvalid, err)
			}
		}
	}
}

func TestCodeOfElsewhereIsInvalid(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 1)
	of := serial{1, 0, c.ring.Primary()}
	code := c.must(t, here, of)
	require.NotEqual(t, code[9:], c.must(t, there, of)[9:])
	_, err := c.read(there, code)
	requireCode(t, fault.TokenInvalid, err)
	_, err = codesOf(t, 2).read(here, code)
	requireCode(t, fault.TokenInvalid, err)

	mac, err := c.ring.MAC(of.key, "onetime-token", here.UUID[:], binary.BigEndian.AppendUint64(nil, 1<<counterBits))
	require.NoError(t, err)
	plain, err := c.plain(here, of)
	require.NoError(t, err)
	ofAnotherPurpose := []byte(plain)
	for i := range codeLength - serialLength {
		ofAnotherPurpose[serialLength+i] = typedcode.Alphabet[mac[i]&0x1f]
	}
	_, err = c.read(here, string(ofAnotherPurpose))
	requireCode(t, fault.TokenInvalid, err)
}

func TestEveryKeyOfTheRingVerifies(t *testing.T) {
	t.Parallel()
	three := codesOf(t, 3, 2, 1)
	for _, key := range []byte{1, 2, 3} {
		alone := codesOf(t, key)
		of := serial{5, 2, alone.ring.Primary()}
		code := alone.must(t, here, of)
		read, err := three.read(here, code)
		require.NoError(t, err)
		require.Equal(t, of, read, "and it is told which key it was")
		require.Equal(t, code, three.must(t, here, of), "which derives it still")
	}
	removed := codesOf(t, 1)
	_, err := codesOf(t, 3, 2).derive(here, serial{5, 2, removed.ring.Primary()})
	require.ErrorIs(t, err, keyring.ErrUnknownKey)
	_, err = codesOf(t, 3, 2).read(here, removed.must(t, here, serial{5, 2, removed.ring.Primary()}))
	requireCode(t, fault.TokenInvalid, err)
	require.False(t, slices.Contains(codesOf(t, 3, 2).ring.IDs(), removed.ring.Primary()))
}
