package database

import (
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// Retry makes an attempt, and another while it fails because something changed between its reading and its writing.
// changed is the error by which an attempt says so. Each attempt must read anew.
//
// Errors: the attempt's; unavailable when every one of the tries met a change.
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
