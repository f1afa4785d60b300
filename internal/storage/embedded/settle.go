package embedded

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"kelp/internal/storage"
)

// Limits of settling.
const (
	shortRunBytes = 64 << 10 // a file whose runs are shorter than this on average is scattered
	settleFiles   = 8        // that many scattered or small files are packed into one
	deadShare     = 4        // a file of which more than one part in this many is dead is packed again
)

// sources are the files to pack together, none when there is nothing to do: files with much that is
// dead at once, scattered and small ones when there are enough of them.
func (s *Store) sources() []*file {
	s.filesMu.RLock()
	defer s.filesMu.RUnlock()
	var wasted, scattered, small []*file
	for _, f := range s.files {
		if !f.sealed || f.settling || f.damaged || f.uses.Load() == 0 {
			continue
		}
		live := f.live.Load()
		dead := f.payload.Load() - live
		switch {
		case dead*deadShare > dead+live:
			wasted = append(wasted, f)
		case f.kind == journalFile && f.runs > settleFiles && live/f.runs < shortRunBytes && live > s.o.FileBytes/4:
			scattered = append(scattered, f)
		case f.dataEnd < s.o.FileBytes/4:
			small = append(small, f)
		}
	}
	chosen := wasted
	if len(chosen) == 0 && len(scattered) >= settleFiles {
		chosen = scattered
	}
	if len(chosen) == 0 && len(small) >= settleFiles {
		chosen = small
	}
	slices.SortFunc(chosen, func(a, b *file) int { return cmp.Compare(a.seq, b.seq) })
	return chosen[:min(len(chosen), settleFiles)]
}

// countRuns counts the stretches of batches that lie side by side.
func (f *file) countRuns() {
	f.runs = 0
	for _, p := range f.pieces.all {
		end := uint32(0)
		for i := range p.entries {
			if p.entries[i].pos != end {
				f.runs++
			}
			end = p.entries[i].pos + p.entries[i].size
		}
	}
}

// settler packs files until the store is closed.
func (s *Store) settler() {
	for {
		select {
		case <-s.keeper.end:
			return
		case <-s.keeper.packing:
		}
		for !s.keeper.stopping() && s.Failed() == nil {
			from := s.sources()
			if len(from) == 0 || !s.settle(from) {
				break
			}
		}
	}
}

// settle packs what is live in the files into a new one; false when that cannot be done now.
func (s *Store) settle(from []*file) bool {
	began := time.Now()
	p, err := s.newPacker()
	if err != nil {
		s.o.Logger.Warn("could not pack log files", "error", err)
		return false
	}
	var edits []*op
	chosen := map[*file]bool{}
	for _, f := range from {
		chosen[f] = true
	}
	for _, st := range s.ordered() {
		if err = s.settleState(p, st, chosen, &edits); err != nil || s.keeper.stopping() {
			break
		}
	}
	if err == nil && !s.keeper.stopping() {
		err = p.finish()
	} else {
		err = errors.Join(err, storage.ErrClosed)
	}
	if err != nil {
		p.abandon()
		if !s.keeper.stopping() {
			s.o.Logger.Warn("could not pack log files", "error", err)
		}
		return false
	}
	defer p.done()
	ok := s.commitEdits(p, edits)
	s.m.settled.Add(float64(p.pos))
	s.m.settle.Observe(time.Since(began).Seconds())
	s.o.Logger.Debug("packed log files", "files", len(from), "bytes", p.pos, "seconds", time.Since(began).Seconds())
	return ok
}

// ordered is every partition, those of one topic side by side.
func (s *Store) ordered() []*state {
	s.mu.RLock()
	all := make([]*state, 0, len(s.parts))
	for _, st := range s.parts {
		all = append(all, st)
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *state) int { return cmp.Compare(a.number, b.number) })
	return all
}

