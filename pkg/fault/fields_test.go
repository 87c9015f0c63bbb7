package fault

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFieldsAreCollected(t *testing.T) {
	t.Parallel()
	var f Fields
	require.NoError(t, f.Err())
	f.OneOf("/locale", "en", "en", "de")
	f.Longest("/name", "äöü", 3)
	require.NoError(t, f.Err(), "nothing is wrong yet")

	f.Wrong("/email", FieldRequired)
	f.OneOf("/locale", "xx", "en", "de")
	f.Longest("/name", "äöüß", 3)
	f.Within("/roles", Fields{{Pointer: "/2", Code: FieldTooLong, Limit: 128}})
	var got *Error
	require.ErrorAs(t, f.Err(), &got)
	require.Equal(t, &Error{Code: ValidationFailed, Fields: []Field{
		{Pointer: "/email", Code: FieldRequired},
		{Pointer: "/locale", Code: FieldNotAllowed, Allowed: []string{"en", "de"}},
		{Pointer: "/name", Code: FieldTooLong, Limit: 3},
		{Pointer: "/roles/2", Code: FieldTooLong, Limit: 128},
	}}, got)
}
