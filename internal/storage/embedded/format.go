package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"kelp/internal/storage"
)

// A data file is a header and then chunks. A chunk is a table of items and then their payloads, in
// the table's order and with nothing between them, so that batches of one partition that were written
// together are one run of bytes. A sealed file ends with an index (footer.go). All numbers are
// big-endian, every CRC is CRC-32C.
//
//	file header   0 "KELPLOG2" (the format version is its last digit) | 8 kind uint32 | 12 zero
//	              16 file number uint64 | 24 number of its first chunk uint64 | 32 zero | 60 CRC of 0 to 60
//	chunk header  0 magic uint32 | 4 CRC of 8 to the end of the table | 8 bytes of header and table uint32
//	              12 items uint32 | 16 payload bytes uint64 | 24 chunk number uint64 | 32 file number uint64
//	              40 newest chunk known to be synced uint64 | 48 append time in ms int64 | 56 the table
//	item          0 kind uint8 | 1 flags uint8 | 2 zero | 4 count int32 | 8 topic id | 24 index int32
//	              28 epoch int32 | 32 base int64 | 40 end of the log before it int64
//	              48 max timestamp int64 | 56 payload bytes uint32 | 60 CRC of the payload
const (
	fileMagic        = "KELPLOG2"
	fileHeaderBytes  = 64
	chunkMagic       = 0x4b4c434b
	chunkHeaderBytes = 56
	itemBytes        = 64
	maxChunkItems    = 1 << 16
	maxPayloadBytes  = 1 << 30
	maxTableBytes    = chunkHeaderBytes + maxChunkItems*itemBytes
)

// fileKind says who wrote a file.
type fileKind uint32

const (
	journalFile fileKind = 1 // appends in the order they came
	packedFile  fileKind = 2 // batches put together again, partition by partition
)

// itemKind says what an item does when it is applied.
type itemKind uint8

const (
	kindCreate     itemKind = iota + 1 // the partition exists
	kindDelete                         // it does not any more
	kindOpen                           // an owner of this epoch starts at base
	kindTrim                           // the start is base
	kindBatch                          // payload is a batch
	kindCheckpoint                     // payload is derived state before base
	kindBreak                          // the next batch begins a piece
	kindEdit                           // payload says which pieces take the place of which
	kindGiveUp                         // an edit that also gives up what is damaged from base to prev
)

// flagSegment marks the first batch of a segment.
const flagSegment = 1

type item struct {
	kind  itemKind
	flags uint8
	id    storage.Partition
	epoch int32
	count int32
	base  int64
	prev  int64
	maxMs int64
	size  uint32
	crc   uint32
}

func (it *item) end() int64 { return it.base + int64(it.count) }

type fileHeader struct {
	kind       fileKind
	seq        uint64
	firstChunk uint64
}

type chunkHeader struct {
	table      int // bytes of header and table
	items      int
	payload    int64
	seq        uint64
	file       uint64
	synced     uint64
	appendedMs int64

	mended []byte // header and table, where one bit had to be flipped back
}

func (c *chunkHeader) size() int64 { return int64(c.table) + c.payload }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func updateChecksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

func (h *fileHeader) encode() []byte {
	b := make([]byte, fileHeaderBytes)
	be := binary.BigEndian
	copy(b, fileMagic)
	be.PutUint32(b[8:], uint32(h.kind))
	be.PutUint64(b[16:], h.seq)
	be.PutUint64(b[24:], h.firstChunk)
	be.PutUint32(b[60:], checksum(b[:60]))
	return b
}

func parseFileHeader(b []byte) (h fileHeader, err error) {
	be := binary.BigEndian
	if len(b) < fileHeaderBytes || string(b[:8]) != fileMagic || be.Uint32(b[60:]) != checksum(b[:60]) {
		return h, fmt.Errorf("%w: not the header of a log file of this format", storage.ErrCorrupt)
	}
	return fileHeader{kind: fileKind(be.Uint32(b[8:])), seq: be.Uint64(b[16:]), firstChunk: be.Uint64(b[24:])}, nil
}

// encode writes header and table at the front of b, which has room for them.
func (c *chunkHeader) encode(b []byte, items func(yield func(*item) bool)) {
	be := binary.BigEndian
	be.PutUint32(b, chunkMagic)
	be.PutUint32(b[8:], uint32(c.table))
	be.PutUint32(b[12:], uint32(c.items))
	be.PutUint64(b[16:], uint64(c.payload))
	be.PutUint64(b[24:], c.seq)
	be.PutUint64(b[32:], c.file)
	be.PutUint64(b[40:], c.synced)
	be.PutUint64(b[48:], uint64(c.appendedMs))
	at := chunkHeaderBytes
	for it := range items {
		it.encode(b[at : at+itemBytes])
		at += itemBytes
	}
	be.PutUint32(b[4:], checksum(b[8:c.table]))
}

func (it *item) encode(b []byte) {
	be := binary.BigEndian
	b[0], b[1], b[2], b[3] = byte(it.kind), it.flags, 0, 0
	be.PutUint32(b[4:], uint32(it.count))
	copy(b[8:24], it.id.Topic[:])
	be.PutUint32(b[24:], uint32(it.id.Index))
	be.PutUint32(b[28:], uint32(it.epoch))
	be.PutUint64(b[32:], uint64(it.base))
	be.PutUint64(b[40:], uint64(it.prev))
	be.PutUint64(b[48:], uint64(it.maxMs))
	be.PutUint32(b[56:], it.size)
	be.PutUint32(b[60:], it.crc)
}

func parseItem(b []byte) (it item) {
	be := binary.BigEndian
	it = item{
		kind: itemKind(b[0]), flags: b[1], count: int32(be.Uint32(b[4:])), epoch: int32(be.Uint32(b[28:])),
		base: int64(be.Uint64(b[32:])), prev: int64(be.Uint64(b[40:])), maxMs: int64(be.Uint64(b[48:])),
		size: be.Uint32(b[56:]), crc: be.Uint32(b[60:]),
	}
	copy(it.id.Topic[:], b[8:24])
	it.id.Index = int32(be.Uint32(b[24:]))
	return it
}

// parseChunkHeader reads the fixed part; the table's CRC is checked by checkTable once it is there.
func parseChunkHeader(b []byte) (c chunkHeader, ok bool) {
	be := binary.BigEndian
	if len(b) < chunkHeaderBytes || be.Uint32(b) != chunkMagic {
		return c, false
	}
	items, table, payload := be.Uint32(b[12:]), be.Uint32(b[8:]), be.Uint64(b[16:])
	if items > maxChunkItems || table != chunkHeaderBytes+items*itemBytes || payload > uint64(items)*maxPayloadBytes {
		return c, false
	}
	return chunkHeader{
		table: int(table), items: int(items), payload: int64(payload), seq: be.Uint64(b[24:]), file: be.Uint64(b[32:]),
		synced: be.Uint64(b[40:]), appendedMs: int64(be.Uint64(b[48:])),
	}, true
}

// checkTable says whether header and table are whole and agree with each other.
func (c *chunkHeader) checkTable(b []byte) bool {
	if len(b) < c.table || binary.BigEndian.Uint32(b[4:]) != checksum(b[8:c.table]) {
		return false
	}
	sum := int64(0)
	for i := range c.items {
		sum += int64(binary.BigEndian.Uint32(b[chunkHeaderBytes+i*itemBytes+56:]))
	}
	return sum == c.payload
}
