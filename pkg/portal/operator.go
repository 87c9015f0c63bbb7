package portal

import (
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// keepsOperatorSettings wants the settings of the operator to stay as they are: an administrator of one portal must not
// take the domain of another, send as another, switch the portal off, or cut the record of their own acts.
//
// Errors: permission_denied, with the settings that differ.
func keepsOperatorSettings(before, after *Settings) error {
	denied := fault.New(fault.PermissionDenied)
	for _, setting := range []struct {
		pointer string
		same    bool
	}{
		{"/domains", slices.Equal(before.Domains, after.Domains)},
		{"/enabled", before.Enabled == after.Enabled},
		{"/sender/address", sameText(before.Sender.Address, after.Sender.Address)},
		{"/audit_retention", before.AuditRetention == after.AuditRetention},
	} {
		if !setting.same {
			denied.Fields = append(denied.Fields, fault.Field{Pointer: setting.pointer, Code: fault.FieldReadOnly})
		}
	}
	if len(denied.Fields) > 0 {
		return denied
	}
	return nil
}

func sameText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
