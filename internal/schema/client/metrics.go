package client

import (
	"bytes"
	"io"

	"github.com/prometheus/client_golang/prometheus"
)

// body is an answer that was read already.
func body(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// metrics tell of an external registry. Durations are seconds.
type metrics struct {
	hits, misses, failures prometheus.Counter
	seconds                prometheus.Histogram
	healthy                prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kelp", Subsystem: "schema_client", Name: name, Help: help})
	}
	m := &metrics{
		hits:     counter("cache_hits_total", "Questions to the external schema registry answered from memory, that it has none included."),
		misses:   counter("cache_misses_total", "Questions that went to the external schema registry; many at a time share a request."),
		failures: counter("failed_attempts_total", "Attempts at the external schema registry without an answer, or with a server's error."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "kelp", Subsystem: "schema_client", Name: "request_seconds", Help: "Time of a request with all its attempts.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		healthy: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "kelp", Subsystem: "schema_client", Name: "healthy", Help: "1 when the last request to the external registry was answered.",
		}),
	}
	if r != nil {
		r.MustRegister(m.hits, m.misses, m.failures, m.seconds, m.healthy)
	}
	return m
}
