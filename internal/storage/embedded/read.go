package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// Limits of one read.
const (
	maxViews    = 64       // views a read looks at
	smallRead   = 32 << 10 // up to this a span is read into memory: a copy costs less than a call for each section
	shortRun    = 16 << 10 // sections shorter than this on average are read into memory as well
	gatherBytes = 1 << 20  // most bytes of such a span
	checkBytes  = 256 << 10
)

// section is a run of bytes in a file.
type section struct {
	file   *file
	handle vfs.File
	pos    int64
	n      int64
}

// looked is a view as one read sees it: its file is pinned.
type looked struct {
	v       *view
	entries []entry // of the piece, nil when they are in its index
	bytes   int64
	handle  vfs.File
}

func (l *log) Read(ctx context.Context, r storage.ReadRange) (storage.Span, error) {
	for {
		span, again, err := l.s.read(l.st, r)
		if !again {
			return span, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// read tries once; again says that what it looked at has been replaced meanwhile.
func (s *Store) read(st *state, r storage.ReadRange) (span storage.Span, again bool, err error) {
	st.mu.RLock()
	start, end := st.start, st.end
	switch {
	case st.gone:
		err = fmt.Errorf("partition %s: %w", st.id, storage.ErrNotFound)
	case r.From < start || r.From > end:
		err = fmt.Errorf("read %s at %d, have %d to %d: %w", st.id, r.From, start, end, storage.ErrOutOfRange)
	}
	if err != nil || r.From == end {
		st.mu.RUnlock()
		return memorySpan{}, false, err
	}
	before, damaged := st.limit(r)
	if damaged {
		st.mu.RUnlock()
		return nil, false, fmt.Errorf("%w: partition %s at offset %d", storage.ErrCorrupt, st.id, r.From)
	}
	r.Before = before
	if m := st.memory.batches; len(m) > 0 && m[0].base <= r.From {
		span := s.fromMemory(m, r)
		st.mu.RUnlock()
		s.m.readMemory.Inc()
		return span, false, nil
	}
	views, err := s.look(st, r)
	st.mu.RUnlock()
	if err != nil {
		return nil, false, s.refine(err, st, r.From)
	}
	defer func() {
		for i := range views {
			s.handles.unpin(views[i].v.file)
		}
	}()
	sections, end, err := s.pick(views, r)
	if err != nil {
		return nil, false, s.refine(err, st, r.From)
	}
	span, err = s.take(sections, end)
	return span, false, err
}

// limit bounds a read before the first damaged offset; damaged says that it would begin there.
func (st *state) limit(r storage.ReadRange) (before int64, damaged bool) {
	before = r.Before
	for _, d := range st.damaged {
		if r.From >= d.from && r.From < d.to {
			return 0, true
		}
		if d.from > r.From && (before <= 0 || d.from < before) {
			before = d.from
		}
	}
	return before, false
}

// refine names where a read failed.
func (s *Store) refine(err error, st *state, from int64) error {
	if errors.Is(err, storage.ErrNotFound) { // its file is missing
		err = fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
	}
	return fmt.Errorf("read %s at %d: %w", st.id, from, err)
}

// look pins the views that the read may need; the partition's lock is held.
func (s *Store) look(st *state, r storage.ReadRange) ([]looked, error) {
	var views []looked
	bytes := int64(0)
	for _, v := range st.views[st.viewAt(r.From):] {
		if len(views) == maxViews || len(views) > 1 && bytes > int64(r.MaxBytes) || r.Before > 0 && v.shown().base >= r.Before {
			break
		}
		handle, err := s.handles.pin(v.file)
		if err != nil {
			if len(views) > 0 {
				break // what lies before it can be served
			}
			return nil, err
		}
		views = append(views, looked{v: v, entries: v.entries, bytes: v.shown().bytes, handle: handle})
		if len(views) > 1 { // the first may be wanted from its end on only
			bytes += v.shown().bytes
		}
	}
	return views, nil
}

// pick gives the sections of whole batches that fit. What is not fresh is checked when it is first
// served; a damaged batch ends the span before it, or is an error when it is the first.
func (s *Store) pick(views []looked, r storage.ReadRange) (sections []section, end int64, err error) {
	n, batches := 0, 0
	for _, l := range views {
		var b *block
		entries := l.entries
		if entries == nil {
			if b, err = s.block(l.v.piece); err != nil {
				break
			}
			entries = b.entries
		}
		shown := l.v.clip(entries)
		for i := at(shown, r.From); i < len(shown); i++ {
			e := &shown[i]
			if r.Before > 0 && e.base >= r.Before || n+int(e.size) > r.MaxBytes && (batches > 0 || !r.AtLeastOne) {
				return sections, end, nil
			}
			if err = s.check(l, b, e, int(l.v.from)+i); err != nil {
				break
			}
			k := len(sections) - 1
			if batches > 0 && n+int(e.size) > gatherBytes && n < len(sections)*shortRun && (k < 0 || !sections[k].next(l.v.file, e)) {
				return sections, end, nil // scattered: it will be read into memory
			}
			if k >= 0 && sections[k].next(l.v.file, e) {
				sections[k].n += int64(e.size)
			} else {
				sections = append(sections, section{file: l.v.file, handle: l.handle, pos: int64(e.pos), n: int64(e.size)})
			}
			n, batches, end = n+int(e.size), batches+1, e.end()
		}
		if err != nil {
			break
		}
	}
	if batches > 0 {
		err = nil
	}
	return sections, end, err
}

// next says whether a batch lies right behind the section.
func (c *section) next(f *file, e *entry) bool { return c.file == f && c.pos+c.n == int64(e.pos) }

var checkBuffers = sync.Pool{New: func() any { b := make([]byte, checkBytes); return &b }}

// check reads a batch that was written by another process and compares its CRC: once while its
// block is in memory, and each time in a file that has no index yet (b is nil).
func (s *Store) check(l looked, b *block, e *entry, i int) error {
	if b == nil && l.v.file.fresh.Load() || b != nil && b.known(i) {
		return nil
	}
	if err := checkPayload(l.handle, int64(e.pos), int64(e.size), e.crc); err != nil {
		if errors.Is(err, storage.ErrCorrupt) {
			s.damage("a batch is damaged: it is not served", "partition", l.v.id, "offset", e.base, "file", l.v.file.name)
		}
		return err
	}
	if b != nil {
		b.mark(i)
	}
	return nil
}

func checkPayload(f vfs.File, pos, n int64, crc uint32) error {
	buf := checkBuffers.Get().(*[]byte)
	defer checkBuffers.Put(buf)
	sum := uint32(0)
	for n > 0 {
		part := (*buf)[:min(n, checkBytes)]
		if err := readFull(f, part, pos); err != nil {
			return err
		}
		sum = updateChecksum(sum, part)
		pos, n = pos+int64(len(part)), n-int64(len(part))
	}
	if sum != crc {
		return fmt.Errorf("%w: a batch does not have the checksum it was written with", storage.ErrCorrupt)
	}
	return nil
}

func (l *log) FindTime(_ context.Context, atLeastMs int64) (int64, error) {
	l.st.mu.RLock()
	start, gone := l.st.start, l.st.gone
	var views []*view
	for _, v := range l.st.views {
		if v.shown().maxMs >= atLeastMs {
			views = append(views, v)
		}
	}
	l.st.mu.RUnlock()
	if gone {
		return 0, fmt.Errorf("partition %s: %w", l.st.id, storage.ErrNotFound)
	}
	for _, v := range views { // but for a first one that is trimmed in part, the first has it
		entries, err := l.s.entries(l.st, v)
		if err != nil {
			return 0, l.s.refine(err, l.st, v.sum.base)
		}
		for i := at(entries, start); i < len(entries); i++ {
			if entries[i].maxMs >= atLeastMs {
				return entries[i].base, nil
			}
		}
	}
	return 0, fmt.Errorf("time %d in %s: %w", atLeastMs, l.st.id, storage.ErrNotFound)
}
