package password

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// zeros is a key of n bytes in unpadded base64.
func zeros(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }

// argon2PHC spells a vector of golang.org/x/crypto/argon2, made with the reference program, for the salt "somesalt".
func argon2PHC(t *testing.T, kind string, memory, passes, lanes int, hexKey string) string {
	t.Helper()
	key, err := hex.DecodeString(hexKey)
	require.NoError(t, err)
	return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$c29tZXNhbHQ$%s", kind, memory, passes, lanes, base64.RawStdEncoding.EncodeToString(key))
}

// Vectors come from the reference argon2 (through golang.org/x/crypto), Openwall's crypt_blowfish and libxcrypt (bcrypt),
// passlib's manual (where the password is "password") and Python's hashlib (the other PBKDF2 and scrypt).
func TestForeignHashes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ encoded, password string }{
		"argon2i":           {argon2PHC(t, "argon2i", 64, 1, 1, "b9c401d1844a67d50eae3967dc28870b22e508092e861a37"), "password"},
		"argon2d":           {argon2PHC(t, "argon2d", 64, 1, 1, "8727405fd07c32c78d64f547f24150d3f2e703a89f981a19"), "password"},
		"argon2d two lanes": {argon2PHC(t, "argon2d", 64, 2, 2, "68e2462c98b8bc6bb60ec68db418ae2c9ed24fc6748a40e9"), "password"},
		"argon2id":          {argon2PHC(t, "argon2id", 64, 2, 2, "350ac37222f436ccb5c0972f1ebd3bf6b958bf2071841362"), "password"},
		"bcrypt 2a":         {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		"bcrypt 2b":         {"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		"bcrypt 2y":         {"$2y$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS", phrase},
		"bcrypt beyond 72 bytes": {"$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
			"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored"},
		"scrypt":           {"$scrypt$ln=10,r=8,p=2$MDEyMzQ1Njc4OWFiY2RlZg$KhW5KLACpfR1HRqSPdg8ODHC9nzhpv0EHEqfwm5GJX4", phrase},
		"scrypt, NFC":      {"$scrypt$ln=4,r=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$oKKIQmW2CS43uBzCSz1VzlbsNV6qRLCm+ny8x5DRhpI", umlautNFD},
		"scrypt, as typed": {"$scrypt$ln=4,r=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$opxR31vwuV/E+U8zBRw9MFsmCT+r6ICmlHqG4eeLqEw", umlautNFD},
		"passlib sha1":     {"$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$wmIXv0mv7iouqkc9CKjRvCX21po", phrase},
		"passlib sha256":   {"$pbkdf2-sha256$8000$XAuBMIYQQogxRg$tRRlz8hYn63B9LYiCd6PRo6FMiunY9ozmMMI3srxeRE", "password"},
		"passlib dots":     {"$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$yqSq2SygY1sB4EcH9f2FG0JTMES.wqLsOT5YmiRBplI", phrase},
		"passlib sha512":   {"$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$5bTW2oeyDJyGJPcmEr.mRDE11ghpozWrDGnSNhRXo2ZCu0KHRDiUMAVEGzLJC.oDhRoeIja9J1iLIv9ptDJMfQ", phrase},
		"django sha256":    {"pbkdf2_sha256$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=", phrase},
		"django sha1":      {"pbkdf2_sha1$1000$seasalt$9iRYj0as1r5j+cCBxB+HMlxkyr4=", phrase},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := cheapPool()
			require.NoError(t, supported(test.encoded))

			result, err := pool.For(anyPortal).Verify(t.Context(), test.password, test.encoded)
			require.NoError(t, err)
			require.Equal(t, Result{Match: true, Outdated: true}, result)

			for _, wrong := range []string{"", "x" + test.password, strings.ToUpper(test.password) + "?"} {
				result, err = pool.For(anyPortal).Verify(t.Context(), wrong, test.encoded)
				require.NoError(t, err)
				require.Equal(t, Result{Outdated: true}, result)
			}
		})
	}
}

// supported tells whether Verify would read the hash and pay its cost.
func supported(encoded string) error {
	_, err := parse(encoded)
	return err
}

