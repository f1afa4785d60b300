package embedded

import (
	"cmp"
	"slices"

	"kelp/internal/storage"
)

// rebuild makes partitions out of what lies in the data files when no snapshot is whole: every batch
// that a newer file does not hold too. What only snapshots and lost journal files knew is gone: how
// far partitions were trimmed, which were deleted, their leader epochs and checkpoints.
func (s *Store) rebuild(all found) {
	from := s.nextSeq.Add(1)
	s.loadFiles(all, from)
	byPartition := map[storage.Partition][]*piece{}
	last := uint64(0)
	for _, f := range s.files {
		if f.kind == journalFile {
			last = max(last, f.lastChunk)
		}
		for _, p := range f.pieces.all {
			byPartition[p.id] = append(byPartition[p.id], p)
		}
	}
	s.applied.Store(last)
	s.keeper.oldest = from
	for id, pieces := range byPartition {
		st := s.newState(id)
		slices.SortFunc(pieces, func(a, b *piece) int { return cmp.Compare(b.file.seq, a.file.seq) })
		var covered []offsets
		for _, p := range pieces {
			entries, err := s.entries(st, &view{piece: p, to: toEnd})
			if err != nil {
				continue
			}
			st.views = append(st.views, uncovered(p, entries, covered)...)
			covered = append(covered, offsets{p.sum.base, p.sum.end})
		}
		slices.SortFunc(st.views, func(a, b *view) int { return cmp.Compare(a.shown().base, b.shown().base) })
		for _, v := range st.views {
			v.file.uses.Add(1)
			v.file.live.Add(v.shown().bytes)
			st.end = max(st.end, v.shown().end)
		}
		if len(st.views) > 0 {
			st.start = st.views[0].shown().base
		}
		s.parts[id] = st
	}
	seq := s.nextSeq.Add(1)
	s.mend()
	s.keeper.add(task{snapshot: s.capture(seq), seq: seq})
}

// uncovered is the runs of a piece's batches that no range covers.
func uncovered(p *piece, entries []entry, covered []offsets) []*view {
	var views []*view
	begin := -1
	for i := 0; i <= len(entries); i++ {
		hidden := i == len(entries) ||
			slices.ContainsFunc(covered, func(o offsets) bool { return entries[i].base >= o.from && entries[i].base < o.to })
		switch {
		case !hidden && begin < 0:
			begin = i
		case hidden && begin == 0 && i == len(entries):
			views = append(views, &view{piece: p, to: toEnd})
		case hidden && begin >= 0:
			views = append(views, &view{piece: p, from: int32(begin), to: int32(i), sum: summarize(entries[begin:i])})
			begin = -1
		}
	}
	return views
}
