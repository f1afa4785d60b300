package embedded

import (
	"fmt"
	"iter"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// Limits of packing.
const (
	packChunkBytes = 4 << 20 // payload of one chunk of a packed file
	packSyncBytes  = 8 << 20 // synced so often, so that a large file does not hold up the journal's syncs
)

// packer writes a packed file: chunks like the journal's, each of one partition.
type packer struct {
	s        *Store
	f        *file
	h        vfs.File
	pos      int64
	unsynced int64
	header   chunkHeader
	items    []item
	payload  []byte
	err      error // of a write or sync that failed: nothing more is written to the file
}

func (s *Store) newPacker() (*packer, error) {
	f, err := s.makeFile(packedFile, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: new file: %w", storage.ErrUnavailable, err)
	}
	f.fresh.Store(true)
	p := &packer{s: s, f: f, pos: fileHeaderBytes}
	if p.h, err = s.handles.pin(f); err == nil {
		h := fileHeader{kind: packedFile, seq: f.seq, firstChunk: 1}
		_, err = p.h.WriteAt(h.encode(), 0)
	}
	if err != nil {
		p.abandon()
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return p, nil
}

// add takes an item and its payload, which is copied. A chunk holds items that were appended at one time.
func (p *packer) add(it item, payload []byte, appendedMs int64) error {
	full := len(p.items) == maxPieceEntries || len(p.payload)+len(payload) > packChunkBytes
	if len(p.items) > 0 && (full || p.header.appendedMs != appendedMs) {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.header.appendedMs = appendedMs
	it.size = uint32(len(payload))
	p.items = append(p.items, it)
	p.payload = append(p.payload, payload...)
	return nil
}

func (p *packer) flush() error {
	if p.err == nil && len(p.items) > 0 {
		if err := p.write(); err != nil {
			p.err = fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
	}
	return p.err
}

func (p *packer) write() error {
	h := &p.header
	h.items, h.table = len(p.items), chunkHeaderBytes+len(p.items)*itemBytes
	h.payload, h.file, h.seq = int64(len(p.payload)), p.f.seq, h.seq+1
	table := make([]byte, h.table)
	h.encode(table, func(yield func(*item) bool) {
		for i := range p.items {
			if !yield(&p.items[i]) {
				return
			}
		}
	})
	if err := p.h.WriteBuffers([][]byte{table, p.payload}, p.pos); err != nil {
		return err
	}
	at := p.pos + int64(h.table)
	for i := range p.items {
		it := &p.items[i]
		p.f.pieces.count(it, at, h.appendedMs)
		at += int64(it.size)
	}
	p.pos += h.size()
	p.items, p.payload = p.items[:0], p.payload[:0]
	if p.unsynced += h.size(); p.unsynced >= packSyncBytes {
		p.unsynced = 0
		return p.h.Sync()
	}
	return nil
}

// count notes an item that lies in the file, as the applying of a journal does.
func (c *pieces) count(it *item, pos, appendedMs int64) {
	switch it.kind {
	case kindBatch:
		p := c.take(it, appendedMs)
		c.file.payload.Add(int64(it.size))
		p.put(entry{base: it.base, maxMs: it.maxMs, pos: uint32(pos), size: it.size, count: it.count, crc: it.crc}, appendedMs)
	case kindBreak:
		c.end(it.id)
	case kindCheckpoint:
		c.file.payload.Add(int64(it.size))
	default:
	}
}

// finish makes the file durable and known. Nothing refers to it yet; settling keeps it until then.
func (p *packer) finish() error {
	if err := p.flush(); err != nil {
		return err
	}
	p.f.countRuns()
	err := writeFooter(p.h, trailer{dataEnd: p.pos, lastChunk: p.header.seq, runs: p.f.runs, payload: p.f.payload.Load()}, p.f.pieces.all)
	if err == nil {
		err = p.s.o.FS.SyncDir(p.s.dir)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	f := p.f
	f.sealed, f.settling, f.dataEnd, f.lastChunk = true, true, p.pos, p.header.seq
	f.pieces.open = nil
	p.s.filesMu.Lock()
	p.s.files[f.seq] = f
	p.s.filesMu.Unlock()
	for _, q := range f.pieces.all {
		p.s.unload(q)
	}
	p.release()
	return nil
}

// done ends the protection of a finished file: it stays as long as something refers to it.
func (p *packer) done() {
	p.s.filesMu.Lock()
	p.f.settling = false
	p.s.filesMu.Unlock()
	p.s.wakeKeeper()
}

// release lets the file go back to the cache of open files.
func (p *packer) release() {
	p.s.handles.unpin(p.f)
	p.s.handles.unpin(p.f) // makeFile's
}

// abandon removes an unfinished file.
func (p *packer) abandon() {
	p.s.handles.drop(p.f)
	if p.h != nil {
		p.s.handles.unpin(p.f)
	}
	p.s.handles.unpin(p.f)
}

// whole gives pieces of a packed file as an edit adds them.
func whole(all []*piece) []part {
	parts := make([]part, len(all))
	for i, q := range all {
		parts[i] = part{ref{q.file.seq, q.number, 0, toEnd}, q.sum}
	}
	return parts
}

// checkRange says what is wrong with a batch that is to take the place of others.
func checkRange(b *storage.Batch, at, to int64) error {
	if b.Base < at || b.Count <= 0 || b.Base+int64(b.Count) > to || len(b.Bytes) > maxPayloadBytes {
		return fmt.Errorf("replace with batch %d+%d, want %d to %d: %w", b.Base, b.Count, at, to, storage.ErrOutOfRange)
	}
	return nil
}

// pack writes the batches of a replacement into a file of their own.
func (l *log) pack(p *packer, from, to int64, with iter.Seq2[storage.Batch, error]) error {
	l.st.mu.RLock()
	limit, bounds, nowMs := l.st.settings.SegmentBytes, []int64{}, int64(0)
	for _, v := range l.st.views {
		sum := v.shown()
		if sum.base >= from && sum.base < to && v.begins() {
			bounds = append(bounds, sum.base)
		}
		if sum.base < to {
			nowMs = v.lastMs
		}
	}
	l.st.mu.RUnlock()
	if limit <= 0 {
		limit = l.s.o.SegmentBytes
	}
	at, bytes := from, int64(0)
	for b, err := range with {
		if err != nil {
			return err
		}
		if err := checkRange(&b, at, to); err != nil {
			return err
		}
		it := item{
			kind: kindBatch, id: l.st.id, epoch: l.epoch, base: b.Base, count: b.Count, maxMs: b.MaxTimestampMs, prev: at, crc: checksum(b.Bytes),
		}
		crossed := false
		for len(bounds) > 0 && bounds[0] <= b.Base {
			bounds, crossed = bounds[1:], true
		}
		if crossed && (bytes == 0 || bytes+int64(len(b.Bytes)) > limit/2) { // small neighbours become one segment
			it.flags, bytes = flagSegment, 0
		}
		if err := p.add(it, b.Bytes, nowMs); err != nil {
			return err
		}
		at, bytes = it.end(), bytes+int64(len(b.Bytes))
	}
	return p.finish()
}