func TestSupported(t *testing.T) {
	t.Parallel()
	salt, key := zeros(16), zeros(32)
	phc := func(kind, costs string) string { return "$" + kind + "$" + costs + "$" + salt + "$" + key }
	bcryptRest := strings.Repeat("a", 53)
	tests := map[string]struct {
		encoded   string
		supported bool
	}{
		"argon2 at its ceilings":       {phc("argon2id", "v=19$m=65536,t=16,p=16"), true},
		"argon2 memory at its ceiling": {phc("argon2id", "v=19$m=262144,t=4,p=1"), true},
		"argon2 memory over":           {phc("argon2id", "v=19$m=262145,t=1,p=1"), false},
		"argon2 memory huge":           {phc("argon2i", "v=19$m=4294967295,t=1,p=1"), false},
		"argon2 work over":             {phc("argon2id", "v=19$m=262144,t=5,p=1"), false},
		"argon2 passes over":           {phc("argon2d", "v=19$m=64,t=17,p=1"), false},
		"argon2 no passes":             {phc("argon2id", "v=19$m=64,t=0,p=1"), false},
		"argon2 lanes over":            {phc("argon2id", "v=19$m=1024,t=1,p=17"), false},
		"argon2 lanes wrap":            {phc("argon2id", "v=19$m=65536,t=1,p=257"), false},
		"argon2 no lanes":              {phc("argon2id", "v=19$m=64,t=1,p=0"), false},
		"argon2 memory under lanes":    {phc("argon2id", "v=19$m=15,t=1,p=2"), false},
		"argon2 negative":              {phc("argon2id", "v=19$m=-64,t=1,p=1"), false},
		"argon2 signed":                {phc("argon2id", "v=19$m=+64,t=1,p=1"), false},
		"argon2 trailing":              {phc("argon2id", "v=19$m=64,t=1,p=1x"), false},
		"argon2 other order":           {phc("argon2id", "v=19$t=1,m=64,p=1"), false},
		"argon2 doubled":               {phc("argon2id", "v=19$m=64,m=64,p=1"), false},
		"argon2 other version":         {phc("argon2id", "v=16$m=64,t=1,p=1"), false},
		"argon2 no version":            {phc("argon2id", "m=64,t=1,p=1"), false},
		"argon2 no salt":               {"$argon2id$v=19$m=64,t=1,p=1$$" + key, false},
		"argon2 no key":                {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", false},
		"argon2 short key":             {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + zeros(15), false},
		"argon2 long key":              {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + zeros(129), false},
		"argon2 long salt":             {"$argon2id$v=19$m=64,t=1,p=1$" + zeros(129) + "$" + key, false},
		"argon2 padded":                {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "==$" + key, false},
		"argon2 line break":            {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "\n$" + key, false},
		"argon2 loose bits":            {"$argon2id$v=19$m=64,t=1,p=1$AB$" + key, false},
		"argon2 more fields":           {phc("argon2id", "v=19$m=64,t=1,p=1") + "$", false},
		"bcrypt at its ceiling":        {"$2b$15$" + bcryptRest, true},
		"bcrypt cost over":             {"$2b$16$" + bcryptRest, false},
		"bcrypt cost under":            {"$2b$03$" + bcryptRest, false},
		"bcrypt cost of one digit":     {"$2b$5$" + bcryptRest, false},
		"bcrypt signed cost":           {"$2b$+5$" + bcryptRest, false},
		"bcrypt with 2x's bug":         {"$2x$05$" + bcryptRest, false},
		"bcrypt short":                 {"$2b$05$" + bcryptRest[1:], false},
		"bcrypt long":                  {"$2b$05$" + bcryptRest + "a", false},
		"bcrypt alphabet":              {"$2b$05$" + bcryptRest[1:] + "+", false},
		"scrypt at its ceiling":        {phc("scrypt", "ln=18,r=8,p=4"), true},
		"scrypt memory over":           {phc("scrypt", "ln=19,r=8,p=1"), false},
		"scrypt work over":             {phc("scrypt", "ln=18,r=8,p=5"), false},
		"scrypt N of one":              {phc("scrypt", "ln=0,r=8,p=1"), false},
		"scrypt N huge":                {phc("scrypt", "ln=63,r=8,p=1"), false},
		"scrypt r over":                {phc("scrypt", "ln=1,r=65,p=1"), false},
		"scrypt no r":                  {phc("scrypt", "ln=1,r=0,p=1"), false},
		"scrypt p over":                {phc("scrypt", "ln=1,r=8,p=17"), false},
		"scrypt no p":                  {phc("scrypt", "ln=1,r=8,p=0"), false},
		"scrypt short key":             {"$scrypt$ln=4,r=8,p=1$" + salt + "$" + zeros(8), false},
		"PBKDF2 at its ceiling":        {phc("pbkdf2-sha256", "2000000"), true},
		"PBKDF2 iterations over":       {phc("pbkdf2-sha256", "2000001"), false},
		"PBKDF2 iterations of blocks":  {phc("pbkdf2", "1000001"), false},
		"PBKDF2 no iterations":         {phc("pbkdf2-sha512", "0"), false},
		"PBKDF2 hash unknown":          {phc("pbkdf2-md5", "1000"), false},
		"PBKDF2 plus for dot":          {"$pbkdf2-sha256$1000$" + salt + "$+" + key[1:], false},
		"Django iterations over":       {"pbkdf2_sha256$2000001$salt$" + key + "=", false},
		"Django unpadded":              {"pbkdf2_sha256$1000$salt$" + key, false},
		"Django no salt":               {"pbkdf2_sha256$1000$$" + key + "=", false},
		"Django fields":                {"pbkdf2_sha256$1000$" + key + "=", false},
		"passlib spelled as Django":    {"pbkdf2-sha256$1000$salt$" + key + "=", false},
		"empty":                        {"", false},
		"a dollar":                     {"$", false},
		"plain text":                   {"correct horse battery staple", false},
		"MD5 crypt":                    {"$1$deadbeef$0Huu6KHrKLVWfqa4WljDE0", false},
		"long":                         {"$argon2id$" + strings.Repeat("A", 1<<20), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := supported(test.encoded)
			if test.supported {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrUnreadable)
			for field := range strings.SplitSeq(test.encoded, "$") {
				if len(field) >= 16 {
					require.NotContains(t, err.Error(), field, "an error never holds the hash")
				}
			}
		})
	}
}

