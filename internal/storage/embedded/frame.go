package embedded

import (
	"encoding/binary"
	"hash/crc32"

	"kelp/internal/storage"
)

// A journal file is a file header and then frames, one after the other:
//
//	file header  0 "KELPJRN1" (the format version is its last digit) | 8 sequence uint64
//	frame        0 magic uint32 | 4 CRC-32C uint32 of 8 to the end | 8 frame length uint32
//	             12 kind uint32 | 16 topic id | 32 index int32 | 36 epoch int32 | 40 base int64
//	             48 count int32 | 52 max timestamp int64 | 60 payload
//
// All numbers are big-endian.
const (
	fileMagic       = "KELPJRN1"
	fileHeaderBytes = 16
	frameMagic      = 0x4b46524d
	frameBytes      = 60
	maxFrameBytes   = 1 << 30
)

// kind says what a frame does on replay.
type kind uint32

const (
	kindCreate     kind = iota + 1 // the partition exists
	kindDelete                     // it does not any more
	kindOpen                       // an owner of this epoch starts at base
	kindTrim                       // the start is base
	kindBatch                      // payload is a batch
	kindCheckpoint                 // payload is derived state before base
	kindSnapshot                   // payload is the JSON of all partitions; what it lacks is gone
)

type frame struct {
	kind      kind
	partition storage.Partition
	epoch     int32
	base      int64
	count     int32
	maxMs     int64
	payload   []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(b []byte, f *frame) []byte {
	be, start := binary.BigEndian, len(b)
	b = be.AppendUint32(b, frameMagic)
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, uint32(frameBytes+len(f.payload)))
	b = be.AppendUint32(b, uint32(f.kind))
	b = append(b, f.partition.Topic[:]...)
	b = be.AppendUint32(b, uint32(f.partition.Index))
	b = be.AppendUint32(b, uint32(f.epoch))
	b = be.AppendUint64(b, uint64(f.base))
	b = be.AppendUint32(b, uint32(f.count))
	b = be.AppendUint64(b, uint64(f.maxMs))
	b = append(b, f.payload...)
	be.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// parseFrame reads the frame at the front of b; ok is false for anything torn or damaged. The
// payload aliases b.
func parseFrame(b []byte) (f frame, size int, ok bool) {
	be := binary.BigEndian
	if len(b) < frameBytes || be.Uint32(b) != frameMagic {
		return f, 0, false
	}
	n := int64(be.Uint32(b[8:]))
	if n < frameBytes || n > maxFrameBytes || n > int64(len(b)) || crc32.Checksum(b[8:n], castagnoli) != be.Uint32(b[4:]) {
		return f, 0, false
	}
	f = frame{
		kind: kind(be.Uint32(b[12:])), epoch: int32(be.Uint32(b[36:])), base: int64(be.Uint64(b[40:])),
		count: int32(be.Uint32(b[48:])), maxMs: int64(be.Uint64(b[52:])), payload: b[frameBytes:n:n],
	}
	copy(f.partition.Topic[:], b[16:32])
	f.partition.Index = int32(be.Uint32(b[32:]))
	return f, int(n), true
}
