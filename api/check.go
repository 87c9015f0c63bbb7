package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/phone"
)

// maxPassword is the longest password that is read at all, in octets: no right one is longer (128 code points of four
// octets, and what NFC may take away).
const maxPassword = 4096

// check collects what is wrong with a request, so that a person reads all of it at once.
type check struct{ fields []fault.Field }

func (k *check) wrong(pointer string, code fault.FieldCode) { k.beyond(pointer, code, 0) }

// beyond is wrong by more than a limit.
func (k *check) beyond(pointer string, code fault.FieldCode, limit int) {
	k.fields = append(k.fields, fault.Field{Pointer: pointer, Code: code, Limit: limit})
}

// err is validation_failed if anything was wrong.
func (k *check) err() error {
	if len(k.fields) == 0 {
		return nil
	}
	return fault.Invalid(k.fields...)
}

// email reads the address that must be there.
func (k *check) email(typed string) email.Address {
	const pointer = "/email"
	if strings.TrimSpace(typed) == "" {
		k.wrong(pointer, fault.FieldRequired)
		return email.Address{}
	}
	address, err := email.Parse(typed)
	if err != nil {
		k.wrong(pointer, fault.FieldEmail)
	}
	return address
}

// password takes one that must be there; whether it is right, or good, is not for the request to say.
func (k *check) password(pointer, typed string) {
	switch {
	case typed == "":
		k.wrong(pointer, fault.FieldRequired)
	case len(typed) > maxPassword:
		k.beyond(pointer, fault.FieldTooLong, 128)
	}
}

func (k *check) longest(pointer, text string, limit int) {
	if utf8.RuneCountInString(text) > limit {
		k.beyond(pointer, fault.FieldTooLong, limit)
	}
}

func (k *check) oneOf(pointer, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	k.fields = append(k.fields, fault.Field{Pointer: pointer, Code: fault.FieldNotAllowed, Allowed: allowed})
}

// name trims a person's name; one without anything left is none.
func (k *check) name(pointer string, typed *string) *string {
	if typed == nil {
		return nil
	}
	trimmed := strings.TrimSpace(*typed)
	k.longest(pointer, trimmed, account.MaxPersonName)
	if trimmed == "" {
		return nil
	}
	return &trimmed
}

func (k *check) locale(tag string) {
	if _, ok := locale.Parse(tag); !ok {
		k.oneOf("/locale", tag, locale.Tags()...)
	}
}

// names checks roles or entitlements; one that stands twice counts once.
func (k *check) names(pointer string, names []string) []string {
	distinct, wrong := account.CheckNames(names)
	for _, field := range wrong {
		field.Pointer = pointer + field.Pointer
		k.fields = append(k.fields, field)
	}
	return distinct
}

// phone reads a number into E.164.
func (k *check) phone(pointer string, typed *string) *string {
	if typed == nil {
		return nil
	}
	number, err := phone.Parse(*typed)
	if err != nil {
		k.wrong(pointer, fault.FieldInvalid)
	}
	return &number
}

// maxMetadataDepth is how deep metadata may nest: deeper than anybody's data, and far from any parser's stack.
const maxMetadataDepth = 32

// metadata takes a JSON object of bounded size and depth whose numbers are finite, which both databases can hold.
func (k *check) metadata(pointer string, value jsontext.Value) json.RawMessage {
	switch {
	case value.Kind() != '{':
		k.wrong(pointer, fault.FieldType)
		return nil
	case len(value) > account.MaxMetadata:
		k.beyond(pointer, fault.FieldTooLong, account.MaxMetadata)
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(value))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return json.RawMessage(value)
		}
		infinite := false
		if token.Kind() == '0' {
			_, err := strconv.ParseFloat(token.String(), 64)
			infinite = err != nil
		}
		if infinite || dec.StackDepth() > maxMetadataDepth {
			k.wrong(pointer+string(dec.StackPointer()), fault.FieldInvalid)
			return nil
		}
	}
}

// nameChange is what a request says of a name: nothing, that it goes, or a new one.
func (k *check) nameChange(pointer string, typed optional[*string]) **string {
	if !typed.Set {
		return nil
	}
	name := k.name(pointer, typed.Value)
	return &name
}
