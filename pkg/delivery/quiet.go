package delivery

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// quietFor is how long the log does not hear the same of the queue again.
const quietFor = time.Minute

// quietHandler lets warnings through, each text once a minute: the queue would otherwise complain of an absent
// database many times a second.
type quietHandler struct {
	slog.Handler

	heard *sync.Map // text -> time.Time
}

func newQuietHandler(next slog.Handler) slog.Handler { return quietHandler{next, new(sync.Map)} }

// Enabled leaves out what is no warning.
func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle passes a record on unless its text was heard lately, or all that it tells is that the program stops.
func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	stopping := false
	r.Attrs(func(a slog.Attr) bool {
		stopping = strings.HasSuffix(a.Value.String(), context.Canceled.Error())
		return !stopping
	})
	if stopping {
		return nil
	}
	last, known := h.heard.Swap(r.Message, r.Time)
	if known && r.Time.Sub(last.(time.Time)) < quietFor {
		h.heard.Store(r.Message, last)
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs shares what was heard.
func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs), h.heard}
}

// WithGroup shares what was heard.
func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name), h.heard}
}