// commitEdits journals the edits of a finished file; false when all of them were stale.
func (s *Store) commitEdits(p *packer, edits []*op) bool {
	for _, o := range edits {
		e := o.edit
		e.add = whole(p.f.pieces.all[e.firstPiece:e.lastPiece])
		o.payload = e.encode()
		o.item.crc = checksum(o.payload)
		s.submit(o)
	}
	done := 0
	for _, o := range edits {
		if o.Wait(context.Background()) == nil {
			done++
		}
	}
	return done > 0
}

// settleState copies what a partition has in the chosen files. Neighbouring views become one edit.
func (s *Store) settleState(p *packer, st *state, chosen map[*file]bool, edits *[]*op) error {
	st.mu.RLock()
	views, check := slices.Clone(st.views), st.check
	st.mu.RUnlock()
	var e *edit
	end := func() {
		if e != nil {
			_ = p.flush() // an error stays with the packer: nothing of it will be used
			e.lastPiece = len(p.f.pieces.all)
			*edits = append(*edits, &op{st: st, edit: e, item: item{kind: kindEdit, id: st.id}})
			e = nil
		}
	}
	for _, v := range views {
		if !chosen[v.file] {
			end()
			continue
		}
		if e == nil {
			if err := p.flush(); err != nil {
				return err
			}
			if err := p.add(item{kind: kindBreak, id: st.id}, nil, v.lastMs); err != nil {
				return err
			}
			e = &edit{firstPiece: len(p.f.pieces.all)}
		}
		e.remove = append(e.remove, v.ref())
		if err := s.copyView(p, v); err != nil {
			if errors.Is(err, storage.ErrCorrupt) {
				s.filesMu.Lock()
				v.file.damaged = true // stays where it is
				s.filesMu.Unlock()
			}
			return err
		}
	}
	end()
	if check.file != nil && chosen[check.file] {
		return s.settleCheckpoint(p, st, check, edits)
	}
	return nil
}

// copyView adds the batches of a view, each checked.
func (s *Store) copyView(p *packer, v *view) error {
	h, err := s.handles.pin(v.file)
	if err != nil {
		return err
	}
	defer s.handles.unpin(v.file)
	b, err := s.block(v.piece)
	if err != nil {
		return err
	}
	var buf []byte
	for i, e := range v.clip(b.entries) {
		if s.keeper.stopping() {
			return storage.ErrClosed
		}
		if cap(buf) < int(e.size) {
			buf = make([]byte, max(int(e.size), windowBytes))
		}
		buf = buf[:e.size]
		if err := readFull(h, buf, int64(e.pos)); err != nil {
			return err
		}
		if checksum(buf) != e.crc {
			s.damage("a batch is damaged: its file is not packed", "partition", v.id, "offset", e.base, "file", v.file.name)
			return storage.ErrCorrupt
		}
		it := item{kind: kindBatch, id: v.id, base: e.base, count: e.count, maxMs: e.maxMs, crc: e.crc}
		if i == 0 && v.begins() {
			it.flags = flagSegment
		}
		if err := p.add(it, buf, v.lastMs); err != nil {
			return err
		}
	}
	return nil
}

// settleCheckpoint moves a checkpoint; a damaged one stays, its owner will derive it again.
func (s *Store) settleCheckpoint(p *packer, st *state, c checkpoint, edits *[]*op) error {
	h, err := s.handles.pin(c.file)
	if err != nil {
		return err
	}
	defer s.handles.unpin(c.file)
	b := make([]byte, c.size)
	if err := readFull(h, b, c.pos); err != nil && !errors.Is(err, storage.ErrCorrupt) {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.add(item{kind: kindCheckpoint, id: st.id, base: c.at, crc: c.crc}, b, 0); err != nil {
		return err
	}
	to := spot{p.f.seq, p.pos + chunkHeaderBytes + itemBytes, c.size, c.crc, c.at}
	if err := p.flush(); err != nil {
		return err
	}
	e := &edit{moved: true, from: c.spot(), to: to, firstPiece: len(p.f.pieces.all), lastPiece: len(p.f.pieces.all)}
	*edits = append(*edits, &op{st: st, edit: e, item: item{kind: kindEdit, id: st.id}})
	return nil
}
