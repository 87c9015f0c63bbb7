package queue

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// samplePeriod is how long a text that was logged is not logged again.
const samplePeriod = time.Minute

// sampledHandler logs warnings and errors, each text once a minute. Otherwise River would report an absent database many
// times a second.
type sampledHandler struct {
	slog.Handler

	logged *sync.Map // text -> time.Time
}

func newSampledHandler(next slog.Handler) slog.Handler { return sampledHandler{next, new(sync.Map)} }

// Enabled leaves out debug and info records.
func (h sampledHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle drops a record whose text was logged within samplePeriod, or whose error means that the program stops.
func (h sampledHandler) Handle(ctx context.Context, r slog.Record) error {
	stopping := false
	r.Attrs(func(a slog.Attr) bool {
		stopping = strings.HasSuffix(a.Value.String(), context.Canceled.Error())
		return !stopping
	})
	if stopping {
		return nil
	}
	last, known := h.logged.Swap(r.Message, r.Time)
	if known && r.Time.Sub(last.(time.Time)) < samplePeriod {
		h.logged.Store(r.Message, last)
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs shares the texts that were logged.
func (h sampledHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sampledHandler{h.Handler.WithAttrs(attrs), h.logged}
}

// WithGroup shares the texts that were logged.
func (h sampledHandler) WithGroup(name string) slog.Handler {
	return sampledHandler{h.Handler.WithGroup(name), h.logged}
}
