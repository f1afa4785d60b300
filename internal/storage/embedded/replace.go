package embedded

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"kelp/internal/storage"
)

// replaceTries bounds how often a replacement looks again at what it takes the place of.
const replaceTries = 10

// Replace implements storage.Compactor. The new run is written to a file of its own first; one
// entry of the journal then puts it in the place of the old one.
func (l *log) Replace(ctx context.Context, from, to int64, with iter.Seq2[storage.Batch, error]) error {
	l.st.mu.RLock()
	start, end, gone, owner := l.st.start, l.st.end, l.st.gone, l.st.owner
	l.st.mu.RUnlock()
	switch {
	case gone:
		return fmt.Errorf("replace in %s: %w", l.st.id, storage.ErrNotFound)
	case owner != l:
		return fmt.Errorf("replace in %s: %w", l.st.id, storage.ErrFenced)
	case from < start || to > end || from > to:
		return fmt.Errorf("replace %d to %d in %s, have %d to %d: %w", from, to, l.st.id, start, end, storage.ErrOutOfRange)
	}
	// What is appended from here on lies in other pieces than what is replaced.
	if err := l.s.do(ctx, l.st, item{kind: kindBreak, id: l.st.id}, nil); err != nil {
		return err
	}
	p, err := l.s.newPacker()
	if err != nil {
		return err
	}
	if err := l.pack(p, from, to, with); err != nil {
		p.abandon()
		return fmt.Errorf("replace in %s: %w", l.st.id, err)
	}
	defer p.done()
	// A caller that leaves while the edit is on its way must not end the file's protection: the edit comes all the same.
	ctx = context.WithoutCancel(ctx)
	for range replaceTries {
		e, err := l.replacement(from, to, whole(p.f.pieces.all))
		if err != nil || len(e.remove) == 0 && len(e.add) == 0 {
			return err
		}
		err = l.s.do(ctx, l.st, item{kind: kindEdit, id: l.st.id}, e.encode())
		if !errors.Is(err, errStale) {
			return err
		}
	}
	return fmt.Errorf("replace in %s: %w", l.st.id, errStale)
}

// replacement is the edit that puts parts in the place of [from, to) as the log is now. Views that
// reach over an end of the range stay in part.
func (l *log) replacement(from, to int64, with []part) (*edit, error) {
	l.st.mu.RLock()
	var views []*view
	for _, v := range l.st.views[l.st.viewAt(from):] {
		if v.shown().base >= to {
			break
		}
		views = append(views, v)
	}
	l.st.mu.RUnlock()
	e := &edit{}
	var before, after []part
	for i, v := range views {
		e.remove = append(e.remove, v.ref())
		sum := *v.shown()
		if sum.base >= from && sum.end <= to {
			continue
		}
		entries, err := l.s.entries(l.st, v)
		if err != nil {
			return nil, err
		}
		low, high := 0, len(entries)
		for low < len(entries) && entries[low].base < from {
			low++
		}
		for high > low && entries[high-1].base >= to {
			high--
		}
		if low > 0 && i == 0 {
			before = append(before, v.split(0, low, entries))
		}
		if high < len(entries) && i == len(views)-1 {
			after = append(after, v.split(high, len(entries), entries))
		}
	}
	e.add = append(append(before, with...), after...)
	if len(e.remove) == 0 && len(e.add) > 0 {
		return nil, fmt.Errorf("replace %d to %d: %w: there are no batches", from, to, storage.ErrOutOfRange)
	}
	return e, nil
}

// split is the part of a view between two of its entries.
func (v *view) split(from, to int, entries []entry) part {
	return part{ref{v.file.seq, v.number, v.from + int32(from), v.from + int32(to)}, summarize(entries[from:to])}
}

// begins says whether the view's first batch begins a segment.
func (v *view) begins() bool { return v.segment && v.from == 0 }
