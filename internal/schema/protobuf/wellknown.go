package protobuf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kelp/internal/schema/record"
)

// wellKnown decodes the messages that have a type of their own in records.
func (d *decoder) wellKnown(f *fieldView, pos, end, depth int) (*record.Value, error) {
	s := f.wellKnown
	switch f.how {
	case mapTimestamp:
		seconds, nanos, err := d.secondsAndNanos(s, pos, end)
		if err != nil {
			return nil, err
		}
		micros, ok := microsOf(seconds, nanos)
		if !ok {
			return nil, fmt.Errorf("%w: a timestamp of %d seconds", record.ErrRefused, seconds)
		}
		return d.cells.Timestamp(micros, true), nil
	case mapWrapper:
		v := d.zero(f, &s.fields[0])
		err := d.each(s, pos, end, func(fs *fieldShape, at, end int) (int, error) {
			var n int
			var err error
			v, n, err = d.scalar(f, fs, at, end)
			return n, err
		})
		return v, err
	case mapDecimal:
		return d.confluentDecimal(s, pos, end)
	default:
		w := walker{limits: d.limits, values: d.values}
		if _, err := w.message(d.data[pos:end], s, depth); err != nil {
			return nil, err
		}
		d.values = w.values
		text, err := structToJSON(s.name, d.data[pos:end])
		if err != nil {
			return nil, err
		}
		return d.cells.String(text), nil
	}
}

// each walks a message of a few scalars; unknown fields are dropped.
func (d *decoder) each(s *shape, pos, end int, known func(fs *fieldShape, at, end int) (int, error)) error {
	for pos < end {
		number, wire, n := consumeTag(d.data[pos:end])
		if n < 0 {
			return broken(s.name, n)
		}
		pos += n
		if err := d.count(1); err != nil {
			return err
		}
		var err error
		if fs := s.field(number); fs != nil && fs.accepts(wire) {
			n, err = known(fs, pos, end)
		} else {
			n, err = d.skipUnknown(number, wire, d.data[pos:end], 0)
		}
		if err != nil {
			return err
		}
		pos += n
	}
	return nil
}

func (d *decoder) secondsAndNanos(s *shape, pos, end int) (seconds int64, nanos int32, err error) {
	err = d.each(s, pos, end, func(fs *fieldShape, at, end int) (int, error) {
		u, n := protowire.ConsumeVarint(d.data[at:end])
		if n < 0 {
			return 0, broken(fs.name, n)
		}
		if fs.number == 1 {
			seconds = int64(u)
		} else {
			nanos = int32(u)
		}
		return n, nil
	})
	return seconds, nanos, err
}

const (
	microsPerSecond = 1_000_000
	nanosPerMicro   = 1_000
)

// microsOf rounds down.
func microsOf(seconds int64, nanos int32) (int64, bool) {
	const most = math.MaxInt64/microsPerSecond - 3
	if seconds > most || seconds < -most {
		return 0, false
	}
	return seconds*microsPerSecond + floorDiv(int64(nanos), nanosPerMicro), true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (d *decoder) confluentDecimal(s *shape, pos, end int) (*record.Value, error) {
	var unscaled []byte
	var precision uint32
	var scale int32
	err := d.each(s, pos, end, func(fs *fieldShape, at, end int) (int, error) {
		if fs.number == 1 {
			b, n := protowire.ConsumeBytes(d.data[at:end])
			if n < 0 {
				return 0, broken(fs.name, n)
			}
			unscaled = d.raw(at+n-len(b), at+n)
			return n, nil
		}
		u, n := protowire.ConsumeVarint(d.data[at:end])
		if n < 0 {
			return 0, broken(fs.name, n)
		}
		if fs.number == 2 {
			precision = uint32(u)
		} else {
			scale = int32(u)
		}
		return n, nil
	})
	if err == nil && precision > math.MaxInt32 {
		err = fmt.Errorf("%w: a decimal of precision %d", record.ErrRefused, precision)
	}
	return d.cells.Decimal(unscaled, int32(precision), scale), err
}

// jsonMessage is the Go type of a message that maps to JSON text.
func jsonMessage(name string) proto.Message {
	switch name {
	case "google.protobuf.Struct":
		return &structpb.Struct{}
	case "google.protobuf.ListValue":
		return &structpb.ListValue{}
	}
	return &structpb.Value{}
}

func structToJSON(name string, b []byte) (string, error) {
	m := jsonMessage(name)
	if err := proto.Unmarshal(b, m); err != nil {
		return "", fmt.Errorf("%w: %w", record.ErrPayload, err)
	}
	raw, err := protojson.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("%w: %w", record.ErrRefused, err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return "", fmt.Errorf("%w: %w", record.ErrRefused, err)
	}
	return out.String(), nil
}

func structFromJSON(name, text string, where func(...string) string) ([]byte, error) {
	m := jsonMessage(name)
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: %s is not UTF-8", record.ErrValue, where())
	}
	if err := (protojson.UnmarshalOptions{RecursionLimit: record.DefaultDepth}).Unmarshal([]byte(text), m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", record.ErrValue, where(), err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", record.ErrValue, where(), err)
	}
	return raw, nil
}
