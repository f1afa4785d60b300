package embedded

import (
	"fmt"
	"slices"
	"sync"

	"kelp/internal/storage"
)

// state is one partition.
type state struct {
	id     storage.Partition
	number uint64 // orders partitions inside a chunk

	mu       sync.RWMutex // guards all below; never held over I/O
	start    int64
	end      int64
	views    []*view // in offset order
	epochs   []storage.EpochStart
	check    checkpoint
	damaged  []offsets // what was acknowledged and cannot be read any more
	owner    *log
	gone     bool // deleted: nothing may enter the journal any more
	inflight int  // appends that have not been applied
	settings storage.Settings
	active   active
	memory   tail
}

// offsets is a range [from, to).
type offsets struct{ from, to int64 }

// checkpoint is where the newest checkpoint lies; file is nil when there is none.
type checkpoint struct {
	file *file
	pos  int64
	size uint32
	crc  uint32
	at   int64
}

// active is the segment that the next batch goes to, as the writer sees it: ahead of what is applied.
type active struct {
	bytes   int64
	firstMs int64 // timestamp of its first batch, append time where that has none
	begun   bool
}

// begins says whether a batch begins a segment, and counts it (Kafka's LogSegment.shouldRoll).
func (a *active) begins(it *item, nowMs int64, s storage.Settings, defaultBytes int64) bool {
	limit := s.SegmentBytes
	if limit <= 0 {
		limit = defaultBytes
	}
	ms := it.maxMs
	if ms < 0 {
		ms = nowMs
	}
	fresh := !a.begun || a.bytes+int64(it.size) > limit || s.SegmentMs > 0 && ms-a.firstMs > s.SegmentMs
	if fresh {
		*a = active{firstMs: ms, begun: true}
	}
	a.bytes += int64(it.size)
	return fresh
}

// reopen sets the active segment from what is applied; the lock is held.
func (st *state) reopen() {
	st.active = active{}
	for i := len(st.views) - 1; i >= 0; i-- {
		v := st.views[i]
		st.active.bytes += v.shown().bytes
		st.active.firstMs = v.firstMs
		if v.begins() {
			st.active.begun = true
			break
		}
	}
}

// add applies a batch; the lock is held.
func (st *state) add(c *pieces, it *item, e entry, appendedMs int64) error {
	if it.base < st.end {
		return fmt.Errorf("%w: batch at %d of %s, which ends at %d", storage.ErrCorrupt, it.base, st.id, st.end)
	}
	if it.prev > st.end {
		st.damaged = append(st.damaged, offsets{st.end, it.prev})
	}
	p := c.take(it, appendedMs)
	if n := len(st.views); n == 0 || st.views[n-1].piece != p { // a new piece, or one whose beginning is trimmed
		st.views = append(st.views, &view{piece: p, from: p.n, to: toEnd})
		p.file.uses.Add(1)
	}
	p.put(e, appendedMs)
	if v := st.views[len(st.views)-1]; !v.whole() {
		v.sum.add(&e)
	}
	p.file.live.Add(int64(e.size))
	p.file.payload.Add(int64(e.size))
	st.end = it.end()
	if n := len(st.epochs); n == 0 || st.epochs[n-1].Epoch < it.epoch {
		st.epochs = append(st.epochs, storage.EpochStart{Epoch: it.epoch, Start: it.base})
	}
	return nil
}

// began notes an owner's epoch; the lock is held.
func (st *state) began(epoch int32) {
	if n := len(st.epochs); n == 0 || st.epochs[n-1].Epoch < epoch {
		st.epochs = append(st.epochs, storage.EpochStart{Epoch: epoch, Start: st.end})
	}
}

// trim moves the start up and lets go what lies wholly before it; the lock is held.
func (st *state) trim(to int64) {
	if to <= st.start {
		return
	}
	st.start, st.end = to, max(st.end, to)
	gone := 0
	for gone < len(st.views) && st.views[gone].shown().end <= to {
		st.views[gone].free()
		gone++
	}
	st.views = slices.Delete(st.views, 0, gone)
	st.damaged = slices.DeleteFunc(st.damaged, func(d offsets) bool { return d.to <= to })
	st.memory.trim(to)
}

// drop lets everything go; the lock is held.
func (st *state) drop() {
	st.gone = true
	for _, v := range st.views {
		v.free()
	}
	st.setCheckpoint(checkpoint{})
	st.views, st.damaged = nil, nil
	st.memory.clear()
}

func (st *state) setCheckpoint(c checkpoint) {
	if old := st.check.file; old != nil {
		old.uses.Add(-1)
		old.live.Add(-int64(st.check.size))
	}
	if st.check = c; c.file != nil {
		c.file.uses.Add(1)
		c.file.live.Add(int64(c.size))
	}
}

// free takes a view off its file's account.
func (v *view) free() {
	v.file.uses.Add(-1)
	v.file.live.Add(-v.shown().bytes)
}

// apply carries out an edit when everything that it takes away is there; otherwise, as when part of
// it was trimmed meanwhile, it changes nothing. Live and on replay the answer is the same.
func (st *state) edit(remove []ref, add []*view) bool {
	first := 0
	if len(remove) > 0 {
		first = slices.IndexFunc(st.views, func(v *view) bool { return v.ref() == remove[0] })
	} else if len(add) > 0 {
		return false
	}
	if first < 0 || first+len(remove) > len(st.views) {
		return false
	}
	for i, r := range remove {
		if st.views[first+i].ref() != r {
			return false
		}
	}
	for _, v := range add {
		v.file.uses.Add(1)
		v.file.live.Add(v.shown().bytes)
	}
	for _, v := range st.views[first : first+len(remove)] {
		v.free()
	}
	st.views = slices.Replace(st.views, first, first+len(remove), add...)
	st.memory.clear()
	return true
}

// viewAt is the index of the first view that ends after an offset; the lock is held.
func (st *state) viewAt(offset int64) int {
	i, _ := slices.BinarySearchFunc(st.views, offset, func(v *view, o int64) int {
		if v.shown().end <= o {
			return -1
		}
		return 1
	})
	return i
}
