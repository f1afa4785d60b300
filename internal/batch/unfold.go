package batch

import (
	"encoding/binary"
	"fmt"
)

// Unfolded is a stored batch taken apart, so that the cleaner can keep some of its records: the
// bytes of those it keeps are not looked into again. One may be used for many batches, one after the
// other.
type Unfolded struct {
	Header
	Records []Entry

	b       []byte // the batch
	scratch []byte // what it unfolds to, used again
	packed  []byte // what is kept of it, used again
}

// Entry is one record of an unfolded batch. What it points to is good until the next Read.
type Entry struct {
	Offset, TimestampMs int64
	Key                 []byte // nil: null
	Tombstone           bool   // the value is null
	Drop                bool   // Pack leaves it out

	value []byte
	whole []byte // with its length
	rest  []byte // from the offset delta on
}

// Read takes apart the batch at the front of b after checking its CRC: a damaged one must not get a
// new checksum. The batch may be empty, which only cleaning makes it.
func (u *Unfolded) Read(b []byte, maxDecompressed int) error {
	var err error
	u.Records = u.Records[:0]
	if u.Header, err = ReadHeader(b); err != nil {
		return err
	}
	if err := u.VerifyCRC(b); err != nil {
		return err
	}
	u.b = b[:u.TotalBytes()]
	if u.Count == 0 {
		return nil
	}
	body, err := decompress(u.Codec(), u.scratch[:0], u.b[HeaderBytes:], maxDecompressed)
	if err != nil {
		return err
	}
	if u.Codec() != None && cap(body) <= maxScratchBytes {
		u.scratch = body
	}
	for i := range u.Count {
		e, size, ok := u.entry(body)
		if !ok {
			return fmt.Errorf("%w: record %d does not parse", ErrInvalid, i)
		}
		u.Records = append(u.Records, e)
		body = body[size:]
	}
	if len(body) != 0 {
		return fmt.Errorf("%w: %d bytes after the last record", ErrInvalid, len(body))
	}
	return nil
}

func (u *Unfolded) entry(b []byte) (e Entry, size int, ok bool) {
	outer := cursor{b: b}
	in := cursor{b: outer.take(outer.varint())}
	if outer.bad {
		return e, 0, false
	}
	size = len(b) - len(outer.b)
	in.take(1)
	e = Entry{TimestampMs: u.BaseTimestampMs + in.varint(), whole: b[:size]}
	if u.LogAppendTime() {
		e.TimestampMs = u.MaxTimestampMs
	}
	e.rest = in.b
	e.Offset = u.BaseOffset + in.varint()
	e.Key = in.nullable()
	e.value = in.nullable()
	e.Tombstone = e.value == nil
	return e, size, !in.bad
}

// Bytes is the batch as it was read.
func (u *Unfolded) Bytes() []byte { return u.b }

// Marker reads a record of a control batch; ok is false for control records of other kinds.
func (u *Unfolded) Marker(i int) (m Marker, ok bool) {
	e := &u.Records[i]
	return ReadMarker(Record{Key: e.Key, Value: e.value})
}

// Pack gives a batch with the records that are not dropped, in the same codec, at the same offsets
// and with the offsets and sequences of the whole batch. A delete horizon of 0 or more is set
// (KIP-534). It gives nil when no record is left.
func (u *Unfolded) Pack(horizonMs int64) ([]byte, error) {
	count, largestMs := int32(0), int64(-1)
	body := u.packed[:0]
	for i := range u.Records {
		e := &u.Records[i]
		if e.Drop {
			continue
		}
		count, largestMs = count+1, max(largestMs, e.TimestampMs)
		if horizonMs < 0 {
			body = append(body, e.whole...)
			continue
		}
		var delta [binary.MaxVarintLen64]byte
		n := binary.PutVarint(delta[:], e.TimestampMs-horizonMs)
		body = binary.AppendVarint(body, int64(1+n+len(e.rest)))
		body = append(append(append(body, 0), delta[:n]...), e.rest...)
	}
	if count == 0 {
		return nil, nil
	}
	if cap(body) <= maxScratchBytes {
		u.packed = body
	}
	room := min(len(body), len(u.b)) // what stays is seldom larger than all was
	out, err := compress(u.Codec(), defaultLevel(u.Codec()), append(make([]byte, 0, HeaderBytes+room), u.b[:HeaderBytes]...), body)
	if err != nil {
		return nil, err
	}
	if horizonMs >= 0 {
		out[22] |= deleteHorizonBit
		binary.BigEndian.PutUint64(out[27:], uint64(horizonMs))
	}
	if !u.LogAppendTime() {
		binary.BigEndian.PutUint64(out[35:], uint64(largestMs))
	}
	u.seal(out, count)
	return out, nil
}

// Hollow gives the batch without any record. It still says which offsets and sequences it had.
func (u *Unfolded) Hollow() []byte {
	out := append([]byte{}, u.b[:HeaderBytes]...)
	out[22] &= logAppendTimeBit | transactionalBit | controlBit
	binary.BigEndian.PutUint64(out[27:], uint64(1<<64-1)) // no base timestamp: -1
	u.seal(out, 0)
	return out
}

func (u *Unfolded) seal(out []byte, count int32) {
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[57:], uint32(count))
	sealCRC(out)
}
