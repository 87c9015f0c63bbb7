package api

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

// sheet is an exported file, written row by row.
type sheet interface {
	Write(cells []string) error
	Close() error
}

// exportColumns are the header of an export. The code comes first, for the support desk to copy.
var exportColumns = []string{
	"code", "email", "status", "roles", "entitlements", "locale", "invited_by", "created_at", "sent_at", "expires_at",
	"accepted_at",
}

// exportBatch is how many invitations one query reads. No connection is held between two batches.
const exportBatch = 500

// Formats of an export, and their media types.
const (
	formatCSV  = "csv"
	formatXLSX = "xlsx"
)

var exportTypes = map[string]string{
	formatCSV:  csvType + "; charset=utf-8; header=present", // RFC 4180 §3
	formatXLSX: xlsxType,
}

// exportInvitations answers GET /v1/admin/portals/{portal}/invitations/export.
func (s *Server) exportInvitations(c echo.Context) error {
	f, err := filterOf(c)
	if err != nil {
		return err
	}
	format, given, err := queryText(c, "format", 10)
	if err != nil {
		return err
	}
	if !given {
		format = formatCSV
	}
	var k check
	k.OneOf("/format", format, formatCSV, formatXLSX)
	if err := k.Err(); err != nil {
		return err
	}
	p := portalOf(c)
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, exportTypes[format])
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="invitations-%s-%s.%s"`,
		p.Slug, s.clock.Now().UTC().Format(time.DateOnly), format))
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	if err := s.invitations.Exported(c.Request().Context(), p); err != nil {
		return err
	}
	unhurried(c)
	if !c.Request().ProtoAtLeast(1, 1) { // HTTP/1.0 cannot tell half an answer from a whole one
		var whole bytes.Buffer
		if err := s.writeInvitations(c, &whole, format, f); err != nil {
			return brokenOff(c, err)
		}
		h.Set(echo.HeaderContentLength, strconv.Itoa(whole.Len()))
		return c.Blob(http.StatusOK, exportTypes[format], whole.Bytes())
	}
	if err := s.writeInvitations(c, c.Response(), format, f); err != nil {
		if !c.Response().Committed {
			return brokenOff(c, err)
		}
		s.log.WarnContext(c.Request().Context(), "an export was broken off", slog.String("portal", p.Slug),
			slog.String("request_id", requestIDOf(c)), slog.Any("error", err))
		panic(http.ErrAbortHandler) // the caller must notice that the file is not whole
	}
	return nil
}

// brokenOff takes the headers of a file off an answer that becomes a problem.
func brokenOff(c echo.Context, err error) error {
	c.Response().Header().Del(echo.HeaderContentDisposition)
	c.Response().Header().Del(echo.HeaderContentType)
	return err
}

func (s *Server) writeInvitations(c echo.Context, out io.Writer, format string, f invitation.Filter) error {
	var to sheet = spreadsheet.NewCSV(out)
	if format == formatXLSX {
		book, err := spreadsheet.NewXLSX(out, "Invitations")
		if err != nil {
			return err
		}
		defer book.Discard()
		to = book
	}
	if err := to.Write(exportColumns); err != nil {
		return err
	}
	for f.Limit = exportBatch; ; {
		ctx, cancel := step(c)
		list, err := s.invitations.List(ctx, portalOf(c), f)
		cancel()
		if err != nil {
			return err
		}
		for _, i := range list {
			row, err := s.exportRow(c, i)
			if err != nil {
				return err
			}
			if err := to.Write(row); err != nil {
				return err
			}
			f.Before = i.ID
		}
		if len(list) < f.Limit {
			return to.Close()
		}
	}
}

// exportRow is an invitation as a row. Only an operator sees the code of an invitation that grants the role admin.
func (s *Server) exportRow(c echo.Context, i *invitation.Invitation) (row []string, err error) {
	var code string
	if principalOf(c).operates() || !slices.Contains(i.Roles, account.AdminRole) {
		if code, err = s.invitations.Code(portalOf(c), i); err != nil {
			return nil, err
		}
	}
	return []string{
		code, i.Email.Typed(), string(i.Status(s.clock.Now())),
		strings.Join(i.Roles, ", "), strings.Join(i.Entitlements, ", "), i.Locale, i.InvitedBy(),
		written(&i.CreatedAt), written(i.SentAt), written(&i.ExpiresAt), written(i.AcceptedAt),
	}, nil
}

// written is a time in a cell; "" for none.
func written(at *time.Time) string {
	if at == nil {
		return ""
	}
	text, _ := timestamp(*at).MarshalText() // never fails
	return string(text)
}
