package password

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func codesOf(reasons []Reason) []ReasonCode {
	codes := make([]ReasonCode, 0, len(reasons))
	for _, reason := range reasons {
		codes = append(codes, reason.Code)
	}
	return codes
}

func TestCheckGivesEveryReason(t *testing.T) {
	t.Parallel()
	jane := Facts{Email: "jane.doe@example.com", PortalName: "Acme Corp"}
	tests := map[string]struct {
		password string
		facts    Facts
		want     []ReasonCode
	}{
		"passphrase":                      {"correct horse battery staple", jane, nil},
		"passphrase with signs":           {"Sunny-Meadow-42!", jane, nil},
		"passphrase with substitutions":   {"Tr0ub4dor&3 rides again", jane, nil},
		"passphrase with a number":        {"a-long-enough-pass 1", jane, nil},
		"letters only":                    {"vlqzrwmtkpxb", jane, nil},
		"digits only":                     {"839201748392", jane, nil},
		"emoji":                           {"🦊 over 🌉 at 🕛 sharp", jane, nil},
		"Cyrillic phrase":                 {"семь чайников у моря", jane, nil},
		"just long enough":                {"vlqzrwmtkpxb", Facts{MinLength: 12}, nil},
		"one too short":                   {"vlqzrwmtkpx", Facts{}, []ReasonCode{TooShort}},
		"eight where the portal allows":   {"vlqzrwmt", Facts{MinLength: 8}, nil},
		"seven is under the floor":        {"vlqzrwm", Facts{MinLength: 4}, []ReasonCode{TooShort}},
		"counted in code points":          {strings.Repeat("🦊🌉", 6) + "x!", Facts{MinLength: 14}, nil},
		"counted after NFC":               {strings.Repeat("u\u0308vo\u0308w", 2) + "pq", Facts{}, []ReasonCode{TooShort}},
		"as long as allowed":              {strings.Repeat("vlqzrwmt", 15) + "kpxbcnfy", Facts{}, nil},
		"too long":                        {strings.Repeat("vlqzrwmt", 15) + "kpxbcnfyx", Facts{}, []ReasonCode{TooLong}},
		"too long and common":             {strings.Repeat("a", 129), Facts{}, []ReasonCode{TooLong, Common}},
		"short, common and of the portal": {"acme", jane, []ReasonCode{TooShort, ContainsPortalName}},
		"of both":                         {"JaneDoe@Acme1", jane, []ReasonCode{ContainsEmail, ContainsPortalName}},
		"the email itself":                {"jane.doe@example.com", jane, []ReasonCode{ContainsEmail}},
		"the email in capitals":           {"JANE.DOE@EXAMPLE.COM!", jane, []ReasonCode{ContainsEmail}},
		"email of short words":            {"bob@abc.com", Facts{MinLength: 8, Email: "bob@abc.com"}, []ReasonCode{ContainsEmail}},
		"the name twice":                  {"AcmeAcmeAcme", jane, []ReasonCode{Common, ContainsPortalName}},
		"seven remain":                    {"janevlqzrwm", Facts{MinLength: 8, Email: "jane@b.nl"}, []ReasonCode{ContainsEmail}},
		"eight remain":                    {"janevlqzrwmt", Facts{MinLength: 8, Email: "jane@b.nl"}, nil},
		"short words are ignored":         {"bobvlqzrwm", Facts{MinLength: 8, Email: "bob@b.nl"}, nil},
		"overlapping words":               {"janeexamplest", Facts{Email: "jane@example.examplest"}, []ReasonCode{ContainsEmail}},
		"name in another script":          {"МОСКВА-2026!", Facts{PortalName: "Москва"}, []ReasonCode{ContainsPortalName}},
		"name in another normal form":     {"ko\u0308ln1234567", Facts{PortalName: "K\u00f6ln"}, []ReasonCode{TooShort, ContainsPortalName}},
		"no facts":                        {"vlqzrwmtkpxb", Facts{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ElementsMatch(t, test.want, codesOf(judge(test.password, test.facts, false)))
		})
	}
}

