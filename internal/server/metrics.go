package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
)

// metrics tell of connections and requests. Durations are seconds, sizes bytes.
type metrics struct {
	connections prometheus.Gauge
	resting     prometheus.Gauge
	refused     prometheus.Counter
	broken      prometheus.Counter
	received    prometheus.Counter
	sent        prometheus.Counter
	inFlight    prometheus.Gauge
	errors      *prometheus.CounterVec

	took, stage *prometheus.HistogramVec
	byKey       map[int16]*atomic.Pointer[stages]
}

// stages are the parts of a request's time (Kafka's RequestMetrics). They are made when an API is
// first used, as most never are.
type stages struct{ receive, local, wait, send, total prometheus.Observer }

func newMetrics(r prometheus.Registerer, table []api.Entry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kelp", Subsystem: "server", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kelp", Subsystem: "server", Name: name, Help: help})
	}
	m := &metrics{
		connections: gauge("connections", "Open connections."),
		resting:     gauge("connections_at_rest", "Open connections from which nothing has come for a while."),
		refused:     counter("connections_refused_total", "Connections closed because the limit of open ones was reached."),
		broken:      counter("connections_broken_total", "Connections closed because of what the client sent."),
		received:    counter("received_bytes_total", "Bytes of requests."),
		sent:        counter("sent_bytes_total", "Bytes of responses."),
		inFlight:    gauge("bytes_in_flight", "Bytes of requests that are not answered yet."),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "kelp", Subsystem: "server", Name: "failed_requests_total", Help: "Requests that failed as a whole, by API.",
		}, []string{"api"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "kelp", Subsystem: "server", Name: "request_seconds",
			Help:    "Time from a request's last byte to its response being written, waits included, by API.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"api"}),
		stage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "kelp", Subsystem: "server", Name: "stage_seconds",
			Help: "Parts of a request's time, by API: receive (its bytes arrive, or wait for room in the memory budget), local (it is checked and " +
				"handed over), wait (for the disk, more records, other members, or replies before it), send (its response is made and written).",
			Buckets: []float64{.00001, .00005, .00025, .001, .005, .025, .1, .5, 2.5, 10},
		}, []string{"api", "stage"}),
		byKey: map[int16]*atomic.Pointer[stages]{},
	}
	for _, e := range table {
		m.byKey[e.Key.Int16()] = new(atomic.Pointer[stages])
	}
	if r != nil {
		r.MustRegister(m.connections, m.resting, m.refused, m.broken, m.received, m.sent, m.inFlight, m.took, m.stage, m.errors)
	}
	return m
}

// stagesOf gives the histograms of a key in the table.
func (m *metrics) stagesOf(key int16) *stages {
	p := m.byKey[key]
	if s := p.Load(); s != nil {
		return s
	}
	name := kmsg.NameForKey(key)
	s := &stages{
		receive: m.stage.WithLabelValues(name, "receive"), local: m.stage.WithLabelValues(name, "local"),
		wait: m.stage.WithLabelValues(name, "wait"), send: m.stage.WithLabelValues(name, "send"), total: m.took.WithLabelValues(name),
	}
	p.Store(s)
	return s
}
