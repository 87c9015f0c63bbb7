package accesstoken

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A key is published from when it was made until a day after the next has taken over, whichever of them signs.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	key := func(id string, active time.Duration) Key { return Key{ID: id, ActiveAt: now.Add(active)} }
	for name, tt := range map[string]struct {
		keys []Key
		want string
	}{
		"one":                         {[]Key{key("a", -1000*time.Hour)}, "a"},
		"one to come":                 {[]Key{key("a", -1000*time.Hour), key("b", time.Second)}, "ab"},
		"one that just took over":     {[]Key{key("a", -1000*time.Hour), key("b", 0)}, "ab"},
		"one that did a day ago":      {[]Key{key("a", -1000*time.Hour), key("b", -publication)}, "ab"},
		"one that did before":         {[]Key{key("a", -1000*time.Hour), key("b", -publication-1)}, "b"},
		"several, one of them long":   {[]Key{key("a", -90*time.Hour), key("b", -80*time.Hour), key("c", -time.Hour), key("d", time.Second)}, "bcd"},
		"several in quick succession": {[]Key{key("a", -3*time.Hour), key("b", -2*time.Hour), key("c", -time.Hour)}, "abc"},
	} {
		var ids string
		set := &keySet{keys: tt.keys}
		for _, k := range set.published(now) {
			ids += k.ID
		}
		require.Equal(t, tt.want, ids, name)
	}
	require.GreaterOrEqual(t, publication, 24*time.Hour, "no access token may live longer than its key is published")
	require.Greater(t, activation, 2*keysStale, "every instance has read a key before it signs")
}
