package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/cluster"
)

// A topic that asks for a mirror which keeps up is refused records beyond its limit, also before the mirror follows it.
func TestATopicWaitsForItsMirror(t *testing.T) {
	v := openValidated(t, cluster.Configs{"kelp.seaweedmq.publish": "raw", "kelp.seaweedmq.max.lag.records": "2"})
	lag := int64(-1)
	v.h.mirrorLag = func([16]byte, int32) int64 { return lag }
	refused := func(want bool) {
		t.Helper()
		answer := answered(t, v.send(t, from{conn: 1, producer: -1, sequence: -1}, nil))
		if got := answer.ErrorCode == kerr.NotEnoughReplicas.Code; got != want {
			t.Errorf("lag %d: %v", lag, kerr.ErrorForCode(answer.ErrorCode))
		}
	}
	for range 3 {
		refused(false)
	}
	refused(true)
	lag = 2
	refused(false)
	lag = 3
	refused(true)
}
