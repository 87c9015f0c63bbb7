package delivery

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// noticePurpose separates the sealed addresses of notices from other sealed values.
const noticePurpose keyring.Purpose = "notice-recipient"

// SendNotice queues a security notice: one of the kinds PasswordChanged, EmailChanged, ConfirmationChanged and
// AccountDeleted. It goes to the address that a has, even if the account gets another address, or is deleted, before it
// is sent. The address is sealed in the message's row, and wiped once the message is sent or has failed.
func (s *Service) SendNotice(ctx context.Context, p *portal.Portal, kind Kind, a *account.Account) error {
	id, err := ids.New[ids.Delivery]()
	if err != nil {
		return err
	}
	sealed, err := s.ring.Seal(noticePurpose, []byte(a.Email.Typed()), noticeContext(p.ID, id))
	if err != nil {
		return err
	}
	m := Message{
		ID: id, Kind: kind, Account: a, Locale: a.Locale, Network: audit.CallerOf(ctx).Network, recipient: sealed,
	}
	if kind == AccountDeleted {
		m.Account = nil // the row must not lead to the person any more
	}
	_, err = s.Send(ctx, p, m)
	return err
}

// SendPasswordChanged queues the notice to the owner of an account that the password was changed, and from where.
func (s *Service) SendPasswordChanged(ctx context.Context, p *portal.Portal, a *account.Account) error {
	return s.SendNotice(ctx, p, PasswordChanged, a)
}

// NoticeRecipient is the address of a security notice; ok is false for other messages.
//
// Errors: keyring.ErrUnknownKey when the secret key that it was sealed under is gone, keyring.ErrForged.
func (s *Service) NoticeRecipient(d *Delivery) (address email.Address, ok bool, err error) {
	if len(d.Recipient) == 0 {
		return address, false, nil
	}
	typed, err := s.ring.Open(noticePurpose, d.Recipient, noticeContext(d.PortalID, d.ID))
	if err != nil {
		return address, true, err
	}
	address, err = email.Parse(string(typed))
	return address, true, err
}

// noticeContext ties a sealed address to its row.
func noticeContext(portalID ids.Portal, id ids.Delivery) string {
	return portalID.String() + "/" + id.String()
}
