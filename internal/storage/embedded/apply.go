package embedded

import (
	"encoding/binary"
	"fmt"
	"slices"

	"kelp/internal/storage"
)

// place is where an item lies.
type place struct {
	file       *file
	pos        int64 // of its payload
	appendedMs int64
}

// apply folds one item in: the only code that changes what partitions hold, live and on replay. The
// partition's lock is not held. payload is only looked at for edits.
func (s *Store) apply(st *state, it *item, at place, payload []byte) error {
	if it.kind == kindDelete {
		return s.forget(st)
	}
	var e *edit
	if it.kind == kindEdit || it.kind == kindGiveUp {
		var err error
		if e, err = parseEdit(payload); err != nil {
			return err
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone {
		return fmt.Errorf("partition %s: %w", st.id, storage.ErrNotFound)
	}
	switch it.kind {
	case kindCreate:
	case kindOpen:
		st.began(it.epoch)
	case kindTrim:
		st.trim(it.base)
	case kindBatch:
		return st.add(at.file.pieces, it, entry{
			base: it.base, maxMs: it.maxMs, pos: uint32(at.pos), size: it.size, count: it.count, crc: it.crc,
		}, at.appendedMs)
	case kindCheckpoint:
		at.file.payload.Add(int64(it.size))
		st.setCheckpoint(checkpoint{file: at.file, pos: at.pos, size: it.size, crc: it.crc, at: it.base})
	case kindBreak:
		at.file.pieces.end(st.id)
	case kindEdit:
		return s.applyEdit(st, e)
	case kindGiveUp:
		st.damaged = slices.DeleteFunc(st.damaged, func(d offsets) bool { return d.from >= it.base && d.to <= it.prev })
		return s.applyEdit(st, e)
	default:
		return fmt.Errorf("%w: item of kind %d", storage.ErrCorrupt, it.kind)
	}
	return nil
}

// forget ends a partition.
func (s *Store) forget(st *state) error {
	s.mu.Lock()
	if s.parts[st.id] == st {
		delete(s.parts, st.id)
	}
	delete(s.deleting, st.id)
	s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.drop()
	return nil
}

// edit puts views in the place of others of one partition, and moves its checkpoint.
type edit struct {
	remove []ref
	add    []part
	moved  bool // the checkpoint moves, if it is still where it was
	from   spot
	to     spot

	firstPiece, lastPiece int // of the file that is being packed, until add is known
}

// part is a view as an edit or a snapshot holds it: a ref, and for a partial view its summary.
type part struct {
	ref
	sum summary
}

// spot is a checkpoint's place.
type spot struct {
	file uint64
	pos  int64
	size uint32
	crc  uint32
	at   int64
}

const (
	refBytes  = 20
	partBytes = refBytes + 40
	spotBytes = 32
)

func appendRef(b []byte, r ref) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, r.file)
	b = be.AppendUint32(b, uint32(r.number))
	b = be.AppendUint32(b, uint32(r.from))
	return be.AppendUint32(b, uint32(r.to))
}

func appendPart(b []byte, p part) []byte {
	b = appendRef(b, p.ref)
	for _, v := range [...]int64{p.sum.base, p.sum.end, p.sum.bytes, p.sum.maxMs, p.sum.maxMsBase} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func appendSpot(b []byte, s spot) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, s.file)
	b = be.AppendUint64(b, uint64(s.pos))
	b = be.AppendUint32(b, s.size)
	b = be.AppendUint32(b, s.crc)
	return be.AppendUint64(b, uint64(s.at))
}

func parseRef(b []byte) ref {
	be := binary.BigEndian
	return ref{be.Uint64(b), int32(be.Uint32(b[8:])), int32(be.Uint32(b[12:])), int32(be.Uint32(b[16:]))}
}

func parsePart(b []byte) part {
	v := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[refBytes+8*i:])) }
	return part{parseRef(b), summary{base: v(0), end: v(1), bytes: v(2), maxMs: v(3), maxMsBase: v(4)}}
}

