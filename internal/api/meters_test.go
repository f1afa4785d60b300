package api

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kelp/internal/cluster"
)

func TestTopicMetricsAreBoundedAndGoWithTheirTopic(t *testing.T) {
	m := newMeters(prometheus.NewRegistry())
	topic := func(i int) *cluster.Topic {
		return &cluster.Topic{ID: [16]byte{1, byte(i >> 8), byte(i)}, Name: fmt.Sprintf("t%d", i)}
	}
	for i := range meteredTopics + 50 {
		m.of(topic(i)).bytesIn.Add(10)
	}
	if n := testutil.CollectAndCount(m.bytesIn); n != meteredTopics+1 {
		t.Errorf("%d series, want %d and one for the others", n, meteredTopics)
	}
	if got := testutil.ToFloat64(m.bytesIn.WithLabelValues(otherTopics)); got != 500 {
		t.Errorf("the others have %v bytes", got)
	}
	if first := m.of(topic(3)); first != m.of(topic(3)) {
		t.Error("a topic has two counters")
	}
	for i := range meteredTopics + 50 {
		m.forget(*topic(i))
		m.forget(*topic(i))
	}
	if n := testutil.CollectAndCount(m.bytesIn); n != 1 {
		t.Errorf("%d series are left, want that of the others", n)
	}
	m.of(topic(7)).bytesIn.Add(1)
	if got := testutil.ToFloat64(m.bytesIn.WithLabelValues("t7")); got != 1 {
		t.Errorf("a topic that came again has %v", got)
	}
}
