package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

// explained puts a fault into words, for a person at a terminal.
func explained(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	words := []string{locale.Text(locale.Default, "problem."+string(f.Code)+".detail", nil)}
	for _, field := range f.Fields {
		limits := locale.Data{"limit": field.Limit, "allowed": field.Allowed}
		words = append(words, fmt.Sprintf("%s: %s", strings.TrimPrefix(field.Pointer, "/"),
			locale.Text(locale.Default, "field."+string(field.Code), limits)))
	}
	return errors.New(strings.Join(words, "\n  "))
}
