package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
)

// metrics tell of connections and requests. Durations are seconds, sizes bytes.
type metrics struct {
	connections prometheus.Gauge
	refused     prometheus.Counter
	broken      prometheus.Counter
	received    prometheus.Counter
	sent        prometheus.Counter
	inFlight    prometheus.Gauge
	requests    map[int16]prometheus.Observer
	errors      *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, table []api.Entry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kelp", Subsystem: "server", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kelp", Subsystem: "server", Name: name, Help: help})
	}
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "kelp", Subsystem: "server", Name: "request_seconds",
		Help:    "Time from a request's last byte to its response's last byte, waits included, by API.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"api"})
	m := &metrics{
		connections: gauge("connections", "Open connections."),
		refused:     counter("connections_refused_total", "Connections closed because the limit of open ones was reached."),
		broken:      counter("connections_broken_total", "Connections closed because of what the client sent."),
		received:    counter("received_bytes_total", "Bytes of requests."),
		sent:        counter("sent_bytes_total", "Bytes of responses."),
		inFlight:    gauge("bytes_in_flight", "Bytes of requests that are not answered yet."),
		requests:    map[int16]prometheus.Observer{},
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "kelp", Subsystem: "server", Name: "failed_requests_total", Help: "Requests that failed as a whole, by API.",
		}, []string{"api"}),
	}
	for _, e := range table {
		m.requests[e.Key.Int16()] = took.WithLabelValues(kmsg.NameForKey(e.Key.Int16()))
	}
	if r != nil {
		r.MustRegister(m.connections, m.refused, m.broken, m.received, m.sent, m.inFlight, took, m.errors)
	}
	return m
}

func (m *metrics) answered(key int16, since time.Time) {
	if o := m.requests[key]; o != nil {
		o.Observe(time.Since(since).Seconds())
	}
}
