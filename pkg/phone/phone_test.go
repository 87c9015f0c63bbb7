package phone

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct{ typed, want string }{
		{"+493012345678", "+493012345678"},
		{"+49 30 1234-5678", "+493012345678"},
		{" +49 (30) 12.34.56.78 ", "+493012345678"},
		{"(+49) 30 12345678", "+493012345678"},
		{"+49\u00a030\u202f1234\u20135678", "+493012345678"},
		{"+49\u201130\u22121234\u20145678", "+493012345678"},
		{"+1 (202) 555-0143", "+12025550143"},
		{"+45 12 34 56 78", "+4512345678"},
		{"+39 06 1234 5678", "+390612345678"},
		{"+6831234", "+6831234"},
		{"+123456789012345", "+123456789012345"},
	}
	for _, tt := range tests {
		t.Run(tt.typed, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.typed)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			again, err := Parse(got)
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{
		"", " ", "+", "()", "493012345678", "030 12345678", "00493012345678", "+00493012345678", "+0301234567",
		"++493012345678", "49+3012345678", "+49 (0)30 12345678", "+49 30 12345678 ext. 9", "+49 30 1234567a",
		"+49 30 12345678,+49 30 12345679", "+49/30/12345678", "tel:+493012345678", "+٤٩٣٠١٢٣٤٥٦٧٨", "＋493012345678",
		"+493012345678\x00", "+49\u200b3012345678", "+49\xff3012345678", "+123456", "+1234567890123456",
		"+49" + strings.Repeat(" ", maxTyped) + "3012345678", strings.Repeat("9", 1<<20),
	} {
		got, err := Parse(typed)
		require.ErrorIs(t, err, ErrInvalid, "%.40q", typed)
		require.Empty(t, got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"+49 30 1234-5678", "+1 (202) 555-0143", "00493012345678", "+49 (0)30 1", "+\xff", "+١"} {
		f.Add(seed)
	}
	valid := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	f.Fuzz(func(t *testing.T, typed string) {
		number, err := Parse(typed)
		if err != nil {
			require.Empty(t, number)
			return
		}
		require.Regexp(t, valid, number)
		again, err := Parse(number)
		require.NoError(t, err)
		require.Equal(t, number, again)
	})
}
