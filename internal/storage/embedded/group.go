package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"kelp/internal/storage"
)

// writer is the state of the goroutine that writes the journal.
type writer struct {
	s    *Store
	file *file // written to; nil when there is none
	pos  int64
	seq  uint64 // of the newest chunk
	slab *slab  // where the next group's table goes
	bufs [][]byte

	fresh bool  // nothing lies in the file yet, not even its header
	old   *file // the file before
}

// roll is the change from one journal file to the next; old is nil after a start.
type roll struct{ old, next *file }

var errNoNext = fmt.Errorf("%w: no room for another log file", storage.ErrUnavailable)

// form refuses what must not enter and makes a group of the rest, partition by partition so that
// batches of one lie side by side; nil when nothing is left.
func (w *writer) form(ops []*op) *group {
	slices.SortStableFunc(ops, func(a, b *op) int { return cmp.Compare(a.st.number, b.st.number) })
	nowMs := time.Now().UnixMilli()
	var kept, refused []*op
	for _, o := range ops {
		if o.err = w.refuse(o, nowMs); o.err != nil {
			refused = append(refused, o)
			continue
		}
		kept = append(kept, o)
	}
	bytes := int64(0)
	for _, o := range refused {
		bytes += o.bytes()
		w.s.finish(o)
	}
	w.s.queue.release(bytes, len(refused))
	if len(kept) == 0 {
		return nil
	}
	g := &group{ops: kept, header: chunkHeader{table: chunkHeaderBytes + len(kept)*itemBytes, items: len(kept), appendedMs: nowMs}}
	for _, o := range kept {
		g.header.payload += int64(len(o.payload))
	}
	return g
}

// refuse says why an op must not enter the journal, and whether its batch begins a segment.
func (w *writer) refuse(o *op, nowMs int64) error {
	o.st.mu.Lock()
	defer o.st.mu.Unlock()
	switch {
	case o.st.gone && o.item.kind != kindDelete:
		return fmt.Errorf("partition %s: %w", o.st.id, storage.ErrNotFound)
	case o.log == nil:
		return nil
	case o.st.owner != o.log:
		return fmt.Errorf("partition %s: %w", o.st.id, storage.ErrFenced)
	case o.log.failed.Load():
		return fmt.Errorf("partition %s: %w: an earlier append failed", o.st.id, storage.ErrUnavailable)
	}
	if o.st.active.begins(&o.item, nowMs, o.st.settings, w.s.o.SegmentBytes) {
		o.item.flags |= flagSegment
	}
	return nil
}

// put gives the group its place and writes it: the table and small payloads from the slab, large
// ones from where the caller has them.
func (w *writer) put(g *group) error {
	if err := w.place(g); err != nil {
		return err
	}
	w.layOut(g)
	handle, err := w.s.handles.pin(g.file)
	if err != nil {
		return err
	}
	defer w.s.handles.unpin(g.file)
	if g.first != nil {
		if err := w.head(g, handle.WriteAt); err != nil {
			return err
		}
	}
	if len(w.bufs) == 1 {
		_, err = handle.WriteAt(w.bufs[0], g.pos)
	} else {
		err = handle.WriteBuffers(w.bufs, g.pos)
	}
	clear(w.bufs)
	if err != nil {
		return err
	}
	w.pos += g.header.size()
	w.seq = g.header.seq
	w.fresh = false
	return nil
}

// head writes the header of a file whose first group is g.
func (w *writer) head(g *group, writeAt func([]byte, int64) (int, error)) error {
	h := fileHeader{kind: journalFile, seq: g.file.seq, firstChunk: g.header.seq}
	_, err := writeAt(h.encode(), 0)
	return err
}

// place chooses the file, a new one when this one is full.
func (w *writer) place(g *group) error {
	if w.full(g) {
		next, err := w.s.nextFile()
		switch {
		case err == nil:
			w.old, w.file, w.pos, w.fresh = w.file, next, fileHeaderBytes, true
		case w.file == nil || w.pos+g.header.size() > w.limit(g):
			return errors.Join(errNoNext, err)
		default:
			w.s.rollNow.Store(true) // it was only asked for
		}
	}
	if w.fresh {
		g.first = &roll{old: w.old, next: w.file}
	}
	g.file, g.pos = w.file, w.pos
	g.header.seq, g.header.file, g.header.synced = w.seq+1, w.file.seq, w.s.synced.Load()
	return nil
}

