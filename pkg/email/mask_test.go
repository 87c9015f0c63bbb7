package email

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMask(t *testing.T) {
	t.Parallel()
	tests := []struct{ address, want string }{
		{"anna@example.com", "a•••@example.com"},
		{"a@example.com", "a•••@example.com"},
		{"Anna.Schmidt+lists@Example.com", "A•••@Example.com"},
		{"élodie@bücher.example", "é•••@bücher.example"},
		{"用户@example.com", "用•••@example.com"},
		{"𝐚nna@example.com", "𝐚•••@example.com"},
		{"ａｎｎａ＠example.com", "ａ•••@example.com"},
		{"anna﹫example.com", "a•••@example.com"},
		{"@example.com", "•••@example.com"},
		{"anna", "•••"},
		{"", "•••"},
	}
	for _, tt := range tests {
		t.Run(tt.address, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, Mask(tt.address))
		})
	}
}
