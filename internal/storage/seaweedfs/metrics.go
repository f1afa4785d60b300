package seaweedfs

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the store tells of itself.
type metrics struct {
	chunks, bytes, retries, hits, misses, ahead, settled, snapshots prometheus.Counter
	commit                                                          prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kelp_seaweedfs_" + name, Help: help})
	}
	return &metrics{
		chunks:    counter("chunks_total", "Chunks committed in the filer."),
		bytes:     counter("bytes_total", "Payload bytes in committed chunks."),
		retries:   counter("retries_total", "Calls to SeaweedFS that failed and were tried again."),
		hits:      counter("block_hits_total", "Blocks found in memory."),
		misses:    counter("block_misses_total", "Blocks that had to be read from SeaweedFS."),
		ahead:     counter("blocks_ahead_total", "Blocks that were read before a reader asked for them."),
		settled:   counter("settled_bytes_total", "Bytes that moved from chunks into segment files."),
		snapshots: counter("snapshots_total", "Snapshots written."),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kelp_seaweedfs_commit_seconds", Help: "Time to create the entry of a chunk.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
	}
}

// register shows them. It comes last: opening may be tried again, registering may not.
func (m *metrics) register(r prometheus.Registerer) {
	if r != nil {
		r.MustRegister(m.chunks, m.bytes, m.retries, m.hits, m.misses, m.ahead, m.settled, m.snapshots, m.commit)
	}
}
