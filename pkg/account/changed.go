package account

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
)

// changedMembers lists the members whose values differ, by their names in JSON. A new password always counts, because
// the same password has another hash.
func changedMembers(before, after *Account) (changed []string) {
	for _, member := range []struct {
		name string
		same bool
	}{
		{"email", before.Email.Typed() == after.Email.Typed()},
		{"password", before.PasswordHash == after.PasswordHash},
		{"confirmed", (before.Confirmed == nil) == (after.Confirmed == nil)},
		{"phone", sameText(before.Phone, after.Phone)},
		{"roles", slices.Equal(before.Roles, after.Roles)},
		{"entitlements", slices.Equal(before.Entitlements, after.Entitlements)},
		{"locale", before.Locale == after.Locale},
		{"given_name", sameText(before.GivenName, after.GivenName)},
		{"family_name", sameText(before.FamilyName, after.FamilyName)},
		{"metadata", sameJSON(before.Metadata, after.Metadata)},
		{"disabled", (before.Disabled == nil) == (after.Disabled == nil)},
		{"opted_out", before.OptedOut == after.OptedOut},
	} {
		if !member.same {
			changed = append(changed, member.name)
		}
	}
	return changed
}

func sameText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// sameJSON compares values, because Postgres returns JSON with other spaces and another order. Numbers are compared by
// their digits: an id may have more digits than a float64 holds.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	valueA, errA := decoded(a)
	valueB, errB := decoded(b)
	return errA == nil && errB == nil && reflect.DeepEqual(valueA, valueB)
}

func decoded(text json.RawMessage) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}
