package embedded

import (
	"bytes"
	"context"
	"testing"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// FuzzChunk: no bytes make parsing panic, and a table that checks is the one that was written.
func FuzzChunk(f *testing.F) {
	items := []item{
		{kind: kindBatch, flags: flagSegment, id: storage.Partition{Index: 3}, base: 7, count: 2, size: 5, crc: 9}, {kind: kindTrim},
	}
	each := func(items []item) func(func(*item) bool) {
		return func(yield func(*item) bool) {
			for i := range items {
				if !yield(&items[i]) {
					return
				}
			}
		}
	}
	h := chunkHeader{table: chunkHeaderBytes + 2*itemBytes, items: 2, payload: 5, seq: 4, file: 2, synced: 3, appendedMs: 8}
	b := make([]byte, h.table)
	h.encode(b, each(items))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseChunkHeader(b)
		if !ok || !h.checkTable(b) {
			return
		}
		var items []item
		for i := range h.items {
			items = append(items, parseItem(b[chunkHeaderBytes+i*itemBytes:]))
		}
		again := make([]byte, h.table)
		h.encode(again, each(items))
		for i := range h.items { // two bytes of an item mean nothing
			copy(again[chunkHeaderBytes+i*itemBytes+2:], b[chunkHeaderBytes+i*itemBytes+2:][:2])
		}
		if !bytes.Equal(again[8:], b[8:h.table]) {
			t.Fatalf("%x was read as %x", b[:h.table], again)
		}
	})
}

// FuzzParse: no bytes make the other parsers panic.
func FuzzParse(f *testing.F) {
	f.Add((&edit{remove: []ref{{1, 2, 3, 4}}, add: []part{{ref: ref{file: 5}}}, moved: true}).encode())
	header := fileHeader{kind: journalFile, seq: 1, firstChunk: 1}
	f.Add(header.encode())
	end := trailer{piecesPos: fileHeaderBytes}
	f.Add(append(header.encode(), end.encode()...))
	s := newStore("log", Options{FS: vfs.NewMem()}.withDefaults(), nil)
	s.parts[storage.Partition{Index: 1}] = &state{epochs: []storage.EpochStart{{Epoch: 1}}, damaged: []offsets{{1, 2}}}
	f.Add(s.capture(3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEdit(b); err == nil && len(e.encode()) != len(b) {
			t.Errorf("an edit of %d bytes was read from %d", len(e.encode()), len(b))
		}
		_, _ = parseFileHeader(b)
		_, _ = parseSnapshot(b)
		disk := vfs.NewMem()
		file, _ := disk.Create("f")
		_, _ = file.WriteAt(b, 0)
		_, _, _ = readFooter(file)
		_, _, _ = listChunks(file, 1)
	})
}

// FuzzRecover: whatever a journal file, its index and a snapshot hold, the store opens or says that they
// are damaged, and what it serves checks.
func FuzzRecover(f *testing.F) {
	disk := vfs.NewMem()
	s, err := Open("log", Options{Sync: true, FileBytes: 4096, FS: disk})
	if err != nil {
		f.Fatal(err)
	}
	p := storage.Partition{Index: 1}
	_ = s.Create(context.Background(), p)
	l, err := s.Open(context.Background(), p, storage.OpenOptions{})
	if err != nil {
		f.Fatal(err)
	}
	for n := range int64(4) {
		if err := l.Append(storage.Batch{Base: n, Count: 1, Bytes: []byte("batch")}).Wait(context.Background()); err != nil {
			f.Fatal(err)
		}
	}
	_ = s.Close()
	read := func(prefix string) []byte {
		names, _ := disk.List("log")
		for _, name := range names {
			if bytes.HasPrefix([]byte(name), []byte(prefix)) {
				b, _ := readWhole(disk, "log/"+name)
				return b
			}
		}
		return nil
	}
	journal, state := read("journal"), read("state")
	f.Add(journal, state)
	f.Add(journal[:len(journal)/2], []byte{})
	f.Add(journal, state[:len(state)/2])
	f.Fuzz(func(t *testing.T, journal, state []byte) {
		if len(journal)+len(state) > 1<<16 {
			return
		}
		disk := vfs.NewMem()
		for name, b := range map[string][]byte{"log/journal-0000000000000001.log": journal, "log/state-0000000000000003.a": state} {
			file, _ := disk.Create(name)
			_, _ = file.WriteAt(b, 0)
		}
		s, _, err := openStill("log", disk) // without goroutines, so that an input always takes the same way
		if err != nil {
			return
		}
		for id, st := range s.parts {
			l := &log{s: s, st: st}
			if span, err := l.Read(context.Background(), storage.ReadRange{From: st.start, MaxBytes: 1 << 20}); err == nil {
				span.Release()
			}
			_ = l.Shape()
			_, problems := s.inspect(context.Background(), st, true, nil)
			for _, p := range problems {
				if p.Partition != id.String() {
					t.Errorf("%+v", p)
				}
			}
		}
		if err := s.closeFiles(); err != nil {
			t.Error(err)
		}
	})
}
