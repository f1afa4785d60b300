package embedded

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// found is what lies in a data folder, by the names alone.
type found struct {
	journals, packed []uint64
	snapshots        []uint64 // each once, newest first
	other            []string // temporary files of an unfinished write
}

func look(fs vfs.FS, dir string) (f found, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return f, err
	}
	for _, name := range names {
		var seq uint64
		switch {
		case scan(name, "journal-%16x.log", &seq):
			f.journals = append(f.journals, seq)
		case scan(name, "packed-%16x.log", &seq):
			f.packed = append(f.packed, seq)
		case scan(name, "state-%16x.a", &seq), scan(name, "state-%16x.b", &seq):
			f.snapshots = append(f.snapshots, seq)
		default:
			f.other = append(f.other, name)
		}
	}
	slices.Sort(f.journals)
	slices.Sort(f.packed)
	slices.Sort(f.snapshots)
	f.snapshots = slices.Compact(f.snapshots)
	slices.Reverse(f.snapshots)
	return f, nil
}

func scan(name, format string, seq *uint64) bool {
	n, err := fmt.Sscanf(name, format, seq)
	return err == nil && n == 1 && name == fmt.Sprintf(strings.Replace(format, "%16x", "%016x", 1), *seq)
}

// recover reads the folder: the newest snapshot, the indexes of the files it names, and then the
// journal files from there on, chunk by chunk.
func (s *Store) recover() (*writer, error) {
	all, err := look(s.o.FS, s.dir)
	if err != nil {
		return nil, err
	}
	for _, seqs := range [][]uint64{all.journals, all.packed, all.snapshots} {
		for _, seq := range seqs {
			s.nextSeq.Store(max(s.nextSeq.Load(), seq))
		}
	}
	snap, err := s.loadSnapshot(all)
	if err != nil && s.o.rebuild && errors.Is(err, storage.ErrCorrupt) {
		s.o.Logger.Warn("no snapshot is whole: partitions are made from the data files", "error", err)
		s.rebuild(all)
		return &writer{s: s, seq: s.applied.Load()}, nil
	}
	if err != nil {
		return nil, err
	}
	s.applied.Store(snap.lastChunk)
	s.keeper.oldest = snap.seq
	s.loadFiles(all, snap.seq)
	for i := range snap.kept {
		s.restore(&snap.kept[i])
	}
	replayed, err := s.replayAll(all, snap)
	if err != nil {
		return nil, err
	}
	s.salvage()
	s.mend()
	s.synced.Store(s.applied.Load())
	if len(replayed) > 0 {
		for _, f := range replayed {
			s.keeper.add(task{seal: f})
		}
		seq := s.nextSeq.Add(1)
		s.keeper.add(task{snapshot: s.capture(seq), seq: seq})
	}
	return &writer{s: s, seq: s.applied.Load()}, nil
}

