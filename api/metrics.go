package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// metrics are read by Prometheus. Labels have bounded sets of values, and hold no personal data.
type metrics struct {
	handler  http.Handler
	requests *prometheus.HistogramVec
	logins   *prometheus.CounterVec
	locks    prometheus.Counter
	refresh  *prometheus.CounterVec
}

func newMetrics(db *database.DB, pool *password.Pool) *metrics {
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "latchkey_http_request_duration_seconds", Help: "Requests by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route", "method", "status"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_logins_total", Help: "Password logins by outcome: success, or the problem's code.",
		}, []string{"outcome"}),
		locks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_locks_total", Help: "Locks that wrong passwords caused.",
		}),
		refresh: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_refreshes_total", Help: "Session refreshes by outcome; refresh_token_reused is a theft.",
		}, []string{"outcome"}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.logins, m.locks, m.refresh,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registerHashing(registry, pool)
	registerDatabase(registry, db)
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		AcceptedFormats: []expfmt.Format{expfmt.NewFormat(expfmt.TypeTextPlain)},
	})
	return m
}

func registerHashing(registry *prometheus.Registry, pool *password.Pool) {
	gauge := func(name, help string, value func(password.Stats) float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(pool.Stats()) }))
	}
	counter := func(name, help string, value func(password.Stats) float64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return value(pool.Stats()) }))
	}
	gauge("latchkey_hash_slots", "Passwords that may be hashed at once.",
		func(s password.Stats) float64 { return float64(s.Slots) })
	gauge("latchkey_hash_running", "Passwords being hashed.",
		func(s password.Stats) float64 { return float64(s.Running) })
	gauge("latchkey_hash_queue_length", "Callers waiting for a slot.",
		func(s password.Stats) float64 { return float64(s.Waiting) })
	counter("latchkey_hashes_total", "Passwords hashed.",
		func(s password.Stats) float64 { return float64(s.Hashed) })
	counter("latchkey_hash_waits_total", "Callers that had to wait for a slot.",
		func(s password.Stats) float64 { return float64(s.Waited) })
	counter("latchkey_hash_wait_seconds_total", "Time that callers waited for a slot.",
		func(s password.Stats) float64 { return s.WaitTime.Seconds() })
	counter("latchkey_hash_overloaded_total", "Callers that were turned away with 503 overloaded.",
		func(s password.Stats) float64 { return float64(s.Overloaded) })
}

func registerDatabase(registry *prometheus.Registry, db *database.DB) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("latchkey_database_connections_max", "Connections at most.",
		func() float64 { return float64(db.Stats().MaxOpenConnections) })
	gauge("latchkey_database_connections_in_use", "Connections in use.",
		func() float64 { return float64(db.Stats().InUse) })
	gauge("latchkey_database_connections_idle", "Idle connections.",
		func() float64 { return float64(db.Stats().Idle) })
	counter("latchkey_database_waits_total", "Statements that had to wait for a connection.",
		func() float64 { return float64(db.Stats().WaitCount) })
	counter("latchkey_database_wait_seconds_total", "Time that statements waited for a connection.",
		func() float64 { return db.Stats().WaitDuration.Seconds() })
}

// outcome is a label: success, or a fault's code.
func outcome(err error) string {
	if err == nil {
		return "success"
	}
	return string(fault.CodeOf(err))
}

// loggedIn counts a password login, and the lock that a failure causes.
func (m *metrics) loggedIn(err error) {
	m.logins.WithLabelValues(outcome(err)).Inc()
	if errors.Is(err, login.ErrLockBegan) {
		m.locks.Inc()
	}
}

func (m *metrics) refreshed(err error) { m.refresh.WithLabelValues(outcome(err)).Inc() }

// measured times every request by its route. Paths would be an unbounded set of labels.
func (s *Server) measured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begun := time.Now()
		err := next(c)
		route := c.Path()
		if route == "" {
			route = "none"
		}
		s.metrics.requests.WithLabelValues(route, methodOf(c.Request()), strconv.Itoa(c.Response().Status)).
			Observe(time.Since(begun).Seconds())
		return err
	}
}

// methodOf is the method as a label. Methods that callers make up share one.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// showMetrics answers GET /metrics.
func (s *Server) showMetrics(c echo.Context) error {
	s.metrics.handler.ServeHTTP(c.Response(), c.Request())
	return nil
}
