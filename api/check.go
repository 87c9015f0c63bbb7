package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/phone"
)

// maxPassword is the longest password that is looked at, in octets. The longest valid one has 128 code points of four
// octets each, and NFC can make it shorter than it was typed.
const maxPassword = 4096

// check collects the members of a request that are wrong, by the rules that several requests share.
type check struct{ fault.Fields }

// email reads a required address.
func (k *check) email(typed string) email.Address {
	const pointer = "/email"
	if strings.TrimSpace(typed) == "" {
		k.Wrong(pointer, fault.FieldRequired)
		return email.Address{}
	}
	address, err := email.Parse(typed)
	if err != nil {
		k.Wrong(pointer, fault.FieldEmail)
	}
	return address
}

// password wants a password. Whether it is the right one, or good enough, is decided by services.
func (k *check) password(pointer, typed string) {
	switch {
	case typed == "":
		k.Wrong(pointer, fault.FieldRequired)
	case len(typed) > maxPassword:
		k.Beyond(pointer, fault.FieldTooLong, password.MaxLength)
	}
}

// name trims a person's name. A blank one counts as none.
func (k *check) name(pointer string, typed *string) *string {
	if typed == nil {
		return nil
	}
	trimmed := strings.TrimSpace(*typed)
	k.Longest(pointer, trimmed, account.MaxPersonName)
	if trimmed == "" {
		return nil
	}
	return &trimmed
}

// locale wants the tag of a language that the catalogue has.
func (k *check) locale(tag string) { k.OneOf("/locale", tag, locale.Tags()...) }

// names checks roles or entitlements and drops repetitions.
func (k *check) names(pointer string, names []string) []string {
	distinct, wrong := account.CheckNames(names)
	k.Within(pointer, wrong)
	return distinct
}

// phone reads a number into E.164.
func (k *check) phone(pointer string, typed *string) *string {
	if typed == nil {
		return nil
	}
	number, err := phone.Parse(*typed)
	if err != nil {
		k.Wrong(pointer, fault.FieldInvalid)
	}
	return &number
}

// maxMetadataDepth is how deep metadata may nest: more than real data needs, and far less than exhausts a parser.
const maxMetadataDepth = 32

// metadata wants a JSON object of bounded size and depth. Its numbers must be finite: a database cannot hold others.
func (k *check) metadata(pointer string, value jsontext.Value) json.RawMessage {
	switch {
	case value.Kind() != '{':
		k.Wrong(pointer, fault.FieldType)
		return nil
	case len(value) > account.MaxMetadata:
		k.Beyond(pointer, fault.FieldTooLong, account.MaxMetadata)
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
			k.Wrong(pointer+string(dec.StackPointer()), fault.FieldInvalid)
			return nil
		}
	}
}

// nameChange is a request's change of a name: nil keeps it, a pointer to nil clears it.
func (k *check) nameChange(pointer string, typed optional[*string]) **string {
	if !typed.Set {
		return nil
	}
	name := k.name(pointer, typed.Value)
	return &name
}
