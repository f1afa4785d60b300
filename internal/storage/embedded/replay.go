package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// windowBytes is how much of a file is read at a time when it is scanned.
const windowBytes = 1 << 20

// reader reads a file front to back through a window.
type reader struct {
	f    vfs.File
	size int64
	at   int64 // of the window
	buf  []byte
}

func newReader(f vfs.File) *reader {
	size, _ := f.Size()
	return &reader{f: f, size: size}
}

// bytes gives n bytes at an offset; they are valid until the next call.
func (r *reader) bytes(off int64, n int) ([]byte, error) {
	if off < 0 || off+int64(n) > r.size {
		return nil, fmt.Errorf("%w: the file ends at %d, wanted %d bytes at %d", storage.ErrCorrupt, r.size, n, off)
	}
	if off < r.at || off+int64(n) > r.at+int64(len(r.buf)) {
		want := min(max(int64(n), windowBytes), r.size-off)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.at = r.buf[:want], off
		if err := readFull(r.f, r.buf, off); err != nil {
			r.buf = r.buf[:0]
			return nil, err
		}
	}
	return r.buf[off-r.at : off-r.at+int64(n)], nil
}

// table reads the header and the items of the chunk at an offset, mended when one bit is wrong.
func (r *reader) table(pos int64) (chunkHeader, []item, error) {
	b, err := r.bytes(pos, chunkHeaderBytes)
	if err != nil {
		return chunkHeader{}, nil, err
	}
	h, ok := parseChunkHeader(b)
	if ok {
		if b, err = r.bytes(pos, h.table); err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return h, nil, err
		}
		ok = err == nil && h.checkTable(b)
	}
	if !ok {
		if b, err = r.mend(pos); err != nil {
			return h, nil, err
		}
		h, _ = parseChunkHeader(b)
		h.mended = b
	}
	items := make([]item, h.items)
	for i := range items {
		items[i] = parseItem(b[chunkHeaderBytes+i*itemBytes:])
	}
	return h, items, nil
}

