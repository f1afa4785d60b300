package api

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/batch"
	"kelp/internal/cluster"
)

const (
	// meteredTopics is how many topics have metrics of their own.
	meteredTopics = 1000
	// otherTopics is the label of all others.
	otherTopics = "(other)"
)

// meters count what goes in and out of each topic, as Kafka's BrokerTopicMetrics do.
type meters struct {
	bytesIn, recordsIn, bytesOut *prometheus.CounterVec
	failedIn, failedOut          *prometheus.CounterVec

	byID sync.Map // topic id -> *meter

	mu    sync.Mutex // guards named
	named int        // topics with a label of their own
}

// meter is the counters of one topic.
type meter struct {
	name                                              string
	bytesIn, recordsIn, bytesOut, failedIn, failedOut prometheus.Counter
}

func newMeters(r prometheus.Registerer) *meters {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "kelp", Subsystem: "topic", Name: name, Help: help + " Topics beyond the first 1000 are counted together.",
		}, []string{"topic"})
	}
	m := &meters{
		bytesIn:   counter("bytes_in_total", "Bytes of record batches that producers sent and that were taken in (BytesInPerSec)."),
		recordsIn: counter("records_in_total", "Records in batches that producers sent and that were taken in (MessagesInPerSec)."),
		bytesOut:  counter("bytes_out_total", "Bytes of record batches that consumers were given (BytesOutPerSec)."),
		failedIn:  counter("failed_produce_total", "Batches that were refused (FailedProduceRequestsPerSec)."),
		failedOut: counter("failed_fetch_total", "Reads of a partition that were refused (FailedFetchRequestsPerSec)."),
	}
	if r != nil {
		r.MustRegister(m.bytesIn, m.recordsIn, m.bytesOut, m.failedIn, m.failedOut)
	}
	return m
}

// of gives the counters of a topic.
func (m *meters) of(t *cluster.Topic) *meter {
	if known, ok := m.byID.Load(t.ID); ok {
		return known.(*meter)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.byID.Load(t.ID); ok {
		return known.(*meter)
	}
	name := t.Name
	if m.named >= meteredTopics {
		name = otherTopics
	} else {
		m.named++
	}
	one := &meter{
		name: name, bytesIn: m.bytesIn.WithLabelValues(name), recordsIn: m.recordsIn.WithLabelValues(name),
		bytesOut: m.bytesOut.WithLabelValues(name), failedIn: m.failedIn.WithLabelValues(name), failedOut: m.failedOut.WithLabelValues(name),
	}
	m.byID.Store(t.ID, one)
	return one
}

// forget lets the counters of a deleted topic go.
func (m *meters) forget(t cluster.Topic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.byID.LoadAndDelete(t.ID)
	if !ok || known.(*meter).name == otherTopics {
		return
	}
	m.named--
	for _, v := range []*prometheus.CounterVec{m.bytesIn, m.recordsIn, m.bytesOut, m.failedIn, m.failedOut} {
		v.DeleteLabelValues(known.(*meter).name)
	}
}

// meter gives the counters of what a request names, nil when it is unknown.
func (h *records) meter(name string, id [16]byte) *meter {
	img := h.catalog.Image()
	known, ok := img.ByName[name]
	if id != [16]byte{} {
		known, ok = img.ByID[id]
	}
	if !ok {
		return nil
	}
	return h.meters.of(&known)
}

// produced counts a batch of a producer.
func (h *records) produced(name string, id [16]byte, b []byte, taken bool) {
	m := h.meter(name, id)
	switch {
	case m == nil:
	case !taken:
		m.failedIn.Inc()
	default:
		m.bytesIn.Add(float64(len(b)))
		if head, err := batch.ReadHeader(b); err == nil {
			m.recordsIn.Add(float64(head.Count))
		}
	}
}

// given counts what a consumer gets of a partition.
func (h *records) given(p *readPart) {
	n := p.size()
	if n == 0 && p.answer.ErrorCode == 0 {
		return
	}
	switch m := h.meter(p.want.topic, p.want.id); {
	case m == nil:
	case p.answer.ErrorCode != 0:
		m.failedOut.Inc()
	default:
		m.bytesOut.Add(float64(n))
	}
}

// dropped lets the counters of a topic go with it.
func (h *records) dropped(drop func(context.Context, cluster.Topic)) func(context.Context, cluster.Topic) {
	return func(ctx context.Context, t cluster.Topic) {
		h.meters.forget(t)
		if h.validator != nil {
			h.validator.Forget(t)
		}
		drop(ctx, t)
	}
}
