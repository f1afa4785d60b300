package seaweedmq

import (
	"errors"
	"testing"
	"time"

	"kelp/internal/cluster"
)

func TestRecordsThatDoNotArriveAreNoticed(t *testing.T) {
	at := time.UnixMilli(0)
	m := moving{limit: 30 * time.Second}
	f := func(after time.Duration, waiting int, next int64, stalled bool) {
		t.Helper()
		at = at.Add(after)
		if err := m.check(waiting, next, at); errors.Is(err, errStalled) != stalled {
			t.Errorf("%d wait from %d on at %s: %v", waiting, next, at, err)
		}
	}
	f(0, 5, 1, false)
	f(29*time.Second, 5, 1, false)
	f(0, 4, 2, false)
	f(29*time.Second, 9, 2, false)
	f(time.Second, 9, 2, true)
	f(0, 0, 11, false)
	f(time.Hour, 0, 11, false)
	f(0, 1, 11, false)
	m.limit = 0
	f(time.Hour, 1, 11, false)
}

func TestTheAgentIsForStructuredTopicsOfOnePartition(t *testing.T) {
	f := func(agent string, mode Mode, partitions int32, want string) {
		t.Helper()
		x := &mirrored{m: &Mirror{o: Options{Agent: agent}}, mode: mode, topic: cluster.Topic{Partitions: partitions}}
		if got := x.transport(); got != want || (x.stallLimit() > 0) != (want == "agent") {
			t.Errorf("%q %s %d: %s, %s", agent, mode, partitions, got, x.stallLimit())
		}
	}
	f("a:1", Structured, 1, "agent")
	f("a:1", Structured, 2, "broker")
	f("a:1", Raw, 1, "broker")
	f("", Structured, 1, "broker")
}
