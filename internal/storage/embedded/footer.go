package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// The footer of a sealed file is its index. It holds nothing that the tables of the chunks do not
// hold as well: a missing or damaged one is built again from them.
//
//	index    for each piece its entries: base int64 | max timestamp int64 | position uint32
//	         payload bytes uint32 | count int32 | CRC of the payload uint32
//	pieces   for each: topic id | index int32 | flags uint32 | entries uint32 | CRC of its index uint32
//	         base int64 | end int64 | bytes int64 | max timestamp int64 | base of that batch int64
//	         first append ms int64 | last append ms int64 | position of its index int64
//	trailer  "KELPIDX2" | end of the chunks int64 | last chunk uint64 | position of the pieces int64
//	         number of them uint32 | runs of adjacent batches uint32 | CRC of the pieces uint32
//	         bytes of all payloads int64 | CRC of the trailer until here
const (
	trailerMagic = "KELPIDX2"
	trailerBytes = 56
	pieceBytes   = 96
	entryBytes   = 32
)

// trailer is the end of a sealed file.
type trailer struct {
	dataEnd   int64
	lastChunk uint64
	piecesPos int64
	pieces    int
	runs      int64
	payload   int64
	crc       uint32
}

func appendEntries(b []byte, entries []entry) []byte {
	be := binary.BigEndian
	for i := range entries {
		e := &entries[i]
		b = be.AppendUint64(b, uint64(e.base))
		b = be.AppendUint64(b, uint64(e.maxMs))
		b = be.AppendUint32(b, e.pos)
		b = be.AppendUint32(b, e.size)
		b = be.AppendUint32(b, uint32(e.count))
		b = be.AppendUint32(b, e.crc)
	}
	return b
}

func parseEntries(b []byte) []entry {
	be := binary.BigEndian
	entries := make([]entry, len(b)/entryBytes)
	for i := range entries {
		r := b[i*entryBytes:]
		entries[i] = entry{
			base: int64(be.Uint64(r)), maxMs: int64(be.Uint64(r[8:])), pos: be.Uint32(r[16:]),
			size: be.Uint32(r[20:]), count: int32(be.Uint32(r[24:])), crc: be.Uint32(r[28:]),
		}
	}
	return entries
}

func appendPiece(b []byte, p *piece) []byte {
	be := binary.BigEndian
	b = append(b, p.id.Topic[:]...)
	b = be.AppendUint32(b, uint32(p.id.Index))
	flags := uint32(0)
	if p.segment {
		flags = flagSegment
	}
	b = be.AppendUint32(b, flags)
	b = be.AppendUint32(b, uint32(p.n))
	b = be.AppendUint32(b, p.indexCRC)
	for _, v := range [...]int64{
		p.sum.base, p.sum.end, p.sum.bytes, p.sum.maxMs, p.sum.maxMsBase, p.firstMs, p.lastMs, p.indexPos,
	} {
		b = be.AppendUint64(b, uint64(v))
	}
	return b
}

func parsePiece(b []byte) *piece {
	be := binary.BigEndian
	at := func(i int) int64 { return int64(be.Uint64(b[32+8*i:])) }
	p := &piece{
		segment: be.Uint32(b[20:])&flagSegment != 0, n: int32(be.Uint32(b[24:])), indexCRC: be.Uint32(b[28:]),
		sum:     summary{base: at(0), end: at(1), bytes: at(2), maxMs: at(3), maxMsBase: at(4)},
		firstMs: at(5), lastMs: at(6), indexPos: at(7),
	}
	copy(p.id.Topic[:], b[:16])
	p.id.Index = int32(be.Uint32(b[16:]))
	return p
}

func (t *trailer) encode() []byte {
	be := binary.BigEndian
	b := append(make([]byte, 0, trailerBytes), trailerMagic...)
	b = be.AppendUint64(b, uint64(t.dataEnd))
	b = be.AppendUint64(b, t.lastChunk)
	b = be.AppendUint64(b, uint64(t.piecesPos))
	b = be.AppendUint32(b, uint32(t.pieces))
	b = be.AppendUint32(b, uint32(t.runs))
	b = be.AppendUint32(b, t.crc)
	b = be.AppendUint64(b, uint64(t.payload))
	return be.AppendUint32(b, checksum(b))
}

var errNoFooter = errors.New("no index at the end of the file")

// readFooter gives the trailer and the pieces of a sealed file, errNoFooter or ErrCorrupt.
func readFooter(f vfs.File) (trailer, []*piece, error) {
	size, err := f.Size()
	if err != nil {
		return trailer{}, nil, err
	}
	if size < fileHeaderBytes+trailerBytes {
		return trailer{}, nil, errNoFooter
	}
	b := make([]byte, trailerBytes)
	if err := readFull(f, b, size-trailerBytes); err != nil {
		return trailer{}, nil, err
	}
	be := binary.BigEndian
	if string(b[:8]) != trailerMagic || be.Uint32(b[52:]) != checksum(b[:52]) {
		return trailer{}, nil, errNoFooter
	}
	t := trailer{
		dataEnd: int64(be.Uint64(b[8:])), lastChunk: be.Uint64(b[16:]), piecesPos: int64(be.Uint64(b[24:])),
		pieces: int(be.Uint32(b[32:])), runs: int64(be.Uint32(b[36:])), crc: be.Uint32(b[40:]),
		payload: int64(be.Uint64(b[44:])),
	}
	if t.piecesPos+int64(t.pieces)*pieceBytes+trailerBytes != size {
		return t, nil, fmt.Errorf("%w: the index does not fit its file", storage.ErrCorrupt)
	}
	b = make([]byte, t.pieces*pieceBytes)
	if err := readFull(f, b, t.piecesPos); err != nil {
		return t, nil, err
	}
	if checksum(b) != t.crc {
		return t, nil, fmt.Errorf("%w: index of pieces", storage.ErrCorrupt)
	}
	pieces := make([]*piece, t.pieces)
	for i := range pieces {
		pieces[i] = parsePiece(b[i*pieceBytes:])
	}
	return t, pieces, nil
}

// writeFooter puts the index of the pieces behind dataEnd, cuts the file there and syncs it.
func writeFooter(f vfs.File, t trailer, pieces []*piece) error {
	dataEnd := t.dataEnd
	t.pieces = len(pieces)
	var index, table []byte
	for _, p := range pieces {
		at := len(index)
		index = appendEntries(index, p.entries)
		p.indexPos, p.indexCRC = dataEnd+int64(at), checksum(index[at:])
		table = appendPiece(table, p)
	}
	t.piecesPos, t.crc = dataEnd+int64(len(index)), checksum(table)
	if err := f.WriteBuffers([][]byte{index, table, t.encode()}, dataEnd); err != nil {
		return err
	}
	if err := f.Truncate(t.piecesPos + int64(len(table)) + trailerBytes); err != nil {
		return err
	}
	return f.Sync()
}

// readFull reads len(b) bytes; a file that ends before is damaged.
func readFull(f vfs.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file ends at %d, wanted %d bytes at %d", storage.ErrCorrupt, off+int64(n), len(b), off)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}
