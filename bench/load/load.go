// Package load holds the scenarios of records: producing, consuming, latency, small requests and
// many partitions.
package load

import (
	"slices"
	"time"

	"kelp/bench/turns"
)

// Size scales the loads.
type Size struct {
	WarmBytes  int64 // produced before anything is measured
	Bytes      int64 // produced while measured
	Duration   time.Duration
	Partitions []int
	FullBytes  int64 // that the start with many partitions finds
}

// Scenarios of this package.
func Scenarios(s Size) []turns.Scenario {
	whole := int64(producers * bareBatchBytes) // so that every load writes exactly what it says
	s.Bytes, s.WarmBytes = max(s.Bytes/whole, 1)*whole, max(s.WarmBytes/whole, 1)*whole
	return slices.Concat(
		[]turns.Scenario{start()}, produceAll(s), []turns.Scenario{produceBare(s), consumeBare(s), consumeFranz(s), latency(s), latencyBare(s), requests(s)},
		partitions(s), []turns.Scenario{startFull(s), validation(s)},
	)
}
