package topic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/storage"
)

// Limits of the cleaner.
const (
	cleanerReadBytes = 1 << 20          // read at a time
	cleanerRetry     = 10 * time.Minute // until a partition that could not be cleaned is tried again
	leastDedupeBytes = 1 << 20
)

// CleanerOptions of a cleaner.
type CleanerOptions struct {
	// DedupeBytes bounds the memory for the keys of one pass (log.cleaner.dedupe.buffer.size). Keys
	// that do not fit are left to a further pass.
	DedupeBytes int
	// BytesPerSecond bounds reading and writing together (log.cleaner.io.max.bytes.per.second); 0 is
	// no limit.
	BytesPerSecond int64
	Metrics        prometheus.Registerer // nil keeps them to itself
	Note           func(message string, args ...any)
}

// Cleaner compacts the partitions of a set whose topics say so (cleanup.policy=compact): of each key
// it keeps the newest record, as Kafka's LogCleaner does. One partition is cleaned at a time, the
// dirtiest first, beside produce and fetch: it holds no lock of a partition while it works.
type Cleaner struct {
	set *Set
	o   CleanerOptions
	m   *cleanerMetrics

	mu   sync.Mutex                      // guards what follows
	left map[storage.Partition]time.Time // could not be cleaned, and when
}

// NewCleaner makes a cleaner that waits for Run.
func NewCleaner(set *Set, o CleanerOptions) *Cleaner {
	o.DedupeBytes = max(o.DedupeBytes, leastDedupeBytes)
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	return &Cleaner{set: set, o: o, m: newCleanerMetrics(o.Metrics), left: map[storage.Partition]time.Time{}}
}

// Run cleans what is dirty enough and returns when nothing is, or when the context ends.
func (c *Cleaner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		id, d := c.dirtiest(ctx)
		if d == nil {
			return
		}
		began := time.Now()
		s, err := c.clean(ctx, d)
		c.m.record(s, time.Since(began))
		if err != nil && ctx.Err() == nil {
			c.leave(id, d.p.o.Now(), err)
		}
	}
}

// dirtiest gives the partition with the largest share of dirty bytes among those to be cleaned.
func (c *Cleaner) dirtiest(ctx context.Context) (id storage.Partition, worst *dirt) {
	highest := 0.0
	for _, o := range c.set.opened() {
		if ctx.Err() != nil {
			return id, nil
		}
		config := o.p.o.Config()
		if config == nil || !config.Compact || c.waits(o.id, o.p.o.Now()) {
			continue
		}
		d, err := o.p.dirt(ctx)
		if errors.Is(err, errNoCompactor) {
			return id, nil // no partition of this store can be
		}
		if err != nil {
			c.leave(o.id, o.p.o.Now(), err)
			continue
		}
		highest = max(highest, d.ratio())
		if d.due(config) && (worst == nil || d.ratio() > worst.ratio()) {
			id, worst = o.id, d
		}
	}
	c.m.maxDirty.Set(highest)
	return id, worst
}

func (c *Cleaner) waits(id storage.Partition, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, failed := c.left[id]
	if failed && now.Sub(since) >= cleanerRetry {
		delete(c.left, id)
		c.m.uncleanable.Set(float64(len(c.left)))
		failed = false
	}
	return failed
}

// leave sets a partition aside that could not be cleaned, for a while.
func (c *Cleaner) leave(id storage.Partition, now time.Time, err error) {
	if gone(err) {
		return
	}
	c.mu.Lock()
	c.left[id] = now
	c.m.uncleanable.Set(float64(len(c.left)))
	c.mu.Unlock()
	c.o.Note("could not clean a partition; it is left alone for a while", "partition", id.String(), "error", err, "retry_in", cleanerRetry)
}

// errNoRoom says that the keys of a single batch do not fit into the cleaner's memory.
var errNoRoom = errors.New("the keys of one batch do not fit into the cleaner's memory; give it more (--cleaner-dedupe-bytes)")

// pass is one cleaning of one partition.
type pass struct {
	*dirt
	c     *Cleaner
	nowMs int64
	keys  *offsetMap
	end   int64 // offsets below are in keys
	txns  *cleanedTxns
	last  map[int64]lastEntry // of the producers that are alive
	saved int64               // offsets below are described by the saved checkpoint
	// pinned are the keys of the one batch that reaches over the start of the log.
	pinned map[string]bool
	stats  cleanStats
	limit  throttle
}

// cleanStats is what a pass has done.
type cleanStats struct {
	read, written   int64 // bytes, of the pass that rewrites
	indexed         int64 // bytes, of the pass that looks for keys
	records, kept   int64
	keys, mapBytes  int
	tombstonesGone  int64
	batchesHollowed int64
}

func (c *Cleaner) clean(ctx context.Context, d *dirt) (cleanStats, error) {
	now := d.p.o.Now()
	s := &pass{dirt: d, c: c, nowMs: now.UnixMilli(), keys: newOffsetMap(c.o.DedupeBytes), limit: throttle{perSecond: c.o.BytesPerSecond}}
	if err := s.index(ctx); err != nil {
		return s.stats, err
	}
	if s.end <= d.from {
		return s.stats, errNoRoom
	}
	s.stats.keys, s.stats.mapBytes = s.keys.keys, s.keys.bytes
	s.txns = newCleanedTxns(d.p.Aborted(0, s.end))
	s.last, s.saved = d.p.lastEntries()
	for _, g := range d.groups(s.end) {
		if err := s.rewrite(ctx, g); err != nil {
			if d.p.LogStartOffset() != d.start {
				err = nil // records were deleted meanwhile: what is left is measured anew
			}
			return s.stats, err
		}
	}
	return s.stats, d.p.cleanedUpTo(ctx, s.end, s.txns.dead)
}

// throttle spreads bytes over time.
type throttle struct {
	perSecond int64
	began     time.Time
	bytes     int64
}

func (t *throttle) wait(ctx context.Context, n int) error {
	if t.perSecond <= 0 {
		return ctx.Err()
	}
	if t.began.IsZero() {
		t.began = time.Now()
	}
	t.bytes += int64(n)
	due := time.Duration(float64(t.bytes) / float64(t.perSecond) * float64(time.Second))
	ahead := due - time.Since(t.began)
	if ahead <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dirt is what there is to clean in a partition.
type dirt struct {
	p        *Partition
	log      storage.Compactor
	start    int64             // of the log
	segments []storage.Segment // sealed ones, up to where cleaning must end
	from     int64             // first offset not looked at yet
	until    int64             // where cleaning must end
	clean    int64             // bytes
	dirty    int64             // bytes
	lateMs   int64             // how long a record has been waiting beyond max.compaction.lag.ms
	maxBytes int64             // of a segment
}

func (d *dirt) ratio() float64 {
	if d.dirty == 0 {
		return 0
	}
	return float64(d.dirty) / float64(d.clean+d.dirty)
}

// group is a run of segments that becomes one.
type group struct{ from, to int64 }

// groups joins segments below an offset, as many as fit into one again.
func (d *dirt) groups(end int64) []group {
	var all []group
	bytes := int64(0)
	for _, s := range d.segments {
		if s.Base >= end {
			break
		}
		n := len(all)
		if n == 0 || bytes+s.Bytes > d.maxBytes || s.End-all[n-1].from > math.MaxInt32 {
			all = append(all, group{from: s.Base, to: s.End})
			bytes = s.Bytes
			continue
		}
		all[n-1].to, bytes = s.End, bytes+s.Bytes
	}
	return all
}

func (g group) String() string { return fmt.Sprintf("%d to %d", g.from, g.to) }
