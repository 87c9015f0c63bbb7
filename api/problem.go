package api

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

const problemType = "application/problem+json"

// statuses are the HTTP statuses of all codes.
var statuses = map[fault.Code]int{
	fault.MalformedRequest:       http.StatusBadRequest,
	fault.ValidationFailed:       http.StatusUnprocessableEntity,
	fault.AuthenticationRequired: http.StatusUnauthorized,
	fault.AccessTokenInvalid:     http.StatusUnauthorized,
	fault.PermissionDenied:       http.StatusForbidden,
	fault.OriginNotAllowed:       http.StatusForbidden,
	fault.NotFound:               http.StatusNotFound,
	fault.OrganizationNotFound:   http.StatusNotFound,
	fault.MethodNotAllowed:       http.StatusMethodNotAllowed,
	fault.RequestTooLarge:        http.StatusRequestEntityTooLarge,
	fault.UnsupportedMediaType:   http.StatusUnsupportedMediaType,
	fault.RateLimited:            http.StatusTooManyRequests,
	fault.Internal:               http.StatusInternalServerError,
	fault.Overloaded:             http.StatusServiceUnavailable,
	fault.Unavailable:            http.StatusServiceUnavailable,

	fault.EmailNotFound:        http.StatusNotFound,
	fault.IncorrectCredentials: http.StatusUnauthorized,
	fault.AccountDisabled:      http.StatusForbidden,
	fault.EmailNotConfirmed:    http.StatusForbidden,
	fault.PasswordNotSet:       http.StatusForbidden,
	fault.ChannelUnavailable:   http.StatusConflict,
	fault.ResourceNotGranted:   http.StatusForbidden,
	fault.PasswordRejected:     http.StatusUnprocessableEntity,
	fault.SessionInvalid:       http.StatusUnauthorized,

	fault.AccountLocked:            http.StatusLocked,
	fault.PasswordResetRequired:    http.StatusForbidden,
	fault.RefreshTokenReused:       http.StatusUnauthorized,
	fault.CurrentPasswordIncorrect: http.StatusForbidden,

	fault.TokenInvalid:          http.StatusBadRequest,
	fault.TokenUsed:             http.StatusGone,
	fault.TokenSuperseded:       http.StatusGone,
	fault.TokenExpired:          http.StatusGone,
	fault.CodeAttemptsExhausted: http.StatusTooManyRequests,
	fault.ResendTooSoon:         http.StatusTooManyRequests,
	fault.EmailAlreadyConfirmed: http.StatusConflict,
	fault.RegistrationClosed:    http.StatusForbidden,
	fault.PendingInvitation:     http.StatusConflict,

	fault.InvitationEmailMismatch: http.StatusForbidden,

	fault.EmailAlreadyRegistered: http.StatusConflict,
	fault.PhoneAlreadyRegistered: http.StatusConflict,
	fault.InvitationPending:      http.StatusConflict,
	fault.LastSigningKey:         http.StatusConflict,
}

// statusesAt are the exceptions by route. A missing password forbids a login, but conflicts with a change of password.
var statusesAt = map[string]map[fault.Code]int{
	"/v1/portals/:portal/me/password": {fault.PasswordNotSet: http.StatusConflict},
}

func statusOf(c echo.Context, code fault.Code) int {
	if status, ok := statusesAt[c.Path()][code]; ok {
		return status
	}
	return statuses[code]
}

