package validate

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meteredTopics is how many topics have metrics of their own.
const (
	meteredTopics = 1000
	otherTopics   = "(other)"
)

// metrics of a validator.
type metrics struct {
	records *prometheus.CounterVec
	batches *prometheus.CounterVec
	lookups *prometheus.CounterVec
	seconds prometheus.Histogram

	mu     sync.Mutex // guards topics
	topics map[string]bool
}

func newMetrics(r prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "kelp", Subsystem: "schema_validation", Name: name, Help: help}
	}
	m := &metrics{
		records: prometheus.NewCounterVec(opts("records_total", "Keys and values of produced records that were judged, by outcome: valid, "+
			"null, or what is wrong. Topics beyond the first 1000 are counted together."), []string{"topic", "outcome"}),
		batches: prometheus.NewCounterVec(opts("refused_batches_total", "Batches that were refused: invalid (INVALID_RECORD) or undecidable, "+
			"as the registry did not answer (NOT_ENOUGH_REPLICAS)."), []string{"topic", "why"}),
		lookups: prometheus.NewCounterVec(opts("lookups_total", "Questions to the schema registry, by answer: usable, refused, unavailable."),
			[]string{"answer"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "kelp", Subsystem: "schema_validation", Name: "lookup_seconds", Help: "How long a question to the schema registry took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		topics: map[string]bool{},
	}
	if r != nil {
		r.MustRegister(m.records, m.batches, m.lookups, m.seconds)
	}
	return m
}

// label is the topic's name, for the first of them.
func (m *metrics) label(topic string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.topics[topic] {
		if len(m.topics) >= meteredTopics {
			return otherTopics
		}
		m.topics[topic] = true
	}
	return topic
}

func (m *metrics) forget(topic string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.topics[topic] {
		delete(m.topics, topic)
		m.records.DeletePartialMatch(prometheus.Labels{"topic": topic})
		m.batches.DeletePartialMatch(prometheus.Labels{"topic": topic})
	}
}

func (m *metrics) refused(topic string) { m.batches.WithLabelValues(m.label(topic), "invalid").Inc() }

func (m *metrics) undecidable(topic string) {
	m.batches.WithLabelValues(m.label(topic), "undecidable").Inc()
}

func (m *metrics) lookedUp(a answer, took time.Duration) {
	word := "usable"
	switch {
	case a.refusal != nil:
		word = "refused"
	case a.unavailable != nil:
		word = "unavailable"
	}
	m.lookups.WithLabelValues(word).Inc()
	m.seconds.Observe(took.Seconds())
}

// tally counts the judgements of one batch.
type tally struct {
	valid, nulls int
	wrong        map[reason]int
}

func (t *tally) bad(why reason) {
	if t.wrong == nil {
		t.wrong = map[reason]int{}
	}
	t.wrong[why]++
}

// sum adds them to the metrics.
func (t *tally) sum(m *metrics, topic string) {
	topic = m.label(topic)
	if t.valid > 0 {
		m.records.WithLabelValues(topic, "valid").Add(float64(t.valid))
	}
	if t.nulls > 0 {
		m.records.WithLabelValues(topic, "null").Add(float64(t.nulls))
	}
	for why, n := range t.wrong {
		m.records.WithLabelValues(topic, string(why)).Add(float64(n))
	}
}