func parseSpot(b []byte) spot {
	be := binary.BigEndian
	return spot{be.Uint64(b), int64(be.Uint64(b[8:])), be.Uint32(b[16:]), be.Uint32(b[20:]), int64(be.Uint64(b[24:]))}
}

// encode gives: removed uint32 | added uint32 | moved uint32 | the refs | the parts | from and to.
func (e *edit) encode() []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, uint32(len(e.remove)))
	b = be.AppendUint32(b, uint32(len(e.add)))
	moved := uint32(0)
	if e.moved {
		moved = 1
	}
	b = be.AppendUint32(b, moved)
	for _, r := range e.remove {
		b = appendRef(b, r)
	}
	for _, p := range e.add {
		b = appendPart(b, p)
	}
	if e.moved {
		b = appendSpot(appendSpot(b, e.from), e.to)
	}
	return b
}

func parseEdit(b []byte) (*edit, error) {
	be, e := binary.BigEndian, &edit{}
	bad := fmt.Errorf("%w: an edit of %d bytes", storage.ErrCorrupt, len(b))
	if len(b) < 12 {
		return nil, bad
	}
	removed, added := int64(be.Uint32(b)), int64(be.Uint32(b[4:]))
	e.moved = be.Uint32(b[8:]) != 0
	want := 12 + removed*refBytes + added*partBytes
	if e.moved {
		want += 2 * spotBytes
	}
	if int64(len(b)) != want {
		return nil, bad
	}
	b = b[12:]
	for range removed {
		e.remove = append(e.remove, parseRef(b))
		b = b[refBytes:]
	}
	for range added {
		e.add = append(e.add, parsePart(b))
		b = b[partBytes:]
	}
	if e.moved {
		e.from, e.to = parseSpot(b), parseSpot(b[spotBytes:])
	}
	return e, nil
}

// errStale is an edit of what has changed meanwhile: nothing happened.
var errStale = fmt.Errorf("%w: it was trimmed meanwhile", storage.ErrUnavailable)

// applyEdit is called with the partition's lock held.
func (s *Store) applyEdit(st *state, e *edit) error {
	add := make([]*view, len(e.add))
	for i, p := range e.add {
		add[i] = s.resolve(st.id, p)
	}
	if e.moved && st.check.file != nil && st.check.spot() == e.from {
		st.setCheckpoint(s.checkpointAt(e.to))
	}
	if len(e.remove)+len(e.add) > 0 && !st.edit(e.remove, add) {
		return errStale
	}
	return nil
}

func (c *checkpoint) spot() spot { return spot{c.file.seq, c.pos, c.size, c.crc, c.at} }

// resolve finds the piece of a part. On replay the file may be gone, as what follows in the journal
// takes the piece away again: then there is a piece that cannot be read.
func (s *Store) resolve(id storage.Partition, p part) *view {
	v := &view{from: p.from, to: p.to, sum: p.sum}
	if f := s.fileOf(p.file); f != nil && int(p.number) < len(f.pieces.all) {
		v.piece = f.pieces.all[p.number]
	}
	if v.piece == nil || v.id != id || v.whole() && p.sum != v.piece.sum {
		v.piece = &piece{id: id, file: missing(p.file), number: p.number, closed: true, segment: true, sum: p.sum}
	}
	return v
}

func (s *Store) checkpointAt(at spot) checkpoint {
	f := s.fileOf(at.file)
	if f == nil {
		f = missing(at.file)
	}
	return checkpoint{file: f, pos: at.pos, size: at.size, crc: at.crc, at: at.at}
}

// missing stands for a file that is not there.
func missing(seq uint64) *file { return &file{seq: seq, removed: true, sealed: true} }

func (s *Store) fileOf(seq uint64) *file {
	s.filesMu.RLock()
	defer s.filesMu.RUnlock()
	return s.files[seq]
}