func (w *writer) full(g *group) bool {
	if w.file == nil {
		return true
	}
	used := w.pos > fileHeaderBytes
	return used && (w.pos+g.header.size() > w.limit(g) || w.s.rollNow.Swap(false))
}

// limit is where the file ends for a group: what gives space back may use the reserve.
func (w *writer) limit(g *group) int64 {
	if slices.ContainsFunc(g.ops, func(o *op) bool { return !o.needed() }) {
		return w.file.limit
	}
	return w.file.limit + reserveBytes
}

// layOut copies table and small payloads into the slab and lists what is to be written.
func (w *writer) layOut(g *group) {
	need := g.header.table
	for _, o := range g.ops {
		if len(o.payload) <= copyBelow {
			need += len(o.payload)
		}
	}
	if w.slab == nil || w.slab.used+need > len(w.slab.buf) {
		if w.slab != nil {
			w.slab.unpin()
		}
		w.slab = newSlab(need)
	}
	g.slab = w.slab
	g.slab.pins.Add(1)
	start := w.slab.used
	at, pos := start+g.header.table, g.pos+int64(g.header.table)
	w.bufs = w.bufs[:0]
	from := start
	for _, o := range g.ops {
		o.item.size = uint32(len(o.payload))
		o.pos, o.off = pos, at
		pos += int64(len(o.payload))
		if len(o.payload) <= copyBelow {
			at += copy(w.slab.buf[at:], o.payload)
			continue
		}
		o.off = -1
		if at > from {
			w.bufs = append(w.bufs, w.slab.buf[from:at])
		}
		w.bufs = append(w.bufs, o.payload)
		from = at
	}
	if at > from {
		w.bufs = append(w.bufs, w.slab.buf[from:at])
	}
	w.slab.used = at
	g.header.encode(w.slab.buf[start:], func(yield func(*item) bool) {
		for _, o := range g.ops {
			if !yield(&o.item) {
				return
			}
		}
	})
}

// refuseBatches fails the batches of a group that has no room; what gives space back is tried again
// in the end of the file that is kept for it.
func (w *writer) refuseBatches(g *group, err error) {
	q := w.s.queue
	q.mu.Lock()
	if q.full == nil {
		q.full = err
		w.s.o.Logger.Error("there is no room for another log file: appends fail until there is", "error", err)
		w.s.m.failures.Inc()
	}
	q.mu.Unlock()
	signal(w.s.keeper.spares)
	var needed, failed []*op
	for _, o := range g.ops {
		if o.needed() && w.file != nil {
			needed = append(needed, o)
		} else {
			failed = append(failed, o)
		}
	}
	if len(failed) == 0 { // not even the reserve has room
		failed, needed = needed, nil
	}
	w.s.failOps(failed, err)
	if len(needed) > 0 {
		w.commit(needed)
	}
}

// revive goes on after a failure, in a new file whose first chunk takes the place of everything that
// was not acknowledged. It tries until that works; false when the store is closed first.
func (w *writer) revive(failed error) bool {
	q := w.s.queue
	q.mu.Lock()
	for q.syncing || len(q.written) > 0 {
		q.writer.Wait()
	}
	q.mu.Unlock()
	for {
		next, err := w.s.nextFile()
		if err == nil {
			err = w.s.prove(next)
		}
		if err == nil {
			w.abandon(next)
			break
		}
		if !w.s.pause(retryAfter) {
			return false
		}
	}
	w.s.o.Logger.Info("the log can be written again", "after", failed)
	q.mu.Lock()
	q.failed = nil
	q.mu.Unlock()
	return true
}

// abandon leaves the file at its last acknowledged chunk and goes on in next. A file in which
// nothing was acknowledged goes.
func (w *writer) abandon(next *file) {
	old := w.file
	if old != nil && (w.fresh || w.s.chunks(old) == 0) {
		w.s.handles.unpin(old)
		w.s.discard(old)
		old = w.old
	}
	w.old, w.file, w.pos, w.fresh = old, next, fileHeaderBytes, true
	w.seq = w.s.applied.Load()
	w.s.doubt.endsWith(next)
}
