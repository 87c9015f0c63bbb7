package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

// explained says a fault in words, for a person at a terminal.
func explained(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	words := []string{locale.Text(locale.Default, "problem."+string(f.Code)+".detail", nil)}
	for _, field := range f.Fields {
		words = append(words, fmt.Sprintf("%s: %s", strings.TrimPrefix(field.Pointer, "/"),
			locale.Text(locale.Default, "field."+string(field.Code), locale.Data{"limit": field.Limit, "allowed": field.Allowed})))
	}
	return errors.New(strings.Join(words, "\n  "))
}
