package record

import (
	"bytes"
	"errors"
)

// The errors of a [Codec]. Each is wrapped with what and where, fit for the person who wrote the
// record or the schema.
var (
	ErrPayload = errors.New("payload does not match its schema")      // Validate, Decode, AppendJSON
	ErrValue   = errors.New("record value does not fit the schema")   // Encode
	ErrType    = errors.New("schema has no record type")              // RecordType, Decode, Encode: something is refused
	ErrRefused = errors.New("value cannot be held in a record")       // Decode: valid, but RecordValue has no place for it
	ErrLimit   = errors.New("record is beyond the limits")            // Validate, Decode, Encode, AppendJSON
	ErrMessage = errors.New("schema has no message at these indexes") // Coder.Codec
)

// Codec turns payloads of one schema, without their envelope, into record values and back. It is
// immutable and safe for concurrent use; make one per schema (and message) and keep it.
//
// No method keeps the bytes it is given or gives them out again: a RecordValue owns its memory.
type Codec interface {
	// RecordType is the type of every value that Decode returns. It is shared: do not change it.
	RecordType() (*RecordType, error)
	// Validate says whether a payload is exactly one record of the schema, strictly: nothing after
	// it, no value that the format forbids. It allocates nothing that grows with the payload.
	Validate(payload []byte) error
	Decode(payload []byte) (*RecordValue, error)
	// Encode writes the format's usual bytes for a value. They may differ from those that were
	// decoded, see Exact. Fields that the schema does not have are an error.
	Encode(*RecordValue) ([]byte, error)
	// AppendJSON appends a payload as JSON for people and tools, in the format's own mapping.
	AppendJSON(dst, payload []byte) ([]byte, error)
}

// Coder is what the schemas of all formats implement beside schema.Schema.
type Coder interface {
	Codec(Options) (Codec, error)
}

// Options of a Codec.
type Options struct {
	// MessageIndexes names the message of a Protobuf schema, as in the envelope; empty means the
	// first one. Other formats refuse indexes.
	MessageIndexes []int
	Limits         Limits
}

// Limits bound what decoding untrusted bytes may cost. Zero fields take the default.
type Limits struct {
	Depth  int // of records, lists and unions within each other
	Values int // of one record in all, counting every element and field
	Bytes  int // of a payload
}

// Defaults of Limits. The deepest value that protobuf's own decoders take is 100; a payload of
// single-byte elements has as many values as bytes.
const (
	DefaultDepth  = 100
	DefaultValues = 1 << 20
	DefaultBytes  = 64 << 20
)

// WithDefaults fills in the zero fields.
func (l Limits) WithDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	if l.Values == 0 {
		l.Values = DefaultValues
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	return l
}

// Exact decodes a payload and reports whether encoding the value again gives the same bytes. Where
// it does not, the payload itself has to be kept to return what was produced.
func Exact(c Codec, payload []byte) (v *RecordValue, exact bool, err error) {
	v, err = c.Decode(payload)
	if err != nil {
		return nil, false, err
	}
	again, err := c.Encode(v)
	if err != nil {
		// The payload is good. A value with no way back is inexact, and that is the answer.
		return v, false, nil //nolint:nilerr // reported as exact=false
	}
	return v, bytes.Equal(again, payload), nil
}
