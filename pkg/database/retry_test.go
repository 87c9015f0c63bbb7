package database_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	changed, broken := errors.New("changed"), errors.New("broken")
	for name, test := range map[string]struct {
		outcomes []error // of the attempts
		made     int
		err      error
	}{
		"at once":              {[]error{nil}, 1, nil},
		"another error":        {[]error{broken}, 1, broken},
		"after one change":     {[]error{fmt.Errorf("wrapped: %w", changed), nil}, 2, nil},
		"at the last try":      {[]error{changed, changed, nil}, 3, nil},
		"broken after changes": {[]error{changed, changed, broken}, 3, broken},
		"changed every time":   {[]error{changed, changed, changed}, 3, fault.New(fault.Unavailable)},
	} {
		made := 0
		result, err := database.Retry(3, changed, func() (int, error) {
			made++
			return made, test.outcomes[made-1]
		})
		require.Equal(t, test.made, made, name)
		if test.err == nil {
			require.NoError(t, err, name)
			require.Equal(t, made, result, name)
			continue
		}
		require.ErrorIs(t, err, test.err, name)
		require.NotErrorIs(t, err, changed, name)
	}
}

func TestRetryTellsWhenToComeBack(t *testing.T) {
	t.Parallel()
	changed := errors.New("changed")
	result, err := database.Retry(2, changed, func() (int, error) { return 7, changed })
	require.Zero(t, result)
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	require.Equal(t, time.Second, f.RetryAfter)
}
