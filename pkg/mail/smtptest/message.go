package smtptest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// Message is a mail as it was handed over.
type Message struct {
	From      string   // of the envelope
	To        []string // of the envelope
	User      string   // who had logged in
	Encrypted bool
	UTF8      bool // whether SMTPUTF8 was asked for
	Raw       []byte

	Header mail.Header
	Text   string // the part text/plain, decoded
	HTML   string // the part text/html, decoded
}

// Subject is the subject, decoded.
func (m *Message) Subject() string {
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return m.Header.Get("Subject")
	}
	return subject
}

// parse reads the headers and the parts.
func (m *Message) parse(raw io.Reader) error {
	message, err := mail.ReadMessage(raw)
	if err != nil {
		return err
	}
	m.Header = message.Header
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if kind != "multipart/alternative" {
		return errors.New("want multipart/alternative, got " + kind)
	}
	for parts := multipart.NewReader(message.Body, parameters["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		switch kind, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";"); kind {
		case "text/plain":
			m.Text = text
		case "text/html":
			m.HTML = text
		}
	}
}
