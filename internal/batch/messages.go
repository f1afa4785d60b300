package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// A message set is what clients before Kafka 0.11 write and read: messages one after the other,
//
//	offset int64 | size int32 (of what follows) | CRC-32 uint32 (of what follows) | magic int8
//	attributes int8 | timestamp int64 (magic 1 only) | key int32 length, bytes | value likewise
//
// where a compressed message holds another message set in its value. In magic 1 the inner offsets
// count from 0 and the outer offset is that of the last inner message; in magic 0 all are absolute.
const (
	messageFront   = 12 // offset and size
	messageMinSize = 14 // CRC, magic, attributes, null key, null value
	noTimestamp    = -1
)

// Magic is the magic byte of the first message or batch in b.
func Magic(b []byte) (int8, bool) {
	if len(b) <= 16 {
		return 0, false
	}
	return int8(b[16]), true
}

// FromMessages turns a message set of magic 0 or 1 into one v2 batch in the codec of its first
// message. Records of magic 0 have no timestamp, -1.
func FromMessages(b []byte, maxDecompressed int) ([]byte, error) {
	u := unfolding{left: maxDecompressed}
	if err := u.set(b, true); err != nil {
		return nil, err
	}
	if len(u.records) == 0 {
		return nil, fmt.Errorf("%w: a message set without messages", ErrInvalid)
	}
	plain := Encode(u.records, NoProducer())
	if u.codec == None {
		return plain, nil
	}
	return Recompress(plain, u.codec, defaultLevel(u.codec), len(plain))
}

// unfolding collects the records of a message set.
type unfolding struct {
	records []Record
	codec   Codec // of the first message
	left    int   // bytes that may still be decompressed
}

func (u *unfolding) set(b []byte, outer bool) error {
	for len(b) > 0 {
		if len(b) < messageFront {
			return fmt.Errorf("%w: %d bytes at the end of a message set", ErrCorrupt, len(b))
		}
		size := int64(int32(binary.BigEndian.Uint32(b[8:])))
		if size < messageMinSize || size > int64(len(b)-messageFront) {
			return fmt.Errorf("%w: a message of %d bytes in %d", ErrCorrupt, size, len(b)-messageFront)
		}
		if err := u.message(b[messageFront:messageFront+size], outer); err != nil {
			return err
		}
		b = b[messageFront+size:]
	}
	return nil
}

func (u *unfolding) message(m []byte, outer bool) error {
	if crc32.ChecksumIEEE(m[4:]) != binary.BigEndian.Uint32(m) {
		return fmt.Errorf("%w: a message's CRC does not match", ErrCorrupt)
	}
	magic, attributes, rest := m[4], m[5], m[6:]
	if magic > 1 {
		return fmt.Errorf("%w: magic %d in a message set", ErrMagic, magic)
	}
	r := Record{TimestampMs: noTimestamp}
	if magic == 1 {
		if len(rest) < 8 {
			return fmt.Errorf("%w: a short message", ErrCorrupt)
		}
		r.TimestampMs = int64(binary.BigEndian.Uint64(rest))
		rest = rest[8:]
	}
	var ok bool
	if r.Key, rest, ok = sized(rest); ok {
		r.Value, rest, ok = sized(rest)
	}
	if !ok || len(rest) != 0 {
		return fmt.Errorf("%w: a message does not parse", ErrCorrupt)
	}
	codec := Codec(attributes & 7)
	if len(u.records) == 0 && outer {
		u.codec = codec
	}
	if codec == None {
		u.records = append(u.records, r)
		return nil
	}
	if !outer || codec > LZ4 {
		return fmt.Errorf("%w: codec %d, nested %v", ErrCompression, codec, !outer)
	}
	if codec == LZ4 && magic == 0 {
		r.Value = mendLZ4(r.Value)
	}
	inner, err := decompress(codec, nil, r.Value, u.left)
	if err != nil {
		return err
	}
	u.left -= len(inner)
	return u.set(inner, false)
}

// sized takes an int32 length and that many bytes, nil for -1.
func sized(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int64(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	if n == -1 {
		return nil, b, true
	}
	if n < 0 || n > int64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// mendLZ4 puts the right header checksum into an lz4 frame of magic 0, whose writers summed the
// frame's magic number as well (KAFKA-3160).
func mendLZ4(frame []byte) []byte {
	if len(frame) < 7 {
		return frame
	}
	end := 6 // of the frame descriptor
	if frame[4]&8 != 0 {
		end += 8 // content size
	}
	if len(frame) <= end {
		return frame
	}
	mended := append([]byte{}, frame...)
	mended[end] = byte(xxHash32Short(mended[4:end]) >> 8)
	return mended
}

// xxHash32Short is xxHash's 32-bit sum with seed 0 of fewer than 16 bytes.
func xxHash32Short(b []byte) uint32 {
	const p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	h := uint32(p5) + uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}

// ToMessages turns stored v2 batches into a message set of magic 0 or 1 for a reader that starts
// at offset from: uncompressed, without headers and control records, and in magic 0 without
// timestamps. It stops before the message that would make it longer than maxBytes, but gives the
// first one always.
func ToMessages(b []byte, magic int8, from int64, maxBytes, maxDecompressed int) ([]byte, error) {
	var out []byte
	for len(b) > 0 {
		h, err := ReadHeader(b)
		if err != nil {
			return nil, err
		}
		if h.TotalBytes() > len(b) {
			return nil, ErrCorrupt
		}
		for r, err := range Records(b, maxDecompressed) {
			if err != nil {
				return nil, err
			}
			if r.Offset < from || h.Control() {
				continue
			}
			size := messageFront + messageMinSize + 8*int(magic) + len(r.Key) + len(r.Value)
			if len(out) > 0 && len(out)+size > maxBytes {
				return out, nil
			}
			out = appendMessage(out, r, magic, h.LogAppendTime())
		}
		b = b[h.TotalBytes():]
	}
	return out, nil
}

func appendMessage(out []byte, r Record, magic int8, appendTime bool) []byte {
	be := binary.BigEndian
	at := len(out)
	out = be.AppendUint64(out, uint64(r.Offset))
	out = append(out, make([]byte, 8)...) // size and CRC come last
	attributes := byte(0)
	if magic == 1 && appendTime {
		attributes = 8
	}
	out = append(out, byte(magic), attributes)
	if magic == 1 {
		out = be.AppendUint64(out, uint64(r.TimestampMs))
	}
	for _, v := range [][]byte{r.Key, r.Value} {
		if v == nil {
			out = be.AppendUint32(out, 0xffffffff)
			continue
		}
		out = append(be.AppendUint32(out, uint32(len(v))), v...)
	}
	be.PutUint32(out[at+8:], uint32(len(out)-at-messageFront))
	be.PutUint32(out[at+12:], crc32.ChecksumIEEE(out[at+16:]))
	return out
}
