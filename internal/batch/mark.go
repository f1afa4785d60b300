package batch

import (
	"encoding/binary"
	"fmt"
)

// Mark is a header to add to one record of a batch.
type Mark struct {
	Index  int32
	Header RecordHeader
}

// AddHeaders gives a copy of the v2 batch b whose marked records have one more header, the last one.
// Everything else of the batch stays: offsets, producer, sequences, codec and the bytes of keys and
// values. Marks are in the order of their records. b must have passed Validate.
func AddHeaders(b []byte, marks []Mark, maxDecompressed int) ([]byte, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return nil, err
	}
	body, err := decompress(h.Codec(), nil, b[HeaderBytes:], maxDecompressed)
	if err != nil {
		return nil, err
	}
	c := cursor{b: body}
	grown := make([]byte, 0, len(body)+len(marks)*markRoom)
	for i := range h.Count {
		before := c.b
		record := c.take(c.varint())
		if c.bad {
			return nil, fmt.Errorf("%w: record %d does not parse", ErrInvalid, i)
		}
		if len(marks) == 0 || marks[0].Index != i {
			grown = append(grown, before[:len(before)-len(c.b)]...)
			continue
		}
		front, headers, count, ok := splitHeaders(record)
		if !ok {
			return nil, fmt.Errorf("%w: record %d does not parse", ErrInvalid, i)
		}
		tail := binary.AppendVarint(nil, count+1)
		tail = append(tail, headers...)
		tail = binary.AppendVarint(tail, int64(len(marks[0].Header.Key)))
		tail = append(tail, marks[0].Header.Key...)
		tail = appendNullable(tail, marks[0].Header.Value)
		grown = binary.AppendVarint(grown, int64(len(front)+len(tail)))
		grown = append(append(grown, front...), tail...)
		marks = marks[1:]
	}
	out, err := compress(h.Codec(), defaultLevel(h.Codec()), append(make([]byte, 0, HeaderBytes+len(b)), b[:HeaderBytes]...), grown)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	sealCRC(out)
	return out, nil
}

// markRoom is about what a mark adds to a record.
const markRoom = 128

// splitHeaders gives what stands before a record's header count, its headers and their number.
func splitHeaders(record []byte) (front, headers []byte, count int64, ok bool) {
	c := cursor{b: record}
	c.take(1)
	c.varint()
	c.varint()
	c.nullable()
	c.nullable()
	front = record[:len(record)-len(c.b)]
	count = c.varint()
	return front, c.b, count, !c.bad && count >= 0
}
