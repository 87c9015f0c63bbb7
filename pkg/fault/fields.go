package fault

import (
	"slices"
	"unicode/utf8"
)

// Fields collects the members of a request that are wrong, so that a person reads all of them at once.
type Fields []Field

// Wrong adds a member.
func (f *Fields) Wrong(pointer string, code FieldCode) { f.Beyond(pointer, code, 0) }

// Beyond adds a member that breaks a limit.
func (f *Fields) Beyond(pointer string, code FieldCode, limit int) {
	*f = append(*f, Field{Pointer: pointer, Code: code, Limit: limit})
}

// OneOf adds a member whose value is not among the allowed ones.
func (f *Fields) OneOf(pointer, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		*f = append(*f, Field{Pointer: pointer, Code: FieldNotAllowed, Allowed: allowed})
	}
}

// Longest adds a member whose text has more code points than the limit.
func (f *Fields) Longest(pointer, text string, limit int) {
	if utf8.RuneCountInString(text) > limit {
		f.Beyond(pointer, FieldTooLong, limit)
	}
}

// Within adds members that point into the member at pointer.
func (f *Fields) Within(pointer string, fields Fields) {
	for _, field := range fields {
		field.Pointer = pointer + field.Pointer
		*f = append(*f, field)
	}
}

// Err is validation_failed with the members, nil where there are none.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return Invalid(f...)
}
