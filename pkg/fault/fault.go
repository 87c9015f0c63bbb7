// Package fault has the one error type of all layers: a code that clients switch on, and the facts that explain it. Only
// package api adds HTTP status, texts and remedies.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Error is a failure that the caller learns about. Every service returns it to refuse a call.
type Error struct {
	Code Code
	// Fields names the members of the request that are wrong, as JSON pointers (RFC 6901).
	Fields []Field
	// Text is the key of a more precise text in the catalogue; "" takes the detail of the code.
	Text string
	// Members are members of the problem besides the common ones, such as attempts_remaining.
	Members map[string]any
	// RetryAfter is sent as the Retry-After header, rounded up to whole seconds; zero sends none.
	RetryAfter time.Duration
	// Cause goes to the log and never into a response.
	Cause error
}

// Field is one member of a request that is wrong.
type Field struct {
	// Pointer is the JSON pointer of the member. Query parameters and headers are written the same way.
	Pointer string
	Code    FieldCode
	// Text is the key of a more precise text in the catalogue; "" takes the text of the code.
	Text string
	// Limit is the broken limit, for codes that have one.
	Limit int
	// Allowed are the valid values, for codes that list them.
	Allowed []string
}

// Error names the code and the cause; it is for logs, not for responses.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Cause)
	}
	return string(e.Code)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is compare faults by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// New makes a fault of the code.
func New(code Code) *Error { return &Error{Code: code} }

// Wrap makes a fault of the code with a cause for the log.
func Wrap(code Code, cause error) *Error { return &Error{Code: code, Cause: cause} }

// Invalid is validation_failed with the members that are wrong.
func Invalid(fields ...Field) *Error { return &Error{Code: ValidationFailed, Fields: fields} }

// With adds a member to the problem and returns the fault.
func (e *Error) With(name string, value any) *Error {
	if e.Members == nil {
		e.Members = make(map[string]any)
	}
	e.Members[name] = value
	return e
}

// After sets Retry-After and returns the fault.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// CodeOf is the code of err: "" for nil, internal for an error that is not an Error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Code
	}
	return Internal
}
