package seaweedfs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"kelp/internal/storage"
)

// batchRef is where one batch lies: in a chunk, until it has settled.
type batchRef struct {
	Base  int64  `json:"b"`
	Count int32  `json:"n"`
	MaxMs int64  `json:"t"`
	Size  int32  `json:"z"`
	CRC   uint32 `json:"c"`
	At    int64  `json:"p"` // in the block: the payloads of a chunk, a blob of a segment
	Block block  `json:"k"`
}

func (r *batchRef) end() int64 { return r.Base + int64(r.Count) }

// block is a run of stored bytes that is read and cached whole: the payloads of a chunk or a blob
// of a segment.
type block struct {
	FileID string `json:"f,omitempty"` // empty: inline in the chunk's entry
	Seq    uint64 `json:"s,omitempty"` // of the chunk; 0 in a segment
	Bytes  int64  `json:"n"`
}

// segment is a run of batches. While its refs are known it lies in chunks; settled, it is a file
// whose last blob is the index.
type segment struct {
	Base       int64      `json:"b"`
	End        int64      `json:"e"`
	Bytes      int64      `json:"z"`
	MaxMs      int64      `json:"t"`
	MaxBase    int64      `json:"u"` // of the first batch that has MaxMs
	FirstMs    int64      `json:"g"` // when the first batch was appended
	FirstTime  int64      `json:"h"` // the first batch's largest timestamp, from which segment.ms counts as in Kafka
	AppendedMs int64      `json:"a"` // when the last one was
	File       string     `json:"f,omitempty"`
	Index      block      `json:"i"`
	IndexCRC   uint32     `json:"x,omitempty"`
	Refs       []batchRef `json:"r,omitempty"`
	sealed     bool       // takes no further batch
}

func (g *segment) settled() bool { return g.File != "" }

func (g *segment) add(r batchRef, nowMs int64) {
	if len(g.Refs) == 0 && g.Bytes == 0 {
		g.Base, g.FirstMs, g.FirstTime, g.MaxMs, g.MaxBase = r.Base, nowMs, r.MaxMs, -1, -1
	}
	if r.MaxMs > g.MaxMs {
		g.MaxMs, g.MaxBase = r.MaxMs, r.Base
	}
	g.Refs = append(g.Refs, r)
	g.End, g.Bytes, g.AppendedMs = r.end(), g.Bytes+int64(r.Size), nowMs
}

// partition is what is known of one partition; the store's lock guards it.
type partition struct {
	id         storage.Partition
	start, end int64
	epochs     []storage.EpochStart
	segments   []*segment // in order; the last one may be open
	checkpoint []byte
	checkedAt  int64
	hasCheck   bool
	settings   storage.Settings
	owner      *log
	reshaping  bool // a settle or replace is under way
	// reshaped names the last replacement, or the creation: a replacement says which one it follows.
	reshaped string
}

func (p *partition) bytes() (n int64) {
	for _, g := range p.segments {
		n += g.Bytes
	}
	return n
}

// replacement is the payload of kindReplace: these settled segments take the place of what lies in
// the range.
type replacement struct {
	From     int64      `json:"from"`
	To       int64      `json:"to"`
	Segments []*segment `json:"segments"`
	// ID and After chain the replacements of a partition: one that was made without knowledge of the
	// one before changes nothing, as the segments that it read may not be there any more. An earlier
	// one can come so late when its answer was unclear. Without an ID it is of an older version.
	ID    string `json:"id,omitempty"`
	After string `json:"after,omitempty"`
}

// apply folds one frame in: the only code that changes what partitions hold, live and on replay.
// It returns the files that nothing needs any more.
func (s *Store) apply(f *frame, c *chunk, at int64) (gone []string, err error) {
	p := s.parts[f.partition]
	if p == nil {
		if f.kind == kindCreate {
			s.parts[f.partition] = &partition{id: f.partition, reshaped: "created " + strconv.FormatUint(c.seq, 10)}
		}
		return nil, nil // for others: deleted before this frame came
	}
	if f.kind == kindOpen || f.kind == kindBatch {
		s.newest = max(s.newest, f.epoch) // copied from a store with more owners
	}
	switch f.kind {
	case kindCreate:
	case kindDelete:
		delete(s.parts, f.partition)
		gone = s.release(p.segments)
	case kindOpen:
		p.begin(f.epoch, p.end)
	case kindTrim:
		gone = s.trim(p, f.base)
	case kindBatch:
		p.begin(f.epoch, f.base)
		b := block{FileID: c.fileID, Seq: c.seq, Bytes: c.bytes}
		r := batchRef{Base: f.base, Count: f.count, MaxMs: f.maxMs, Size: int32(f.size), CRC: f.crc, At: at, Block: b}
		p.tail(r).add(r, c.createdMs)
		s.live[c.seq]++
		p.end = r.end()
	case kindCheckpoint:
		p.checkpoint, p.checkedAt, p.hasCheck = slices.Clone(f.payload), f.base, true
	case kindReplace:
		var r replacement
		if err := json.Unmarshal(f.payload, &r); err != nil {
			return nil, fmt.Errorf("%w: replacement: %w", storage.ErrCorrupt, err)
		}
		gone = s.replace(p, r)
	default:
		return nil, fmt.Errorf("%w: frame of kind %d", storage.ErrCorrupt, f.kind)
	}
	return gone, nil
}