// loadSnapshot gives the newest snapshot of which a copy is whole; an empty one in a new folder.
func (s *Store) loadSnapshot(all found) (*snapshot, error) {
	var errs []error
	for _, seq := range all.snapshots {
		for _, name := range snapshotNames(s.dir, seq) {
			b, err := readWhole(s.o.FS, name)
			if err == nil {
				var snap *snapshot
				if snap, err = parseSnapshot(b); err == nil {
					if len(errs) > 0 { // a crash leaves one that was being written, damage one that was whole
						s.o.Logger.Warn("a snapshot is not whole; another copy is used", "error", errors.Join(errs...))
					}
					return snap, nil
				}
			}
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	whole, err := s.fromTheFirst(all)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	if whole {
		return &snapshot{}, nil
	}
	errs = append(errs, fmt.Errorf("%w: no snapshot of %s is whole; kelp log repair makes one from the data files", storage.ErrCorrupt, s.dir))
	return nil, errors.Join(errs...)
}

// fromTheFirst says whether everything that ever happened is in the journal files, as before the
// first snapshot: chunk 1 is there, or nothing was ever durable.
func (s *Store) fromTheFirst(all found) (bool, error) {
	for _, seq := range all.journals {
		f, err := s.o.FS.Open(filepath.Join(s.dir, fileName(journalFile, seq)))
		if err != nil {
			return false, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
		chunks, _, err := listChunks(f, seq)
		if err = errors.Join(err, f.Close()); err != nil {
			return false, err
		}
		for _, c := range chunks {
			if c.seq == 1 {
				return true, nil
			}
			if c.synced > 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

func readWhole(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	return b, errors.Join(readFull(f, b, 0), f.Close())
}

// loadFiles reads the indexes of files that are not replayed.
func (s *Store) loadFiles(all found, from uint64) {
	for _, seq := range all.packed {
		s.loadFile(&file{seq: seq, kind: packedFile})
	}
	for _, seq := range all.journals {
		if seq < from {
			s.loadFile(&file{seq: seq, kind: journalFile})
		}
	}
}

// loadFile reads a file's index, or builds it again from its chunks.
func (s *Store) loadFile(f *file) {
	f.name = filepath.Join(s.dir, fileName(f.kind, f.seq))
	f.sealed = true
	var t trailer
	var all []*piece
	err := s.withHandle(f, func(h vfs.File) (err error) {
		t, all, err = readFooter(h)
		return err
	})
	if err == nil {
		f.pieces = &pieces{file: f, all: all}
		for i, p := range all {
			p.file, p.number, p.closed = f, int32(i), true
		}
		f.dataEnd, f.lastChunk, f.runs = t.dataEnd, t.lastChunk, t.runs
		f.payload.Store(t.payload)
	} else {
		f.noIndex = err
		if f.pieces, err = s.scanPieces(f); err != nil {
			f.noIndex = errors.Join(f.noIndex, err)
			f.pieces = newPieces(f)
		}
		for _, p := range f.pieces.all {
			p.closed = true
		}
	}
	s.files[f.seq] = f
}

// scanPieces counts the pieces of a file from its chunks.
func (s *Store) scanPieces(f *file) (*pieces, error) {
	c := newPieces(f)
	err := s.withHandle(f, func(h vfs.File) error {
		chunks, end, err := listChunks(h, f.seq)
		if err != nil {
			return err
		}
		if len(chunks) > 0 {
			f.dataEnd, f.lastChunk = end, chunks[len(chunks)-1].seq
		}
		r := newReader(h)
		for _, at := range chunks {
			header, items, err := r.table(at.pos)
			if err != nil {
				return err
			}
			pos := at.pos + int64(header.table)
			for i := range items {
				it := &items[i]
				c.count(it, pos, header.appendedMs)
				pos += int64(it.size)
			}
		}
		return nil
	})
	return c, err
}

// restore makes a partition as a snapshot has it. Views whose file is missing get a piece that
// cannot be read: what follows in the journal may take them away.
func (s *Store) restore(k *kept) {
	st := s.newState(k.id)
	st.start, st.end, st.epochs, st.damaged = k.start, k.end, k.epochs, k.damaged
	for _, p := range k.parts {
		v := s.resolve(k.id, p)
		v.file.uses.Add(1)
		v.file.live.Add(v.shown().bytes)
		st.views = append(st.views, v)
	}
	if k.checked {
		st.setCheckpoint(s.checkpointAt(k.check))
	}
	s.parts[k.id] = st
}

// mend gives files whose index was built again a new one, if anything refers to them. What nothing
// refers to was being made or removed when the process ended.
func (s *Store) mend() {
	for _, f := range s.files {
		if f.noIndex == nil || f.uses.Load() == 0 {
			continue
		}
		s.damage("the index of a log file is damaged or missing: it is built again", "file", f.name, "error", f.noIndex)
		if _, err := s.handles.pin(f); err == nil { // as the writer's, until it is sealed
			f.sealed = false
			s.keeper.add(task{seal: f})
		}
	}
}

// salvage looks for the batches of views whose piece is not as it was, after everything is
// replayed: what is left of a damaged file serves, the rest is reported as damaged.
func (s *Store) salvage() {
	for _, st := range s.parts {
		var views []*view
		for _, v := range st.views {
			if !v.file.removed {
				views = append(views, v)
				continue
			}
			sum := *v.shown()
			at := sum.base
			if f := s.files[v.file.seq]; f != nil && f.pieces != nil {
				for _, p := range f.pieces.all {
					if p.id != st.id || p.sum.base < at || p.sum.end > sum.end {
						continue
					}
					if p.sum.base > at {
						st.damaged = append(st.damaged, offsets{at, p.sum.base})
					}
					f.uses.Add(1)
					f.live.Add(p.sum.bytes)
					views = append(views, &view{piece: p, to: toEnd})
					at = p.sum.end
				}
			}
			if at < sum.end {
				st.damaged = append(st.damaged, offsets{at, sum.end})
			}
			s.damage("batches of a partition are damaged: what is left is served",
				"partition", st.id, "from", sum.base, "to", sum.end, "file", fmt.Sprintf("%016x", v.file.seq))
		}
		st.views = views
	}
}
