package batch

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// RecordHeader is one header of a record.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Key and Value are nil for null and alias the decoded batch.
type Record struct {
	Offset, TimestampMs int64
	Key, Value          []byte
	Headers             []RecordHeader

	rawHeaders  []byte // where Headers are not decoded
	headerCount int64
}

// LastHeader gives the value of the last header of a name in a record as Validate shows it, nil if
// there is none. One without a value counts as none.
func (r *Record) LastHeader(name string) []byte {
	var last []byte
	c := cursor{b: r.rawHeaders}
	for range r.headerCount {
		key := c.take(c.varint())
		value := c.nullable()
		if string(key) == name {
			last = value
		}
	}
	return last
}

// Validate checks the one whole v2 batch that b must be: length, magic, CRC-32C, counts, and that
// every record parses with the offset delta it must have. Each record, with its headers only in reach
// of LastHeader, is shown to each by its index; what it aliases is gone afterwards.
func Validate(b []byte, maxDecompressed int, each func(int32, Record)) (Header, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return h, err
	}
	if h.TotalBytes() != len(b) {
		return h, fmt.Errorf("%w: %d bytes where the batch says %d", ErrCorrupt, len(b), h.TotalBytes())
	}
	if err := h.VerifyCRC(b); err != nil {
		return h, err
	}
	if h.Count <= 0 || h.LastOffsetDelta != h.Count-1 {
		return h, fmt.Errorf("%w: %d records with last offset delta %d", ErrInvalid, h.Count, h.LastOffsetDelta)
	}
	n := int32(0)
	for r, err := range walk(b, h, maxDecompressed, false) {
		if err != nil {
			return h, err
		}
		if r.Offset != h.BaseOffset+int64(n) {
			return h, fmt.Errorf("%w: record %d has offset delta %d", ErrInvalid, n, r.Offset-h.BaseOffset)
		}
		if each != nil {
			each(n, r)
		}
		n++
	}
	return h, nil
}

// Records decodes the records of the v2 batch at the front of b. After an error nothing follows.
func Records(b []byte, maxDecompressed int) iter.Seq2[Record, error] {
	h, err := ReadHeader(b)
	if err == nil && h.TotalBytes() > len(b) {
		err = ErrCorrupt
	}
	if err != nil {
		return func(yield func(Record, error) bool) { yield(Record{}, err) }
	}
	return walk(b[:h.TotalBytes()], h, maxDecompressed, true)
}

// walk yields the records. Without headers nothing is allocated per record, and the records alias
// a pooled buffer.
func walk(b []byte, h Header, maxDecompressed int, headers bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var scratch []byte
		if !headers && h.Codec() != None {
			pooled := scratches.Get().(*[]byte)
			scratch = (*pooled)[:0]
			defer func() {
				if cap(scratch) <= maxScratchBytes {
					*pooled = scratch
				}
				scratches.Put(pooled)
			}()
		}
		body, err := decompress(h.Codec(), scratch, b[HeaderBytes:], maxDecompressed)
		if err != nil {
			yield(Record{}, err)
			return
		}
		if scratch != nil {
			scratch = body
		}
		c := cursor{b: body}
		for i := range h.Count {
			r, ok := c.record(h, headers)
			if !ok {
				yield(Record{}, fmt.Errorf("%w: record %d does not parse", ErrInvalid, i))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if len(c.b) != 0 {
			yield(Record{}, fmt.Errorf("%w: %d bytes after the last record", ErrInvalid, len(c.b)))
		}
	}
}

// cursor reads varints and byte strings; after a fault bad is set and all reads give zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) take(n int64) []byte {
	if n < 0 || n > int64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) nullable() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	return c.take(n)
}

// record reads one record:
//
//	length varint | attributes int8 | timestamp delta varlong | offset delta varint
//	key length varint, key | value length varint, value | header count varint | headers
func (c *cursor) record(h Header, headers bool) (Record, bool) {
	in := cursor{b: c.take(c.varint())}
	if c.bad {
		return Record{}, false
	}
	in.take(1)
	r := Record{TimestampMs: h.BaseTimestampMs + in.varint(), Offset: h.BaseOffset + in.varint()}
	if h.LogAppendTime() {
		r.TimestampMs = h.MaxTimestampMs
	}
	r.Key, r.Value = in.nullable(), in.nullable()
	n := in.varint()
	if n < 0 || n > int64(len(in.b)) {
		return r, false
	}
	r.rawHeaders, r.headerCount = in.b, n
	for range n {
		keyBytes := in.varint()
		key := in.take(keyBytes)
		value := in.nullable()
		if headers && !in.bad {
			r.Headers = append(r.Headers, RecordHeader{Key: string(key), Value: value})
		}
	}
	return r, !in.bad && len(in.b) == 0
}
