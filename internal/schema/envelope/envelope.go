// Package envelope is Confluent's framing of schema-encoded keys and values: which schema, which
// message of it, and where the payload starts. It knows no schema and no registry.
//
//	prefix   00 | id, 4 bytes big-endian | [indexes] | payload
//	         01 | guid, 16 bytes         | [indexes] | payload
//	header   record header __value_schema_id or __key_schema_id: 01 | guid | [indexes];
//	         the key or value is the payload alone
//	indexes  (Protobuf only) zigzag varints: count, then that many; [0] is the single byte 00
//
// Parse finds the schema; Message then reads the indexes, since only the registry knows whether the
// schema is a Protobuf one. A null key or value has no envelope and stays null.
//
// Invariants: parsing allocates nothing and keeps no copy: what it returns points into its
// arguments; appending what was parsed gives the same bytes, except for indexes in a longer form.
package envelope

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The record headers that carry a schema's guid.
const (
	ValueHeader = "__value_schema_id"
	KeyHeader   = "__key_schema_id"
)

// Lengths of what stands before the indexes.
const (
	IDBytes   = 1 + 4
	GUIDBytes = 1 + 16
)

// MaxIndexes bounds the nesting of the message that indexes may name.
const MaxIndexes = 32

const (
	magicID   = 0
	magicGUID = 1
)

// The errors of parsing; each is wrapped with what was found.
var (
	ErrNoEnvelope = errors.New("no schema envelope")
	ErrIndexes    = errors.New("bad message indexes")
)

// GUID is the identity of a schema in all registries.
type GUID [16]byte

// String writes a guid as a UUID.
func (g GUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
}

// Envelope is a parsed key or value.
type Envelope struct {
	Null     bool   // no envelope, no payload
	InHeader bool   // the schema was named by the record header
	HasGUID  bool   // GUID is set, not ID
	ID       uint32 // in the registry's context
	GUID     GUID

	// Rest follows the schema's identity: for Protobuf the indexes, and in prefix form the payload.
	Rest []byte
	// Body is the whole key or value.
	Body []byte
}

// Parse reads the envelope of a key or value, nil meaning null. header is what Header found; it is
// looked at first.
func Parse(body, header []byte) (Envelope, error) {
	if body == nil {
		return Envelope{Null: true}, nil
	}
	e := Envelope{Body: body}
	from := body
	if header != nil {
		e.InHeader, from = true, header
	}
	switch {
	case len(from) == 0:
		return Envelope{}, fmt.Errorf("%w: no bytes", ErrNoEnvelope)
	case from[0] == magicID && len(from) >= IDBytes:
		e.ID, e.Rest = binary.BigEndian.Uint32(from[1:]), from[IDBytes:]
	case from[0] == magicGUID && len(from) >= GUIDBytes:
		e.HasGUID, e.GUID, e.Rest = true, GUID(from[1:GUIDBytes]), from[GUIDBytes:]
	case from[0] > magicGUID:
		return Envelope{}, fmt.Errorf("%w: unknown magic byte %d", ErrNoEnvelope, from[0])
	default:
		return Envelope{}, fmt.Errorf("%w: only %d bytes", ErrNoEnvelope, len(from))
	}
	return e, nil
}

// Header is the value of the last record header of a name, nil if there is none. One that is there
// without a value counts as none.
func Header(headers []kmsg.Header, name string) []byte {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Key == name {
			return headers[i].Value
		}
	}
	return nil
}

// Payload is the payload of a schema without message indexes, Avro and JSON Schema.
func (e *Envelope) Payload() ([]byte, error) {
	if !e.InHeader {
		return e.Rest, nil
	}
	if len(e.Rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the guid in the header", ErrNoEnvelope, len(e.Rest))
	}
	return e.Body, nil
}

// Message reads the message indexes of a Protobuf schema and gives the payload after them.
func (e *Envelope) Message() (Indexes, []byte, error) {
	x, rest, err := ParseIndexes(e.Rest)
	if err != nil || !e.InHeader {
		return x, rest, err
	}
	if len(rest) > 0 {
		return Indexes{}, nil, fmt.Errorf("%w: %d bytes after them in the header", ErrIndexes, len(rest))
	}
	return x, e.Body, nil
}

