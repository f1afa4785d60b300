// Package telemetry is how the process tells about itself: the logger, the metrics registry and
// health. It knows none of our packages; each of them registers its own metrics.
package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Logger writes lines of the level (debug, info, warn, error) and above in the format (text, json).
func Logger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log-level: %q is not known; choose debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("log-format: %q is not known; choose text or json", format)
}

// Registry is a metrics registry that already tells of the process and the Go runtime.
func Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Health says whether the process serves. The zero value is starting.
type Health struct{ check atomic.Pointer[func() error] }

// Ready says that the process serves for as long as check gives nil.
func (h *Health) Ready(check func() error) { h.check.Store(&check) }

// NotReady says why the process does not serve now.
func (h *Health) NotReady(reason string) {
	err := errors.New("not ready: " + reason)
	h.Ready(func() error { return err })
}

// Err is why the process does not serve, or nil.
func (h *Health) Err() error {
	if check := h.check.Load(); check != nil {
		return (*check)()
	}
	return errors.New("not ready: starting")
}

// Handler serves /metrics, /healthz (the process runs) and /readyz (it serves Kafka, or why not).
func Handler(r *prometheus.Registry, h *Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}