// FuzzSupported holds the ceilings against a reading of their own, and runs what is cheap enough to be run.
func FuzzSupported(f *testing.F) {
	for _, seed := range []string{
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7",
		"$argon2i$v=19$m=4294967295,t=1,p=255$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7",
		"$argon2d$v=19$m=8,t=0,p=0$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7",
		"$2y$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS",
		"$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$scrypt$ln=4,r=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$oKKIQmW2CS43uBzCSz1VzlbsNV6qRLCm+ny8x5DRhpI",
		"$scrypt$ln=64,r=1073741824,p=1$MDEyMzQ1Njc4OWFiY2RlZg$oKKIQmW2CS43uBzCSz1VzlbsNV6qRLCm+ny8x5DRhpI",
		"$pbkdf2-sha256$8000$XAuBMIYQQogxRg$tRRlz8hYn63B9LYiCd6PRo6FMiunY9ozmMMI3srxeRE",
		"$pbkdf2$99999999999999999999$MDEyMzQ1Njc4OWFiY2RlZg$wmIXv0mv7iouqkc9CKjRvCX21po",
		"pbkdf2_sha256$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=",
		"$$$$$$", "$argon2id$$$$", "\x00$\xff",
	} {
		f.Add(seed)
	}
	ceilings := map[string]uint64{"m": 262144, "t": 16, "p": 16, "ln": 21, "r": 64}
	costs := regexp.MustCompile(`[$,]([a-z]+)=([0-9]+)`)
	plainCost := regexp.MustCompile(`^(?:\$2[aby]|\$?pbkdf2[-_a-z0-9]*)\$([0-9]+)\$`)

	f.Fuzz(func(t *testing.T, encoded string) {
		began := time.Now()
		matches, err := parse(encoded)
		if took := time.Since(began); took > time.Second {
			t.Errorf("reading took %v", took)
		}
		if err != nil {
			require.ErrorIs(t, err, ErrUnreadable)
			return
		}
		cheap := true
		for _, cost := range costs.FindAllStringSubmatch(encoded, -1) {
			if ceiling, ok := ceilings[cost[1]]; ok {
				n, err := strconv.ParseUint(cost[2], 10, 64)
				require.NoError(t, err)
				require.LessOrEqual(t, n, ceiling)
				cheap = cheap && n <= 64 && (cost[1] != "ln" || n <= 6)
			}
		}
		if cost := plainCost.FindStringSubmatch(encoded); cost != nil {
			n, err := strconv.ParseUint(cost[1], 10, 64)
			require.NoError(t, err)
			ceiling := uint64(2_000_000)
			if strings.HasPrefix(encoded, "$2") {
				ceiling = 15
			}
			require.LessOrEqual(t, n, ceiling)
			cheap = n <= 4 || ceiling != 15 && n <= 1000
		}
		if cheap {
			matches("correct horse battery staple")
		}
	})
}