// MessageOrFirst is Message for topics that take records without message indexes, as one JavaScript
// client writes them: where the indexes cannot be read, or the payload after them is not valid,
// the payload is taken as the first message, without indexes. valid decides; its error for the
// regular reading is returned if neither fits.
func (e *Envelope) MessageOrFirst(valid func(Indexes, []byte) error) (Indexes, []byte, error) {
	x, payload, err := e.Message()
	if err == nil {
		if err = valid(x, payload); err == nil {
			return x, payload, nil
		}
	}
	first := Indexes{n: 1}
	plain := e.Rest
	if e.InHeader {
		plain = e.Body
	}
	if valid(first, plain) == nil {
		return first, plain, nil
	}
	return Indexes{}, nil, err
}

// AppendID appends the prefix form with an id.
func AppendID(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, magicID), id)
}

// AppendGUID appends the form with a guid, for the record header or as a prefix.
func AppendGUID(dst []byte, g GUID) []byte {
	return append(append(dst, magicGUID), g[:]...)
}

// Indexes name a message: a top-level one, one nested in it, and so on. The zero value is empty
// and stands for the first message.
type Indexes struct {
	n int
	i [MaxIndexes]int32
}

// NewIndexes makes indexes, which must not be negative.
func NewIndexes(indexes ...int) (Indexes, error) {
	if len(indexes) > MaxIndexes {
		return Indexes{}, fmt.Errorf("%w: %d of them, more than %d", ErrIndexes, len(indexes), MaxIndexes)
	}
	x := Indexes{n: len(indexes)}
	for k, i := range indexes {
		if i < 0 || i > math.MaxInt32 {
			return Indexes{}, fmt.Errorf("%w: %d", ErrIndexes, i)
		}
		x.i[k] = int32(i)
	}
	return x, nil
}

// Append appends the indexes to a slice, in their order.
func (x *Indexes) Append(dst []int) []int {
	for _, i := range x.i[:x.n] {
		dst = append(dst, int(i))
	}
	return dst
}

// First says whether these are the indexes of the first message.
func (x *Indexes) First() bool { return x.n == 0 || x.n == 1 && x.i[0] == 0 }

// ParseIndexes reads indexes in front of data. Any legal spelling of a number is taken.
func ParseIndexes(data []byte) (Indexes, []byte, error) {
	count, data, err := zigzag(data)
	if err != nil {
		return Indexes{}, nil, err
	}
	x := Indexes{n: int(count)}
	switch {
	case count == 0:
		x.n = 1
		return x, data, nil
	case count < 0:
		return Indexes{}, nil, fmt.Errorf("%w: count %d", ErrIndexes, count)
	case int(count) > len(data):
		return Indexes{}, nil, fmt.Errorf("%w: count %d in %d bytes", ErrIndexes, count, len(data))
	case count > MaxIndexes:
		return Indexes{}, nil, fmt.Errorf("%w: %d of them, more than %d", ErrIndexes, count, MaxIndexes)
	}
	for k := range x.n {
		if x.i[k], data, err = zigzag(data); err != nil {
			return Indexes{}, nil, err
		}
		if x.i[k] < 0 {
			return Indexes{}, nil, fmt.Errorf("%w: %d", ErrIndexes, x.i[k])
		}
	}
	return x, data, nil
}

// AppendIndexes appends indexes as Confluent's serializers do.
func AppendIndexes(dst []byte, x Indexes) []byte {
	if x.First() {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(x.n))
	for _, i := range x.i[:x.n] {
		dst = binary.AppendVarint(dst, int64(i))
	}
	return dst
}

// zigzag reads a varint of 32 bits, in five bytes at most.
func zigzag(data []byte) (int32, []byte, error) {
	v, n := binary.Varint(data)
	switch {
	case n == 0:
		return 0, nil, fmt.Errorf("%w: cut off", ErrIndexes)
	case n < 0 || n > 5 || v > math.MaxInt32 || v < math.MinInt32:
		return 0, nil, fmt.Errorf("%w: a number has more than 32 bits", ErrIndexes)
	}
	return int32(v), data[n:], nil
}
