package smtptest

import (
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is one conversation.
type session struct {
	server    *Server
	encrypted bool
	user      string
	message   Message
}

// AuthMechanisms offers PLAIN where a user is asked for.
func (s *session) AuthMechanisms() []string {
	if s.server.options.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth takes the one user.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.options.User || password != s.server.options.Password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

// Mail begins a mail.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.user != s.server.options.User {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"}
	}
	s.message = Message{From: from, Encrypted: s.encrypted, User: s.user, UTF8: o.UTF8}
	return nil
}

// Rcpt names a recipient.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.server.judged(to); err != nil {
		return err
	}
	s.message.To = append(s.message.To, to)
	return nil
}

// Data takes the mail.
func (s *session) Data(body io.Reader) error { return s.server.take(s.message, body) }

// Reset forgets the mail.
func (s *session) Reset() { s.message = Message{} }

// Logout ends the conversation.
func (s *session) Logout() error { return nil }
