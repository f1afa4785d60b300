package embedded

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics say where time and bytes go. Durations are seconds, sizes bytes.
type metrics struct {
	wait, write, sync, groups, settle                    prometheus.Histogram
	bytes, blocked, failures, settled, freed, damaged    prometheus.Counter
	readMemory, readFile, readCopied, readBlocks, sealed prometheus.Counter
	all                                                  []prometheus.Collector
}

var seconds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}

func newMetrics(r prometheus.Registerer, s *Store) *metrics {
	m := &metrics{}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kelp", Subsystem: "log", Name: name, Help: help})
		m.all = append(m.all, c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kelp", Subsystem: "log", Name: name, Help: help, Buckets: buckets})
		m.all = append(m.all, h)
		return h
	}
	gauge := func(name, help string, value func() float64) {
		m.all = append(m.all, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "kelp", Subsystem: "log", Name: name, Help: help}, value))
	}
	m.wait = histogram("append_seconds", "Time from an append's place in the queue until it is acknowledged.", seconds)
	m.write = histogram("write_seconds", "Time of writing one group of appends to the journal, without its sync.", seconds)
	m.sync = histogram("sync_seconds", "Time of one sync of the journal; it serves every group written before it.", seconds)
	m.groups = histogram("group_items", "Appends and other entries that one write of the journal holds.",
		prometheus.ExponentialBuckets(1, 4, 9))
	m.settle = histogram("settle_seconds", "Time of packing the live batches of journal files into one new file.",
		[]float64{.01, .1, .5, 1, 5, 30, 120})
	m.bytes = counter("written_bytes_total", "Bytes of groups written to the journal.")
	m.blocked = counter("appends_blocked_total", "Times an append had to wait because too much was pending.")
	m.failures = counter("failures_total", "Times writing had to stop: a failed write or sync, or no room for a further file.")
	m.settled = counter("settled_bytes_total", "Bytes of batches that were packed into new files.")
	m.freed = counter("freed_files_total", "Data files that were removed because nothing live was in them.")
	m.damaged = counter("damage_total", "Times damaged data was found: an index, a checkpoint, a batch or a chunk.")
	m.readMemory = counter("reads_memory_total", "Reads served from the newest batches in memory.")
	m.readCopied = counter("reads_copied_total", "Reads of files that were small or scattered and went through memory.")
	m.readFile = counter("reads_file_total", "Reads served as sections of files, by sendfile where the connection allows it.")
	m.readBlocks = counter("index_loads_total", "Index blocks that had to be read because they were not in memory.")
	m.sealed = counter("sealed_files_total", "Journal files that were finished and got their index.")
	gauge("pending_bytes", "Bytes of appends that are not acknowledged yet.", func() float64 {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return float64(s.queue.pending)
	})
	gauge("files", "Data files.", func() float64 {
		s.filesMu.RLock()
		defer s.filesMu.RUnlock()
		return float64(len(s.files))
	})
	gauge("open_files", "Data files that are open.", func() float64 {
		s.handles.mu.Lock()
		defer s.handles.mu.Unlock()
		return float64(s.handles.open)
	})
	if r != nil {
		r.MustRegister(m.all...)
	}
	return m
}

// damage logs and counts what was found damaged.
func (s *Store) damage(what string, args ...any) {
	s.m.damaged.Inc()
	s.damageCount.Add(1)
	s.o.Logger.Error(what, args...)
}
