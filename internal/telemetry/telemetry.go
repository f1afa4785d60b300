// Package telemetry is how the process tells about itself: the logger, the metrics registry and
// health. It knows none of our packages; each of them registers its own metrics.
package telemetry

import (
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

// Health says whether the process serves. The zero value is not ready yet.
type Health struct{ ready atomic.Bool }

// SetReady turns /readyz on or off.
func (h *Health) SetReady(ready bool) { h.ready.Store(ready) }

// Handler serves /metrics, /healthz (the process runs) and /readyz (it serves Kafka). failed gives
// what has broken beyond repair without a restart, or nil; it makes both checks fail.
func Handler(r *prometheus.Registry, h *Health, failed func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, Timeout: 10 * time.Second}))
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, failed()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := failed()
		if err == nil && !h.ready.Load() {
			err = fmt.Errorf("not ready: starting or draining")
		}
		answer(w, err)
	})
	return mux
}
