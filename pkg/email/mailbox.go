package email

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Mailbox is where mail for the address goes: the local part as typed, because its server may be case-sensitive (RFC
// 5321 §2.4), at the canonical domain.
func (a Address) Mailbox() string {
	local, _, _ := strings.Cut(norm.NFKC.String(a.typed), "@")
	return local + a.canonical[strings.LastIndexByte(a.canonical, '@'):]
}
