package embedded

import (
	"slices"
	"sync/atomic"

	"kelp/internal/storage"
)

// maxPieceEntries bounds the batches of a piece, and with them what reading one batch has to load.
const maxPieceEntries = 4096

// entry is where one batch lies in its file.
type entry struct {
	base  int64
	maxMs int64
	pos   uint32
	size  uint32
	count int32
	crc   uint32
}

func (e *entry) end() int64 { return e.base + int64(e.count) }

// summary is what is known of a run of batches without its entries.
type summary struct {
	base, end int64
	bytes     int64
	maxMs     int64
	maxMsBase int64 // base of the first batch with maxMs
}

func (s *summary) add(e *entry) {
	if s.bytes == 0 && s.end == 0 {
		*s = summary{base: e.base, maxMs: e.maxMs, maxMsBase: e.base}
	}
	s.end, s.bytes = e.end(), s.bytes+int64(e.size)
	if e.maxMs > s.maxMs {
		s.maxMs, s.maxMsBase = e.maxMs, e.base
	}
}

func summarize(entries []entry) (s summary) {
	for i := range entries {
		s.add(&entries[i])
	}
	return s
}

// piece is the batches of one partition and one segment in one file, at most maxPieceEntries. Its
// number in the file follows from the order of the batches in it, so that it can be counted again.
// While the file is written to, the partition's lock guards it; later it does not change, but for
// where its index lies, which the store's lock guards.
type piece struct {
	id      storage.Partition
	file    *file
	number  int32
	segment bool  // its first batch begins a segment
	n       int32 // entries
	closed  bool  // takes no more batches
	sum     summary
	firstMs int64 // when its first batch was appended, and its last
	lastMs  int64

	entries  []entry // nil once the file is sealed: then they are in its index
	indexPos int64
	indexCRC uint32
	block    atomic.Pointer[block] // entries read back from the index, while there is room for them
}

// view is the part of a piece that readers see: all of it unless it was replaced in part.
type view struct {
	*piece
	from, to int32 // entries; to is toEnd while the piece may grow, and for all of it
	sum      summary
}

// toEnd stands for the end of a piece.
const toEnd = -1

func (v *view) whole() bool { return v.from == 0 && v.to == toEnd }

// summary of what the view shows; a whole view follows its piece.
func (v *view) shown() *summary {
	if v.whole() {
		return &v.piece.sum
	}
	return &v.sum
}

// clip gives the entries of the view out of those of its piece.
func (v *view) clip(entries []entry) []entry {
	if v.to == toEnd {
		return entries[v.from:]
	}
	return entries[v.from:v.to]
}

// ref names a view in snapshots and edits.
type ref struct {
	file     uint64
	number   int32
	from, to int32
}

func (v *view) ref() ref { return ref{v.file.seq, v.number, v.from, v.to} }

// pieces collects the pieces of a file in the order in which its batches were written.
type pieces struct {
	file *file
	all  []*piece
	open map[storage.Partition]*piece
}

func newPieces(f *file) *pieces { return &pieces{file: f, open: map[storage.Partition]*piece{}} }

// take gives the piece that a batch goes to, a new one where the rules ask for it.
func (c *pieces) take(it *item, appendedMs int64) *piece {
	p := c.open[it.id]
	if p == nil || p.closed || it.flags&flagSegment != 0 || p.n == maxPieceEntries {
		p = &piece{
			id: it.id, file: c.file, number: int32(len(c.all)), segment: it.flags&flagSegment != 0,
			firstMs: appendedMs, entries: make([]entry, 0, 1),
		}
		c.all = append(c.all, p)
		c.open[it.id] = p
	}
	return p
}

// put adds a batch to a piece.
func (p *piece) put(e entry, appendedMs int64) {
	p.entries = append(p.entries, e)
	p.n++
	p.lastMs = appendedMs
	p.sum.add(&e)
}

// end forgets a partition's open piece, so that the next batch begins one.
func (c *pieces) end(id storage.Partition) {
	if p := c.open[id]; p != nil {
		p.closed = true
		delete(c.open, id)
	}
}

// at is the index of the first entry that ends after an offset.
func at(entries []entry, offset int64) int {
	i, _ := slices.BinarySearchFunc(entries, offset, func(e entry, o int64) int {
		if e.end() <= o {
			return -1
		}
		return 1
	})
	return i
}
