package password

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHints(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		password string
		want     []string
	}{
		"nothing":                  {"correct horse battery staple", []string{}},
		"accents are Latin":        {"Grüße aus Århus, cœur", []string{}},
		"micro sign":               {"5 µs is all it takes", []string{}},
		"space inside":             {"correct horse battery", []string{}},
		"emoji":                    {"🦊 over 🌉 at 🕛 sharp", []string{}},
		"leading space":            {" correct horse battery", []string{HintSurroundingWhitespace}},
		"trailing line break":      {"correct horse battery\n", []string{HintSurroundingWhitespace}},
		"no-break space":           {"correct horse battery\u00a0", []string{HintSurroundingWhitespace}},
		"caps lock":                {"CORRECT HORSE 42!", []string{HintAllCaps}},
		"capitals among digits":    {"4711-ABC-0815-99", []string{}},
		"one small letter":         {"CORRECT HORSe 42!", []string{}},
		"digits only":              {"839201748392", []string{}},
		"Cyrillic layout":          {"сщккусе рщкыу", []string{HintUnusualScript}},
		"Cyrillic with caps lock":  {"СЩККУСЕ РЩКЫУ", []string{HintAllCaps, HintUnusualScript}},
		"Greek layout":             {"ψορρεψτ ηορσε", []string{HintUnusualScript}},
		"layout switched midway":   {"correct рщкыу", []string{HintUnusualScript}},
		"a look-alike among Latin": {"cоrrect horse", []string{HintUnusualScript}},
		"Hebrew has no capitals":   {"סיסמה ארוכה מאוד", []string{HintUnusualScript}},
		"full-width input":         {"ｃｏｒｒｅｃｔ　ｈｏｒｓｅ", []string{HintUnusualScript}},
		"too short":                {"vlqzrwmtkpx", []string{HintBelowMinimumLength}},
		"empty":                    {"", []string{HintBelowMinimumLength}},
		"only spaces":              {"   ", []string{HintSurroundingWhitespace, HintBelowMinimumLength}},
		"everything":               {" ПАРОЛЬ ", []string{HintSurroundingWhitespace, HintAllCaps, HintUnusualScript, HintBelowMinimumLength}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Hints(test.password, 0))
		})
	}
}

func TestHintsFollowThePortalsMinimum(t *testing.T) {
	t.Parallel()
	require.Empty(t, Hints("vlqzrwmt", 8))
	require.Equal(t, []string{HintBelowMinimumLength}, Hints("vlqzrwmt", 9))
	require.Equal(t, []string{HintBelowMinimumLength}, Hints("vlqzrwm", 1))
	require.Equal(t, []string{HintBelowMinimumLength}, Hints("vlqzrwmu\u0308", 9))
}
