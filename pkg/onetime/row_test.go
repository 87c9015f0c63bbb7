package onetime

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

func TestIssues(t *testing.T) {
	t.Parallel()
	got := make(map[int64]keyring.ID)
	for generation, key := range (issue(2, 0xffffffff) + issue(1, 3) + "0000000000003not a key").all() {
		got[generation] = key
	}
	require.Equal(t, map[int64]keyring.ID{2: 0xffffffff, 1: 3}, got)
}
