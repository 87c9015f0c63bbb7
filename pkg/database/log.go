package database

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	gormlogger "gorm.io/gorm/logger"
)

// slowStatement is how long a statement may run before it is logged.
const slowStatement = 500 * time.Millisecond

// queryLog is GORM's logger. It logs slow statements only, because errors are returned, and never a parameter, because
// parameters are people's data.
type queryLog struct{ log *slog.Logger }

func (q queryLog) LogMode(gormlogger.LogLevel) gormlogger.Interface { return q }

func (q queryLog) Info(ctx context.Context, format string, args ...any) {
	q.log.DebugContext(ctx, "gorm: "+fmt.Sprintf(format, args...))
}

func (q queryLog) Warn(ctx context.Context, format string, args ...any) {
	q.log.WarnContext(ctx, "gorm: "+fmt.Sprintf(format, args...))
}

// Error is silent: GORM returns the same error, and the text may hold a password.
func (q queryLog) Error(context.Context, string, ...any) {}

func (q queryLog) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), _ error) {
	elapsed := time.Since(begin)
	if elapsed < slowStatement {
		return
	}
	text, _ := statement()
	q.log.WarnContext(ctx, "slow statement", slog.Duration("elapsed", elapsed), slog.String("sql", text))
}

// ParamsFilter keeps the parameters out of the text that Trace gets.
func (q queryLog) ParamsFilter(_ context.Context, text string, _ ...any) (string, []any) {
	return text, nil
}
