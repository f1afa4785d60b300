package seaweedfs

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"kelp/internal/storage"
)

// The content of a chunk's entry, all numbers big-endian:
//
//	header   0 "KELPSWC1" (the format version is its last digit) | 8 CRC-32C uint32 of 12 to the end
//	         | 12 sequence uint64 | 20 owner [16]byte | 36 created ms int64 | 44 frames uint32
//	         | 48 payload bytes uint64 | 56 1 when the payloads follow the frames, 0 when they are the entry's blob
//	frame    0 kind | 1 topic id | 17 index int32 | 21 epoch int32 | 25 base int64 | 33 count int32
//	         | 37 max timestamp int64 | 45 payload bytes uint32 | 49 CRC-32C of the payload uint32
//	payloads in the order of the frames
//
// A chunk without frames is a fence.
const (
	chunkMagic  = "KELPSWC1"
	headerBytes = 57
	frameBytes  = 53
)

// Limits of a chunk.
const (
	maxChunkFrames  = 1024    // more wait for the next chunk
	maxChunkBytes   = 1 << 20 // a chunk that has this much payload takes no further frame: larger writes cost volume servers more CPU
	maxPayloadBytes = 1 << 30 // of one frame
	inlineBytes     = 8 << 10 // a payload up to this lies in the entry itself
)

// kind says what a frame does when it is applied.
type kind uint8

const (
	kindCreate     kind = iota + 1 // the partition exists
	kindDelete                     // it does not any more
	kindOpen                       // an owner of this epoch starts at the end
	kindTrim                       // the start is base
	kindBatch                      // payload is a batch
	kindCheckpoint                 // payload is derived state before base
	kindReplace                    // payload is a replacement: settled segments in place of what was in a range
)

type frame struct {
	kind      kind
	partition storage.Partition
	epoch     int32
	base      int64
	count     int32
	maxMs     int64
	payload   []byte // nil after parsing when the payloads are elsewhere
	size      uint32
	crc       uint32
}

// chunk is a committed or coming place in the sequence.
type chunk struct {
	seq       uint64
	owner     [16]byte
	createdMs int64
	frames    []frame
	bytes     int64  // of all payloads
	fileID    string // where the payloads are; empty: in the entry
}

func (c *chunk) inline() bool { return c.fileID == "" }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// content encodes the entry of a chunk.
func (c *chunk) content() []byte {
	be, n := binary.BigEndian, headerBytes+frameBytes*len(c.frames)
	if c.inline() {
		n += int(c.bytes)
	}
	b := append(make([]byte, 0, n), chunkMagic...)
	b = be.AppendUint32(b, 0)
	b = be.AppendUint64(b, c.seq)
	b = append(b, c.owner[:]...)
	b = be.AppendUint64(b, uint64(c.createdMs))
	b = be.AppendUint32(b, uint32(len(c.frames)))
	b = be.AppendUint64(b, uint64(c.bytes))
	if c.inline() {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for i := range c.frames {
		f := &c.frames[i]
		b = append(b, byte(f.kind))
		b = append(b, f.partition.Topic[:]...)
		b = be.AppendUint32(b, uint32(f.partition.Index))
		b = be.AppendUint32(b, uint32(f.epoch))
		b = be.AppendUint64(b, uint64(f.base))
		b = be.AppendUint32(b, uint32(f.count))
		b = be.AppendUint64(b, uint64(f.maxMs))
		b = be.AppendUint32(b, f.size)
		b = be.AppendUint32(b, f.crc)
	}
	if c.inline() {
		b = c.appendPayloads(b)
	}
	be.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return b
}

func (c *chunk) appendPayloads(b []byte) []byte {
	for i := range c.frames {
		b = append(b, c.frames[i].payload...)
	}
	return b
}

// payloadAt is where the payloads begin in an inline chunk's content.
func (c *chunk) payloadAt() int64 { return int64(headerBytes + frameBytes*len(c.frames)) }

// parseChunk reads what content wrote. Payloads alias b. A chunk that is not whole is ErrCorrupt.
func parseChunk(b []byte) (*chunk, error) {
	be := binary.BigEndian
	bad := func(what string) error { return fmt.Errorf("%w: chunk: %s", storage.ErrCorrupt, what) }
	if len(b) < headerBytes || string(b[:8]) != chunkMagic {
		return nil, bad("not of this format")
	}
	if crc32.Checksum(b[12:], castagnoli) != be.Uint32(b[8:]) {
		return nil, bad("wrong checksum")
	}
	c := &chunk{seq: be.Uint64(b[12:]), createdMs: int64(be.Uint64(b[36:])), bytes: int64(be.Uint64(b[48:]))}
	copy(c.owner[:], b[20:])
	n, inline := int64(be.Uint32(b[44:])), b[56] == 1
	rest := b[headerBytes:]
	if n > maxChunkFrames || n*frameBytes > int64(len(rest)) || c.bytes < 0 {
		return nil, bad("too short")
	}
	payloads := rest[n*frameBytes:]
	if inline && int64(len(payloads)) != c.bytes || !inline && len(payloads) != 0 {
		return nil, bad("wrong length")
	}
	sum := int64(0)
	for ; n > 0; n-- {
		f := frame{
			kind: kind(rest[0]), epoch: int32(be.Uint32(rest[21:])), base: int64(be.Uint64(rest[25:])),
			count: int32(be.Uint32(rest[33:])), maxMs: int64(be.Uint64(rest[37:])), size: be.Uint32(rest[45:]), crc: be.Uint32(rest[49:]),
		}
		copy(f.partition.Topic[:], rest[1:])
		f.partition.Index = int32(be.Uint32(rest[17:]))
		rest = rest[frameBytes:]
		if sum += int64(f.size); sum > c.bytes {
			return nil, bad("payloads longer than the chunk")
		}
		if inline {
			f.payload, payloads = payloads[:f.size:f.size], payloads[f.size:]
		}
		c.frames = append(c.frames, f)
	}
	if sum != c.bytes {
		return nil, bad("payloads shorter than the chunk")
	}
	return c, nil
}
