package embedded

import "github.com/prometheus/client_golang/prometheus"

// metrics tell of the journal. Durations are seconds, sizes bytes.
type metrics struct {
	commits, appends, bytes prometheus.Counter
	seconds                 prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kelp", Subsystem: "journal", Name: name, Help: help})
	}
	m := &metrics{
		commits: counter("commits_total", "Writes of the journal, each with its sync; many appends share one."),
		appends: counter("appends_total", "Batches and other entries written to the journal."),
		bytes:   counter("written_bytes_total", "Bytes written to the journal."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "kelp", Subsystem: "journal", Name: "commit_seconds", Help: "Time of one write with its sync.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}),
	}
	if r != nil {
		r.MustRegister(m.commits, m.appends, m.bytes, m.seconds)
	}
	return m
}
