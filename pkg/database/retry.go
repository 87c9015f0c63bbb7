package database

import (
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// Retry calls attempt again while it fails with changed: the error for data that changed between the attempt's read and
// its write. Each attempt must read anew.
//
// Errors: the attempt's; unavailable when all tries failed with changed.
func Retry[T any](tries int, changed error, attempt func() (T, error)) (T, error) {
	for range tries {
		result, err := attempt()
		if !errors.Is(err, changed) {
			return result, err
		}
	}
	var none T
	return none, fault.New(fault.Unavailable).After(time.Second)
}
