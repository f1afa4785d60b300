package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"kelp/internal/storage"
)

// A snapshot is every partition as it is before the first chunk of a journal file. Two copies of it
// are kept, so that one may be damaged. All numbers are big-endian.
//
//	snapshot   "KELPSNP2" | 8 first file to replay uint64 | 16 last chunk applied uint64
//	           24 partitions uint64 | the partitions | CRC-32C of everything before
//	partition  topic id | index int32 | start int64 | end int64 | counts of epochs, damaged ranges and
//	           pieces uint32 | 1 when there is a checkpoint uint32 | epochs: epoch int32, start int64 |
//	           ranges: from, to int64 | pieces: see appendPart | checkpoint: see appendSpot
const (
	snapshotMagic       = "KELPSNP2"
	snapshotHeaderBytes = 32
	snapshotStateBytes  = 52
)

func snapshotNames(dir string, seq uint64) [2]string {
	return [2]string{
		filepath.Join(dir, fmt.Sprintf("state-%016x.a", seq)), filepath.Join(dir, fmt.Sprintf("state-%016x.b", seq)),
	}
}

// capture encodes what is applied now.
func (s *Store) capture(seq uint64) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	be := binary.BigEndian
	b := make([]byte, 0, snapshotHeaderBytes+len(s.parts)*(snapshotStateBytes+partBytes)+4)
	b = append(b, snapshotMagic...)
	b = be.AppendUint64(b, seq)
	b = be.AppendUint64(b, s.applied.Load())
	b = be.AppendUint64(b, 0)
	count := uint64(0)
	for _, parts := range []map[storage.Partition]*state{s.parts, s.deleting} {
		for _, st := range parts {
			b = st.encode(b)
			count++
		}
	}
	be.PutUint64(b[24:], count)
	return be.AppendUint32(b, checksum(b))
}

func (st *state) encode(b []byte) []byte {
	st.mu.RLock()
	defer st.mu.RUnlock()
	be := binary.BigEndian
	b = append(b, st.id.Topic[:]...)
	b = be.AppendUint32(b, uint32(st.id.Index))
	b = be.AppendUint64(b, uint64(st.start))
	b = be.AppendUint64(b, uint64(st.end))
	b = be.AppendUint32(b, uint32(len(st.epochs)))
	b = be.AppendUint32(b, uint32(len(st.damaged)))
	b = be.AppendUint32(b, uint32(len(st.views)))
	checked := uint32(0)
	if st.check.file != nil {
		checked = 1
	}
	b = be.AppendUint32(b, checked)
	for _, e := range st.epochs {
		b = be.AppendUint32(b, uint32(e.Epoch))
		b = be.AppendUint64(b, uint64(e.Start))
	}
	for _, d := range st.damaged {
		b = be.AppendUint64(b, uint64(d.from))
		b = be.AppendUint64(b, uint64(d.to))
	}
	for _, v := range st.views {
		b = appendPart(b, part{v.ref(), *v.shown()})
	}
	if checked == 1 {
		b = appendSpot(b, st.check.spot())
	}
	return b
}

// kept is a partition as a snapshot holds it.
type kept struct {
	id         storage.Partition
	start, end int64
	epochs     []storage.EpochStart
	damaged    []offsets
	parts      []part
	checked    bool
	check      spot
}

type snapshot struct {
	seq       uint64
	lastChunk uint64
	kept      []kept
}

func parseSnapshot(b []byte) (*snapshot, error) {
	be := binary.BigEndian
	if len(b) < snapshotHeaderBytes+4 || string(b[:8]) != snapshotMagic || checksum(b[:len(b)-4]) != be.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: snapshot", storage.ErrCorrupt)
	}
	snap := &snapshot{seq: be.Uint64(b[8:]), lastChunk: be.Uint64(b[16:])}
	count := be.Uint64(b[24:])
	b = b[snapshotHeaderBytes : len(b)-4]
	for range count {
		k, n, ok := parseKept(b)
		if !ok {
			return nil, fmt.Errorf("%w: snapshot", storage.ErrCorrupt)
		}
		snap.kept = append(snap.kept, k)
		b = b[n:]
	}
	return snap, nil
}

func parseKept(b []byte) (k kept, n int, ok bool) {
	be := binary.BigEndian
	if len(b) < snapshotStateBytes {
		return k, 0, false
	}
	copy(k.id.Topic[:], b)
	k.id.Index = int32(be.Uint32(b[16:]))
	k.start, k.end = int64(be.Uint64(b[20:])), int64(be.Uint64(b[28:]))
	epochs, damaged, parts := int(be.Uint32(b[36:])), int(be.Uint32(b[40:])), int(be.Uint32(b[44:]))
	k.checked = be.Uint32(b[48:]) == 1
	n = snapshotStateBytes + epochs*12 + damaged*16 + parts*partBytes
	if k.checked {
		n += spotBytes
	}
	if len(b) < n {
		return k, 0, false
	}
	b = b[snapshotStateBytes:n]
	for range epochs {
		k.epochs = append(k.epochs, storage.EpochStart{Epoch: int32(be.Uint32(b)), Start: int64(be.Uint64(b[4:]))})
		b = b[12:]
	}
	for range damaged {
		k.damaged = append(k.damaged, offsets{int64(be.Uint64(b)), int64(be.Uint64(b[8:]))})
		b = b[16:]
	}
	for range parts {
		k.parts = append(k.parts, parsePart(b))
		b = b[partBytes:]
	}
	if k.checked {
		k.check = parseSpot(b)
	}
	return k, n, true
}

// writeSnapshot makes a snapshot durable and removes those before it.
func (s *Store) writeSnapshot(seq uint64, b []byte) error {
	names := snapshotNames(s.dir, seq)
	for _, name := range names {
		if err := s.writeWhole(name, b); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	if err := s.o.FS.SyncDir(s.dir); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	all, err := s.o.FS.List(s.dir)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for _, base := range all {
		var old uint64
		var which string
		if n, _ := fmt.Sscanf(base, "state-%16x.%s", &old, &which); n == 2 && old != seq {
			if err := s.o.FS.Remove(filepath.Join(s.dir, base)); err != nil {
				s.o.Logger.Warn("could not remove an old snapshot", "file", base, "error", err)
			}
		}
	}
	return nil
}

// writeWhole writes a file that is there whole or not at all: its CRC says which.
func (s *Store) writeWhole(name string, b []byte) error {
	f, err := s.o.FS.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return errors.Join(err, s.o.FS.Remove(name))
	}
	return nil
}