// problem is an RFC 9457 problem detail.
type problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Code      fault.Code     `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []fieldProblem `json:"errors,omitempty"`
	Remedies  []remedy       `json:"remedies"`
	Support   *supportBody   `json:"support,omitzero"`
	Members   map[string]any `json:",embed"`
}

type fieldProblem struct {
	Pointer string          `json:"pointer"`
	Code    fault.FieldCode `json:"code"`
	Detail  string          `json:"detail"`
}

type reasonBody struct {
	Code   password.ReasonCode `json:"code"`
	Detail string              `json:"detail"`
}

type supportBody struct {
	Email *string `json:"email"`
	URL   *string `json:"url"`
}

// waits are the statuses that always say when to try again.
var waits = []int{http.StatusLocked, http.StatusTooManyRequests, http.StatusServiceUnavailable}

// answerError answers the problem of a handler's error, and logs errors of the server.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	f := s.faultOf(c, err)
	p := portalOf(c)
	language := s.languageOf(c, p)
	body := problem{
		Type: s.publicURL + "/problems/" + pageName(f.Code), Status: statusOf(c, f.Code), Code: f.Code,
		Title: locale.Text(language, "problem."+string(f.Code)+".title", nil), Detail: detail(language, f),
		RequestID: requestIDOf(c), Errors: fieldProblems(language, f.Fields),
		Remedies: s.remedies(c, language, f), Members: members(language, f.Members),
	}
	if p != nil {
		body.Support = &supportBody{Email: p.Support.Email, URL: p.Support.URL}
	}
	h := c.Response().Header()
	h.Set("Content-Language", string(language))
	h.Add(echo.HeaderVary, "Accept-Language")
	h.Set(echo.HeaderCacheControl, "no-store")
	if f.RetryAfter > 0 || slices.Contains(waits, body.Status) {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(max(1, int(math.Ceil(f.RetryAfter.Seconds())))))
	}
	if body.Status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, challengeOf(f.Code))
	}
	if err := writeJSON(c, body.Status, problemType, body); err != nil {
		s.log.WarnContext(c.Request().Context(), "problem not written", "error", err)
	}
}

// faultOf gives every error a code. Errors without one are internal: their cause is logged, and left out of the answer.
func (s *Server) faultOf(c echo.Context, err error) *fault.Error {
	ctx := c.Request().Context()
	var f *fault.Error
	if errors.As(err, &f) {
		if f.Cause != nil {
			level := slog.LevelDebug // otherwise strangers could fill the log
			if statuses[f.Code] >= http.StatusInternalServerError {
				level = slog.LevelWarn
			}
			s.log.LogAttrs(ctx, level, "request failed", slog.String("code", string(f.Code)),
				slog.String("request_id", requestIDOf(c)), slog.Any("error", f.Cause))
		}
		return f
	}
	var routing *echo.HTTPError
	if errors.As(err, &routing) {
		switch routing.Code {
		case http.StatusNotFound:
			return fault.New(fault.NotFound)
		case http.StatusMethodNotAllowed:
			return fault.New(fault.MethodNotAllowed)
		}
	}
	if errors.As(database.Err(err), &f) && f.Code == fault.Unavailable {
		return f
	}
	if errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable) // the caller has gone
	}
	s.log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("route", c.Path()),
		slog.String("request_id", requestIDOf(c)), slog.Any("error", err))
	return fault.New(fault.Internal)
}

func fieldProblems(language locale.Language, fields []fault.Field) []fieldProblem {
	const longest = 200 // a pointer can contain a name from the request
	problems := make([]fieldProblem, 0, len(fields))
	for _, field := range fields {
		pointer := field.Pointer
		if len(pointer) > longest {
			pointer = strings.ToValidUTF8(pointer[:longest], "")
		}
		data := locale.Data{}
		if field.Limit != 0 {
			data["limit"] = field.Limit
		}
		if len(field.Allowed) > 0 {
			data["allowed"] = field.Allowed
		}
		key := "field." + string(field.Code)
		if field.Text != "" {
			key = field.Text
		}
		problems = append(problems, fieldProblem{pointer, field.Code, locale.Text(language, key, data)})
	}
	return problems
}

// members are a fault's members as JSON shows them.
func members(language locale.Language, of map[string]any) map[string]any {
	wire := maps.Clone(of)
	for name, value := range wire {
		switch value := value.(type) {
		case time.Time:
			wire[name] = timestamp(value)
		case delivery.Receipt:
			wire[name] = receiptOut(value)
		case []password.Reason:
			said := make([]reasonBody, 0, len(value))
			for _, reason := range value {
				said = append(said, reasonBody{reason.Code,
					locale.Text(language, "reason."+string(reason.Code), locale.Data{"limit": reason.Limit})})
			}
			wire[name] = said
		}
	}
	return wire
}

// detail is a sentence about the fault that a portal can show to a person.
func detail(language locale.Language, f *fault.Error) string {
	data := maps.Clone(locale.Data(f.Members))
	maps.DeleteFunc(data, func(_ string, value any) bool { return value == nil })
	if f.RetryAfter > 0 {
		if data == nil {
			data = locale.Data{}
		}
		data["wait"] = locale.Wait(language, f.RetryAfter)
	}
	key := "problem." + string(f.Code) + ".detail"
	if f.Text != "" {
		key = f.Text
	}
	return locale.Text(language, key, data)
}

func challengeOf(code fault.Code) string {
	if code == fault.AccessTokenInvalid {
		return `Bearer realm="latchkey", error="invalid_token"` // RFC 6750 §3.1
	}
	return `Bearer realm="latchkey"`
}

// languageOf is the language of Accept-Language, or else the portal's.
func (s *Server) languageOf(c echo.Context, p *portal.Portal) locale.Language {
	fallback := locale.Default
	if p != nil {
		fallback, _ = locale.Parse(p.DefaultLocale)
	}
	return locale.Match(c.Request().Header.Get("Accept-Language"), fallback)
}

// pageName is a code in the form of the URL of its page.
func pageName(code fault.Code) string { return strings.ReplaceAll(string(code), "_", "-") }

// writeJSON answers with a body. A body that cannot be encoded is not begun.
func writeJSON(c echo.Context, status int, contentType string, body any) error {
	text, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return err
	}
	return c.Blob(status, contentType, text)
}

// respond answers with a JSON body.
func respond(c echo.Context, status int, body any) error {
	return writeJSON(c, status, echo.MIMEApplicationJSON, body)
}
