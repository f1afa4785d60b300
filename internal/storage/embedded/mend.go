package embedded

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// A checksum says more than that something is damaged: when one bit was flipped it says which, as every
// place leaves another difference between the checksum that is stored and the one that is found
// (CRC-32C tells all places within 2^31 bits apart). Tables of chunks are mended so, because without a
// table nobody knows whose batches are lost. Batches are not: what is not as it was written is not
// served. But a chunk of which one bit is wrong was written whole, so that it is damage and no torn tail.

// diskSector is what a disk writes whole or not at all.
const diskSector = 512

// flippedBit is the place of the one bit whose flip explains the checksum that was found, as the
// index of its byte and its mask; at is -1 when one bit does not explain it.
func flippedBit(b []byte, want uint32) (at int, mask byte) {
	difference := checksum(b) ^ want
	if difference == 0 {
		return -1, 0
	}
	var of [8]uint32 // what a flip of each bit of one byte leaves, from the last byte to the first
	for bit := range of {
		of[bit] = castagnoli[1<<bit]
	}
	for i := len(b) - 1; i >= 0; i-- {
		for bit := range of {
			if of[bit] == difference {
				return i, 1 << bit
			}
			of[bit] = castagnoli[byte(of[bit])] ^ of[bit]>>8
		}
	}
	return -1, 0
}

// mendBytes flips back the one bit that is wrong; false when that does not explain it.
func mendBytes(b []byte, want uint32) bool {
	at, mask := flippedBit(b, want)
	if at >= 0 {
		b[at] ^= mask
	}
	return at >= 0
}

// mendTable gives the header and table that lie at pos of their file, at the front of b, as they were
// before one bit of them was flipped; nil when that does not explain what is there, or a write that was
// cut short does. b is left as it is and may be longer.
func mendTable(b []byte, pos int64) []byte {
	t := unflipped(b)
	for i := range t {
		if t[i] != b[i] {
			if !reached(b[:len(t)], i, pos) {
				return nil
			}
			return t
		}
	}
	return nil
}

// likeTable says that b may begin with a chunk's header of which at most one bit is wrong.
func likeTable(b []byte) bool { return bits.OnesCount32(binary.BigEndian.Uint32(b)^chunkMagic) <= 1 }

func unflipped(b []byte) []byte {
	if len(b) < chunkHeaderBytes || !likeTable(b) {
		return nil
	}
	be := binary.BigEndian
	c := append([]byte(nil), b[:chunkHeaderBytes]...)
	whole := func() []byte {
		h, ok := parseChunkHeader(c)
		if !ok || h.table > len(b) {
			return nil
		}
		t := slices.Concat(c, b[chunkHeaderBytes:h.table])
		if h.checkTable(t) {
			return t
		}
		return nil
	}
	if be.Uint32(c) != chunkMagic {
		be.PutUint32(c, chunkMagic)
		return whole()
	}
	h, ok := parseChunkHeader(c)
	if !ok { // a length that cannot be: only then do the lengths have to be guessed
		for i := 8; i < 24; i++ {
			for bit := range 8 {
				c[i] ^= 1 << bit
				if t := whole(); t != nil {
					return t
				}
				c[i] ^= 1 << bit
			}
		}
		return nil
	}
	if h.table > len(b) {
		return nil
	}
	t := append([]byte(nil), b[:h.table]...)
	if sum := checksum(t[8:]); bits.OnesCount32(sum^be.Uint32(t[4:])) == 1 {
		be.PutUint32(t[4:], sum)
	} else if !mendBytes(t[8:], be.Uint32(t[4:])) {
		return nil
	}
	if h, ok = parseChunkHeader(t); ok && h.table == len(t) && h.checkTable(t) {
		return t
	}
	return nil
}

// flipped says that one bit of a payload that lies at pos of its file is wrong and that a write that
// was cut short does not explain it.
func flipped(b []byte, want uint32, pos int64) bool {
	at, _ := flippedBit(b, want)
	return at >= 0 && reached(b, at, pos)
}

// reached says that a write which was cut short does not explain that a bit of byte at is missing. What
// lies at pos of the file was all zeros before: its sector would hold nothing, or nothing would follow.
func reached(b []byte, at int, pos int64) bool {
	from := max(int64(at)-(pos+int64(at))%diskSector, 0)
	sector := b[from:min(from+diskSector, int64(len(b)))]
	return !zero(sector) && !zero(b[at:])
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