func TestReasonsCarryTheirLimits(t *testing.T) {
	t.Parallel()
	require.Equal(t, []Reason{{Code: TooShort, Limit: 14}}, judge("vlqzrwmt", Facts{MinLength: 14}, false))
	require.Equal(t, []Reason{{Code: TooShort, Limit: 12}}, judge("vlqzrwmt", Facts{}, false))
	require.Equal(t, []Reason{{Code: TooShort, Limit: 8}}, judge("vlqz", Facts{MinLength: 3}, false))
	require.Equal(t, Reason{Code: TooLong, Limit: 128}, judge(strings.Repeat("vlqzrwmt", 17), Facts{}, false)[0])
}

func TestReasonsAreInOrder(t *testing.T) {
	t.Parallel()
	got := judge("password", Facts{Email: "password@example.com", PortalName: "Password"}, true)
	require.Equal(t, []ReasonCode{TooShort, Common, BreachedBefore, ContainsEmail, ContainsPortalName}, codesOf(got))
	got = judge(strings.Repeat("a", 129), Facts{}, true)
	require.Equal(t, []ReasonCode{TooLong, Common, BreachedBefore}, codesOf(got))
}

func TestCommon(t *testing.T) {
	t.Parallel()
	common := []string{
		"password", "PassWord", "password1234", "Password123!", "p@ssw0rd", "P@ssw0rd1234", "iloveyou123456", "dragon2024",
		"unbelievable", "1qaz2wsx3edc", "q1w2e3r4t5y6", "passwordpassword", "sunshinesunshine1",
		"aaaaaaaaaaaa", "aaaaaaaaaaa1", "aaaa12345", "abcabcabcabc", "abcabcabcab", "1212121212121", "üüüüüüüüüüüü", "🦊🦊🦊🦊🦊🦊🦊🦊",
		"123456789012", "987654321098", "qwertyuiop12", "abcdefghijkl", "ZYXWVUTSRQPO", "qwertyasdfgh", "poiuytrewq", "azertyuiop12",
		"qwertzuiop!?", "abcd1234efgh", "!@#$%^&*()_+", "111222333444",
	}
	for _, password := range common {
		require.True(t, isCommon(password), password)
	}
	uncommon := []string{
		"", "correct horse battery staple", "Sunny-Meadow-42!", "Tr0ub4dor&3 rides again", "a-long-enough-pass 1",
		"passwords are for people", "password manager fan 9", "monkeys like bananas", "dragon-slayer-of-kent", "time for tea 2",
		"my qwerty is broken", "839201748392", "vlqzrwmtkpxb", "hunter of lost socks", "purple monkey dishwasher",
	}
	for _, password := range uncommon {
		require.False(t, isCommon(password), password)
	}
}

func TestCommonListIsInShape(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(commonPasswords, "\n"), "\n")
	require.Len(t, ranks(), len(lines), "one password a line, none twice")
	require.Greater(t, len(lines), 15_000)
	for i, line := range lines {
		require.Equal(t, strings.ToLower(strings.TrimSpace(line)), line)
		require.LessOrEqual(t, len(line), maxListed)
		require.True(t, i < topRank || len(line) >= MinLengthFloor, line)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("correct horse battery staple", "jane.doe@example.com", "Acme Corp", 12)
	f.Add("\xff\x00\xed\xa0\x80", "\xff@\x00", "\xed\xa0\x80\xed\xa0\x80", -1)
	f.Add("İİİİİİİİ", "İİİİ@ı.com", "ſſſſ", 1<<30)
	f.Add("acmeacme", "acmeacme@acme.com", "cmea", 8)
	f.Fuzz(func(t *testing.T, password, email, portalName string, minLength int) {
		every := []ReasonCode{TooShort, TooLong, Common, ContainsEmail, ContainsPortalName}
		facts := Facts{MinLength: minLength, Email: email, PortalName: portalName}
		require.Equal(t, judge(password, facts, false), judge(password, facts, false))
		for _, reason := range judge(password, facts, false) {
			require.Contains(t, every, reason.Code)
		}
		Hints(password, minLength)
	})
}