// mend gives the header and table at an offset as they were before one bit was flipped.
func (r *reader) mend(pos int64) ([]byte, error) {
	b, err := r.bytes(pos, chunkHeaderBytes)
	if err != nil {
		return nil, err
	}
	if likeTable(b) {
		if b, err = r.bytes(pos, int(min(maxTableBytes, r.size-pos))); err != nil {
			return nil, err
		}
		if b = mendTable(b, pos); b != nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w: no chunk at %d", storage.ErrCorrupt, pos)
}

// chunkAt is where a chunk lies.
type chunkAt struct {
	pos         int64
	size        int64
	seq, synced uint64
}

// listChunks finds the chunks of a file, over damaged stretches too; the payloads are not looked at.
// end is where the last of them ends.
func listChunks(f vfs.File, file uint64) (chunks []chunkAt, end int64, err error) {
	r := newReader(f)
	pos, last := int64(fileHeaderBytes), uint64(0)
	for {
		h, _, err := r.table(pos)
		switch {
		case errors.Is(err, storage.ErrUnavailable):
			return nil, 0, err
		case err == nil && h.file == file && h.seq > last && pos+h.size() <= r.size:
			chunks = append(chunks, chunkAt{pos, h.size(), h.seq, h.synced})
			last = h.seq
			pos += h.size()
			end = pos
		default:
			if pos, err = r.find(pos + 1); err != nil || pos < 0 {
				return chunks, end, err
			}
		}
	}
}

// find gives the next place from an offset on that looks like a chunk, -1 when there is none.
func (r *reader) find(from int64) (int64, error) {
	magic := binary.BigEndian.AppendUint32(nil, chunkMagic)
	for from+int64(chunkHeaderBytes) <= r.size {
		n := int(min(windowBytes, r.size-from))
		b, err := r.bytes(from, n)
		if err != nil {
			return -1, err
		}
		if i := bytes.Index(b, magic); i >= 0 {
			return from + int64(i), nil
		}
		from += int64(max(1, n-len(magic)+1))
	}
	return -1, nil
}

// journal is a file to replay.
type journal struct {
	f      *file
	first  uint64
	chunks []chunkAt
	end    int64 // of the last chunk

	noHeader error // why its header cannot be read
}

// replayAll folds in the journal files from the snapshot on.
func (s *Store) replayAll(all found, snap *snapshot) ([]*file, error) {
	var journals []*journal
	for _, seq := range all.journals {
		if seq < snap.seq {
			continue
		}
		j, err := s.openJournal(seq)
		if err != nil {
			return nil, err
		}
		if j != nil {
			journals = append(journals, j)
		}
	}
	synced := snap.lastChunk // the newest chunk that was known to be durable
	first := uint64(math.MaxUint64)
	for _, j := range slices.Backward(journals) {
		j.cut(first)
		first = min(first, j.first)
	}
	for _, j := range journals {
		for _, c := range j.chunks {
			synced = max(synced, c.synced)
		}
	}
	var replayed []*file
	for i, j := range journals {
		if j.noHeader != nil && len(j.chunks) > 0 && j.first <= synced {
			s.damage("the header of a log file is damaged; its chunks are not", "file", j.f.name, "error", j.noHeader)
		}
		whole, err := s.replay(j, synced)
		if err != nil {
			return nil, fmt.Errorf("replay %s: %w", j.f.name, err)
		}
		if j.f.dataEnd == 0 { // nothing of it was ever acknowledged
			s.handles.unpin(j.f)
			s.discard(j.f)
		} else {
			replayed = append(replayed, j.f)
		}
		if !whole {
			for _, later := range journals[i+1:] { // their chunks follow one that is not there
				s.dropped(later, 0, "chunks before it are missing")
				s.handles.unpin(later.f)
				s.discard(later.f)
			}
			break
		}
	}
	return replayed, nil
}

// cut drops the chunks whose place another file's took after a failure.
func (j *journal) cut(next uint64) {
	for i := range j.chunks {
		if j.chunks[i].seq >= next {
			j.chunks = j.chunks[:i]
			return
		}
	}
}

// openJournal lists a journal file's chunks; nil when nothing was written to it yet.
func (s *Store) openJournal(seq uint64) (*journal, error) {
	f := &file{seq: seq, kind: journalFile, name: filepath.Join(s.dir, fileName(journalFile, seq)), limit: s.o.FileBytes}
	f.pieces = newPieces(f)
	h, err := s.handles.pin(f) // as the writer's, until it is sealed
	if err != nil {
		return nil, err
	}
	j := &journal{f: f}
	header, err := newReader(h).bytes(0, fileHeaderBytes)
	var parsed fileHeader
	if err == nil {
		parsed, err = parseFileHeader(header)
	}
	if err == nil && parsed.seq != seq {
		err = fmt.Errorf("%w: the header of another file", storage.ErrCorrupt)
	}
	if errors.Is(err, storage.ErrUnavailable) {
		return nil, err
	}
	var listErr error
	if j.chunks, j.end, listErr = listChunks(h, seq); listErr != nil {
		return nil, listErr
	}
	switch {
	case err == nil:
		j.first = parsed.firstChunk
	case len(j.chunks) > 0:
		j.noHeader, j.first = err, j.chunks[0].seq
	default:
		s.handles.unpin(f)
		s.handles.drop(f)
		return nil, nil
	}
	s.files[seq] = f
	return j, nil
}

// replay folds in a journal file. A chunk that is missing or not whole and was never known to be
// durable ends the log there: whole is false, and a line says what is dropped. What was known to be
// durable is kept; its damage is found by the partitions it belongs to.
func (s *Store) replay(j *journal, synced uint64) (whole bool, err error) {
	h, err := s.handles.pin(j.f)
	if err != nil {
		return false, err
	}
	defer s.handles.unpin(j.f)
	r := newReader(h)
	if whole, err = s.replayChunks(j, r, synced); err != nil {
		return false, err
	}
	if j.noHeader != nil && j.f.dataEnd > 0 {
		header := fileHeader{kind: journalFile, seq: j.f.seq, firstChunk: j.first}
		if _, err := h.WriteAt(header.encode(), 0); err != nil {
			return false, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
	}
	if err := h.Sync(); err != nil { // what is read now must not be lost by a later crash
		return false, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return whole, nil
}

func (s *Store) replayChunks(j *journal, r *reader, synced uint64) (whole bool, err error) {
	for i, c := range j.chunks {
		switch next := s.applied.Load() + 1; {
		case c.seq < next:
			return false, fmt.Errorf("%w: chunk %d comes again", storage.ErrCorrupt, c.seq)
		case c.seq > next && c.seq > synced:
			s.dropped(j, i, fmt.Sprintf("chunk %d is missing", next))
			return false, nil
		case c.seq > next:
			s.damage("chunks of the log are damaged", "file", j.f.name, "before", c.pos, "from", next, "to", c.seq)
		}
		if ok, err := s.replayChunk(j.f, r, c, c.seq <= synced); err != nil {
			return false, err
		} else if !ok {
			s.dropped(j, i, fmt.Sprintf("chunk %d is not whole", c.seq))
			return false, nil
		}
	}
	s.remains(r, j)
	return true, nil
}

// remains says when something lies behind the last chunk that is not a chunk: the beginning of one
// that was being written.
func (s *Store) remains(r *reader, j *journal) {
	from := max(j.end, fileHeaderBytes)
	b, err := r.bytes(from, int(min(windowBytes, r.size-from)))
	if err != nil || zero(b) {
		return
	}
	if _, _, err := readFooter(r.f); err == nil {
		return
	}
	s.o.Logger.Warn("cut a torn tail of the log that was never acknowledged",
		"file", j.f.name, "why", "a chunk is not whole", "at", from, "dropped_bytes", len(bytes.TrimRight(b, "\x00")))
}

// dropped says what a torn tail held.
func (s *Store) dropped(j *journal, from int, why string) {
	if from == len(j.chunks) {
		return
	}
	bytes, chunks := int64(0), 0
	for _, c := range j.chunks[from:] {
		bytes, chunks = bytes+c.size, chunks+1
	}
	s.o.Logger.Warn("cut a torn tail of the log that was never acknowledged",
		"file", j.f.name, "why", why, "at", j.chunks[from].pos, "dropped_chunks", chunks, "dropped_bytes", bytes)
}

// written says that the payloads of a chunk are as they were written, but for one bit if the table is
// whole: otherwise it is a torn tail.
func (s *Store) written(r *reader, f *file, items []item, pos int64, mended bool) bool {
	flips := 0
	var of *item
	for i := range items {
		it := &items[i]
		b, err := r.bytes(pos, int(it.size))
		if err != nil {
			return false
		}
		if checksum(b) != it.crc {
			if flips++; flips > 1 || mended || !flipped(b, it.crc, pos) {
				return false
			}
			of = it
		}
		pos += int64(it.size)
	}
	if of != nil {
		s.damage("a bit of a chunk is flipped that was written whole: it is damaged, not torn",
			"file", f.name, "partition", of.id, "offset", of.base)
	}
	return true
}

// replayChunk applies a chunk; false when it is not whole and trusted does not say that it once was.
func (s *Store) replayChunk(f *file, r *reader, c chunkAt, trusted bool) (bool, error) {
	header, items, err := r.table(c.pos)
	if err != nil {
		return false, err
	}
	pos := c.pos + int64(header.table)
	if !trusted && !s.written(r, f, items, pos, header.mended != nil) {
		return false, nil
	}
	if header.mended != nil {
		s.damage("a bit of a chunk's table is flipped: it is flipped back", "file", f.name, "at", c.pos)
		if _, err := r.f.WriteAt(header.mended, c.pos); err != nil {
			return false, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
	}
	for i := range items {
		it := &items[i]
		var payload []byte
		if it.kind == kindEdit || it.kind == kindGiveUp {
			payload, err = r.bytes(pos, int(it.size))
			if err != nil || checksum(payload) != it.crc && !mendBytes(payload, it.crc) {
				s.damage("a change of the log's files is damaged: it is left out", "partition", it.id, "file", f.name)
				pos += int64(it.size)
				continue
			}
		}
		s.replayItem(it, place{f, pos, header.appendedMs}, payload)
		pos += int64(it.size)
	}
	f.dataEnd, f.lastChunk = c.pos+c.size, c.seq
	s.applied.Store(c.seq)
	return true, nil
}

// replayItem applies one item; a partition that is not known is made, as its making may be lost
// where nobody waited for it.
func (s *Store) replayItem(it *item, at place, payload []byte) {
	st := s.parts[it.id]
	if st == nil {
		if it.kind == kindDelete {
			return
		}
		st = s.newState(it.id)
		s.parts[it.id] = st
	}
	err := s.apply(st, it, at, payload)
	if err != nil && !errors.Is(err, errStale) {
		s.damage("an entry of the log cannot be applied", "partition", it.id, "kind", int(it.kind), "base", it.base, "error", err)
	}
}
