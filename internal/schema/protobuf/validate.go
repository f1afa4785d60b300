package protobuf

import (
	"fmt"
	"math/bits"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"kelp/internal/schema/record"
)

// walker counts what a payload costs.
type walker struct {
	limits record.Limits
	values int
}

func (w *walker) count(n int) error {
	if w.values += n; w.values > w.limits.Values {
		return fmt.Errorf("%w: more than %d values", record.ErrLimit, w.limits.Values)
	}
	return nil
}

func (w *walker) deeper(depth int) error {
	if depth >= w.limits.Depth {
		return fmt.Errorf("%w: nested deeper than %d", record.ErrLimit, w.limits.Depth)
	}
	return nil
}

// Validate walks the payload and allocates nothing, unless a required field seems to be missing.
func (c *codec) Validate(payload []byte) error {
	if len(payload) > c.limits.Bytes {
		return fmt.Errorf("%w: more than %d bytes", record.ErrLimit, c.limits.Bytes)
	}
	w := walker{limits: c.limits}
	complete, err := w.message(payload, c.shape, 0)
	if err != nil || complete {
		return err
	}
	// A message that comes twice is one message: what one part lacks the other may have.
	m := dynamicpb.NewMessage(c.shape.desc)
	if err := (proto.UnmarshalOptions{RecursionLimit: c.limits.Depth, AllowPartial: true}).Unmarshal(payload, m); err != nil {
		return fmt.Errorf("%w: %w", record.ErrPayload, err)
	}
	if err := proto.CheckInitialized(m); err != nil {
		return fmt.Errorf("%w: %w", record.ErrPayload, err)
	}
	return nil
}

// consumeTag refuses field numbers that no schema can have, as protobuf's parsers do.
func consumeTag(b []byte) (protowire.Number, protowire.Type, int) {
	number, wire, n := protowire.ConsumeTag(b)
	if n > 0 && number > protowire.MaxValidNumber {
		return 0, 0, badNumber
	}
	return number, wire, n
}

// badNumber is protowire's code for a field number out of range.
const badNumber = -2

func broken(where string, n int) error {
	return fmt.Errorf("%w: %s: %w", record.ErrPayload, where, protowire.ParseError(n))
}

// message reports whether all required fields are there, also in the messages within.
func (w *walker) message(b []byte, s *shape, depth int) (complete bool, err error) {
	if err := w.deeper(depth); err != nil {
		return false, err
	}
	complete = true
	var have requiredSet
	hasValue := false // of a map's entry
	for len(b) > 0 {
		number, wire, n := consumeTag(b)
		if n < 0 {
			return false, broken(s.name, n)
		}
		b = b[n:]
		if err := w.count(1); err != nil {
			return false, err
		}
		f := s.field(number)
		if f == nil || !f.accepts(wire) {
			if n, err = w.skipUnknown(number, wire, b, depth); err != nil {
				return false, err
			}
			b = b[n:]
			continue
		}
		var whole bool
		if whole, n, err = w.known(f, wire, b, depth); err != nil {
			return false, err
		}
		complete = complete && whole
		hasValue = hasValue || number == entryValue
		b = b[n:]
		if f.required {
			have.add(s, f)
		}
	}
	if s.entry && !hasValue && s.fields[1].message != nil {
		// The value is an empty message.
		complete = complete && len(s.fields[1].message.required) == 0
	}
	return complete && have.covers(s), nil
}

// entryValue is the number of the value in a map's entry.
const entryValue = 2

// requiredSet notes which of a message's required fields were there.
type requiredSet struct{ first uint64 }

func (r *requiredSet) add(s *shape, f *fieldShape) {
	for i, at := range s.required {
		if &s.fields[at] == f {
			r.first |= 1 << min(i, 63)
			return
		}
	}
}

// covers is exact for up to 63 required fields and says no for more.
func (r *requiredSet) covers(s *shape) bool {
	return bits.OnesCount64(r.first) == len(s.required) && len(s.required) < 64
}

// known checks one value of a field and gives its length.
func (w *walker) known(f *fieldShape, wire protowire.Type, b []byte, depth int) (complete bool, n int, err error) {
	switch wire {
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return false, 0, broken(f.name, n)
		}
		complete, err := w.delimited(f, v, depth)
		return complete, n, err
	case protowire.StartGroupType:
		v, n := protowire.ConsumeGroup(f.number, b)
		if n < 0 {
			return false, 0, broken(f.name, n)
		}
		complete, err := w.message(v, f.message, depth+1)
		return complete, n, err
	default:
		n := protowire.ConsumeFieldValue(f.number, wire, b)
		if n < 0 {
			return false, 0, broken(f.name, n)
		}
		return true, n, nil
	}
}

func (w *walker) delimited(f *fieldShape, v []byte, depth int) (complete bool, err error) {
	switch {
	case f.message != nil:
		return w.message(v, f.message, depth+1)
	case f.packable():
		return true, w.packed(f, v)
	case f.utf8 && !utf8.Valid(v):
		return false, fmt.Errorf("%w: %s is not UTF-8", record.ErrPayload, f.name)
	}
	return true, nil
}

// packed checks a run of numbers.
func (w *walker) packed(f *fieldShape, v []byte) error {
	size := 0
	switch f.wire {
	case protowire.Fixed32Type:
		size = 4
	case protowire.Fixed64Type:
		size = 8
	default:
		n := 0
		for len(v) > 0 {
			_, k := protowire.ConsumeVarint(v)
			if k < 0 {
				return broken(f.name, k)
			}
			v = v[k:]
			n++
		}
		return w.count(n)
	}
	if len(v)%size != 0 {
		return fmt.Errorf("%w: %s has %d bytes of packed values of %d", record.ErrPayload, f.name, len(v), size)
	}
	return w.count(len(v) / size)
}

// skipUnknown gives the length of a value that the schema does not have.
func (w *walker) skipUnknown(number protowire.Number, wire protowire.Type, b []byte, depth int) (int, error) {
	if wire == protowire.StartGroupType {
		return w.skipGroup(number, b, depth)
	}
	n := protowire.ConsumeFieldValue(number, wire, b)
	if n < 0 {
		return 0, broken(fmt.Sprintf("field %d", number), n)
	}
	return n, nil
}

// skipGroup skips a group with our limit of depth instead of the library's.
func (w *walker) skipGroup(number protowire.Number, b []byte, depth int) (int, error) {
	if err := w.deeper(depth + 1); err != nil {
		return 0, err
	}
	start := len(b)
	for {
		inner, wire, n := consumeTag(b)
		if n < 0 {
			return 0, broken(fmt.Sprintf("group %d", number), n)
		}
		b = b[n:]
		if wire == protowire.EndGroupType {
			if inner != number {
				return 0, fmt.Errorf("%w: group %d ends as %d", record.ErrPayload, number, inner)
			}
			return start - len(b), nil
		}
		if err := w.count(1); err != nil {
			return 0, err
		}
		n, err := w.skipUnknown(inner, wire, b, depth+1)
		if err != nil {
			return 0, err
		}
		b = b[n:]
	}
}
