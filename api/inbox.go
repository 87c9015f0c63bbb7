package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// inboxBody is a message in the developer's inbox.
type inboxBody struct {
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	Token   *string   `json:"token"`
	Code    *string   `json:"code"`
	Link    *string   `json:"link"`
	At      timestamp `json:"at"`
}

// showInbox answers GET /dev/inbox, which exists only with --dev: the sent messages, newest first.
func (s *Server) showInbox(c echo.Context) error {
	messages := s.inbox.Messages()
	items := make([]inboxBody, 0, len(messages))
	for _, m := range messages {
		items = append(items, inboxBody{
			m.To, m.Subject, m.Text, m.HTML, orNull(m.Token), orNull(m.Code), orNull(m.Link), timestamp(m.At),
		})
	}
	return respond(c, http.StatusOK, items)
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
