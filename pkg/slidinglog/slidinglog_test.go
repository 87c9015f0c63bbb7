package slidinglog_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

var now = time.UnixMilli(1_772_355_600_000)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func logOf(at ...time.Time) (l slidinglog.Log) {
	for _, a := range at {
		l += slidinglog.At(a)
	}
	return l
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	quotas := []slidinglog.Quota{{N: 2, Within: time.Minute}, {N: 3, Within: time.Hour}}
	for name, test := range map[string]struct {
		log  slidinglog.Log
		left int
		room time.Time
	}{
		"empty":             {"", 2, time.Time{}},
		"one":               {logOf(ago(0)), 1, time.Time{}},
		"the minute's two":  {logOf(ago(0), ago(time.Second)), 0, now.Add(59 * time.Second)},
		"the hour's three":  {logOf(ago(2*time.Minute), ago(3*time.Minute), ago(4*time.Minute)), 0, now.Add(56 * time.Minute)},
		"both":              {logOf(ago(0), ago(0), ago(0)), 0, now.Add(time.Hour)},
		"a minute ago":      {logOf(ago(0), ago(time.Minute)), 1, now},
		"all long ago":      {logOf(ago(time.Hour), ago(time.Hour), ago(time.Hour)), 2, now},
		"a clock went back": {logOf(ago(-time.Minute), ago(-time.Minute)), 0, now.Add(2 * time.Minute)},
	} {
		require.Equal(t, test.left, test.log.Left(quotas, now), name)
		require.True(t, test.room.Equal(test.log.RoomFrom(quotas)), "%s: %v", name, test.log.RoomFrom(quotas))
		require.Equal(t, test.left == 0, test.log.RoomFrom(quotas).After(now), name)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	l := logOf(ago(0), ago(time.Second))
	require.True(t, l.Holds(ago(time.Second).UnixMilli()))
	require.False(t, l.Holds(ago(time.Minute).UnixMilli()))
	require.Zero(t, l.Nth(3))
	require.Zero(t, slidinglog.Log("not numbers!!").Nth(1))
	require.Equal(t, 2, l.Count(time.Minute, now))
	require.Equal(t, 1, l.Count(time.Second, now))
	require.Zero(t, slidinglog.Log("").Count(time.Since(time.Unix(-1, 0)), time.Now()))
}

// Times are compared as text, so they must sort as they pass.
func TestTimesSort(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	last := slidinglog.Log("")
	for _, at := range []time.Time{time.UnixMilli(0), time.UnixMilli(9), time.UnixMilli(10), noon, noon.Add(time.Millisecond), noon.AddDate(200, 0, 0)} {
		require.Len(t, slidinglog.At(at), slidinglog.Width)
		require.Less(t, last, slidinglog.At(at))
		last = slidinglog.At(at)
	}
}

// The database must refuse an event exactly where Left is 0.
func TestSQLAgreesWithGo(t *testing.T) {
	t.Parallel()
	const keep = 5
	quotas := []slidinglog.Quota{{N: 2, Within: time.Minute}, {N: keep, Within: 4 * time.Minute}}
	statement := `SELECT ` + slidinglog.SQLFull("t.log", "log", quotas) + `, ` +
		slidinglog.SQLAdd("CAST(@now AS TEXT)", "t.log", slidinglog.Octets(keep)) + `
		FROM (SELECT CAST(@log AS TEXT) AS log) t`
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		random := rand.New(rand.NewPCG(1, 2))
		var log slidinglog.Log
		now, refused := now, 0
		for range 200 {
			now = now.Add(time.Duration(random.Int64N(int64(30 * time.Second))))
			if edge := log.RoomFrom(quotas); random.IntN(4) == 0 && edge.After(now) {
				now = edge.Add(-time.Duration(random.IntN(2)) * time.Millisecond) // at the very edge of a window
			}
			args := map[string]any{"log": log, "now": slidinglog.At(now)}
			slidinglog.Bind(args, "log", quotas, now)
			var full bool
			var added slidinglog.Log
			require.NoError(t, db.From(t.Context()).Raw(statement, args).Row().Scan(&full, &added))
			require.Equal(t, log.Left(quotas, now) == 0, full, "%s at %s", log, now)
			if full {
				refused++
				continue
			}
			require.Equal(t, now.UnixMilli(), added.Nth(1))
			require.Equal(t, min(log.Len()+1, keep), added.Len())
			log = added
		}
		require.Greater(t, refused, 20)
		require.Less(t, refused, 180)
	})
}
