package topic

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// cleanerMetrics tell of log compaction. Durations are seconds, sizes bytes.
type cleanerMetrics struct {
	runs, read, written, indexed, records, kept, seconds prometheus.Counter
	maxDirty, uncleanable, mapBytes                      prometheus.Gauge
}

func newCleanerMetrics(r prometheus.Registerer) *cleanerMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kelp", Subsystem: "cleaner", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kelp", Subsystem: "cleaner", Name: name, Help: help})
	}
	m := &cleanerMetrics{
		runs:        counter("runs_total", "Cleanings of a partition."),
		read:        counter("read_bytes_total", "Bytes of batches that were looked at to be kept or dropped."),
		written:     counter("written_bytes_total", "Bytes of batches that were kept; against the bytes read this is what compaction leaves."),
		indexed:     counter("indexed_bytes_total", "Bytes of batches that were read for their keys."),
		records:     counter("records_total", "Records that were looked at."),
		kept:        counter("kept_records_total", "Records that were kept."),
		seconds:     counter("seconds_total", "Time spent cleaning."),
		maxDirty:    gauge("max_dirty_ratio", "Largest share of bytes not yet cleaned among compacted partitions."),
		uncleanable: gauge("uncleanable_partitions", "Partitions that could not be cleaned and are left alone for a while."),
		mapBytes:    gauge("map_bytes", "Memory that the keys of the last cleaning took."),
	}
	if r != nil {
		r.MustRegister(m.runs, m.read, m.written, m.indexed, m.records, m.kept, m.seconds, m.maxDirty, m.uncleanable, m.mapBytes)
	}
	return m
}

func (m *cleanerMetrics) record(s cleanStats, took time.Duration) {
	m.runs.Inc()
	m.read.Add(float64(s.read))
	m.written.Add(float64(s.written))
	m.indexed.Add(float64(s.indexed))
	m.records.Add(float64(s.records))
	m.kept.Add(float64(s.kept))
	m.seconds.Add(took.Seconds())
	m.mapBytes.Set(float64(s.mapBytes))
}
