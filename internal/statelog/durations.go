package statelog

import (
	"slices"
	"time"
)

// Durations is a histogram that a machine keeps as plain data, for whoever shows it.
type Durations struct {
	Bounds []time.Duration // upper ones, ascending
	Counts []uint64        // one more than bounds, for what is above the last
	Sum    time.Duration
	Number uint64
}

// NewDurations makes an empty histogram.
func NewDurations(bounds ...time.Duration) Durations {
	return Durations{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

// Add counts one more.
func (d *Durations) Add(took time.Duration) {
	i, _ := slices.BinarySearch(d.Bounds, took)
	d.Counts[i]++
	d.Sum += took
	d.Number++
}

// Clone gives a copy that later additions do not change.
func (d *Durations) Clone() Durations {
	c := *d
	c.Counts = slices.Clone(d.Counts)
	return c
}

// Cumulative gives for each bound in seconds how many were not longer.
func (d *Durations) Cumulative() map[float64]uint64 {
	out, n := map[float64]uint64{}, uint64(0)
	for i, bound := range d.Bounds {
		n += d.Counts[i]
		out[bound.Seconds()] = n
	}
	return out
}