// begin notes that an epoch starts at an offset. One that ended without a batch is forgotten, as
// in Kafka: every start of a node is an epoch.
func (p *partition) begin(epoch int32, at int64) {
	n := len(p.epochs)
	if n > 0 && p.epochs[n-1].Epoch >= epoch {
		return
	}
	for n > 0 && p.epochs[n-1].Start >= at {
		n--
	}
	p.epochs = append(p.epochs[:n:n], storage.EpochStart{Epoch: epoch, Start: at})
}

// tail gives the segment that the next batch joins.
func (p *partition) tail(r batchRef) *segment {
	limit := p.settings.SegmentBytes
	if limit <= 0 {
		limit = defaultSegmentBytes
	}
	if n := len(p.segments); n > 0 {
		g := p.segments[n-1]
		old := p.settings.SegmentMs > 0 && g.Bytes > 0 && r.MaxMs-g.FirstTime > p.settings.SegmentMs
		if !g.settled() && !g.sealed && !old && (g.Bytes == 0 || g.Bytes+int64(r.Size) <= limit) {
			return g
		}
		g.sealed = true
	}
	g := &segment{}
	p.segments = append(p.segments, g)
	return g
}

// release forgets segments; batches in chunks are not wanted any more.
func (s *Store) release(segments []*segment) (files []string) {
	for _, g := range segments {
		if g.settled() {
			files = append(files, g.File)
		}
		for i := range g.Refs {
			s.unref(&g.Refs[i])
		}
	}
	return files
}

func (s *Store) unref(r *batchRef) {
	seq := r.Block.Seq
	if s.live[seq]--; s.live[seq] <= 0 {
		delete(s.live, seq)
	}
}

func (s *Store) trim(p *partition, to int64) (gone []string) {
	if to <= p.start {
		return nil
	}
	p.start, p.end = to, max(p.end, to)
	n := 0
	for n < len(p.segments) && p.segments[n].End <= to {
		n++
	}
	gone = s.release(p.segments[:n])
	p.segments = slices.Delete(p.segments, 0, n)
	if len(p.segments) > 0 && !p.segments[0].settled() {
		s.dropRefs(p.segments[0], func(r *batchRef) bool { return r.end() <= to })
	}
	return gone
}

// dropRefs takes batches out of a segment that lies in chunks.
func (s *Store) dropRefs(g *segment, drop func(*batchRef) bool) {
	kept := g.Refs[:0:0]
	appended, first := g.AppendedMs, g.FirstMs
	for i := range g.Refs {
		if drop(&g.Refs[i]) {
			s.unref(&g.Refs[i])
			continue
		}
		kept = append(kept, g.Refs[i])
	}
	sealed := g.sealed
	*g = segment{Base: g.Base, End: g.End, MaxMs: -1, MaxBase: -1}
	for _, r := range kept {
		g.add(r, first)
	}
	g.AppendedMs, g.sealed = appended, sealed
}

// replace puts settled segments in place of what lies in [From, To); To is a boundary of batches.
func (s *Store) replace(p *partition, r replacement) (gone []string) {
	if r.ID != "" && r.After != p.reshaped {
		for _, g := range r.Segments {
			gone = append(gone, g.File)
		}
		return gone
	}
	p.reshaped = r.ID
	// Only the run of segments that the range touches is looked at: a partition may have thousands.
	first := p.find(r.From)
	last := first
	for last < len(p.segments) && p.segments[last].Base < r.To {
		last++
	}
	var before, in, after []*segment
	for _, g := range r.Segments {
		if g.End > p.start {
			in = append(in, g)
		} else {
			gone = append(gone, g.File) // trimmed while it settled
		}
	}
	for _, g := range p.segments[first:last] {
		if g.settled() {
			gone = append(gone, g.File)
			continue
		}
		if left := s.split(g, r); len(left.Refs) > 0 {
			before = append(before, left)
		}
		if len(g.Refs) > 0 {
			after = append(after, g)
		}
	}
	p.segments = slices.Replace(p.segments, first, last, slices.Concat(before, in, after)...)
	return gone
}

// split leaves in a segment that lies in chunks what is behind the range, gives what is before it
// and forgets what is in it.
func (s *Store) split(g *segment, r replacement) *segment {
	left := &segment{sealed: true}
	for _, b := range g.Refs {
		if b.Base < r.From {
			left.add(b, g.FirstMs)
			s.live[b.Block.Seq]++ // dropRefs takes one away
		}
	}
	left.AppendedMs = g.AppendedMs
	s.dropRefs(g, func(b *batchRef) bool { return b.Base < r.To })
	return left
}

// find is the index of the segment that holds offset, or the first after it.
func (p *partition) find(offset int64) int {
	i, _ := slices.BinarySearchFunc(p.segments, offset, func(g *segment, o int64) int {
		if g.End <= o {
			return -1
		}
		return 1
	})
	return i
}
