package seaweedmq

// A message's timestamp in SeaweedMQ carries its offset in Kafka, which plain bytes have no other place
// for. Brokers keep a timestamp as it is while timestamps grow:
//
//	ts_ns = milliseconds of our clock × 1,000,000 + offset mod 1,000,000
//
// So a partition's offsets are told apart within half a million of where they are expected.
const stampSpan = 1_000_000

// stamps gives timestamps that only grow.
type stamps struct{ last int64 }

// next is the stamp of an offset that is published now.
func (s *stamps) next(nowMs, offset int64) int64 {
	ts := max(nowMs, s.last/stampSpan)*stampSpan + offset%stampSpan
	if ts <= s.last {
		ts += stampSpan
	}
	s.last = ts
	return ts
}

// offsetOf gives the offset that a stamp was made for, if it is less than half a span from near.
func offsetOf(stamp, near int64) int64 {
	low := near - stampSpan/2
	gap := (stamp - low) % stampSpan
	if gap < 0 {
		gap += stampSpan
	}
	return low + gap
}
