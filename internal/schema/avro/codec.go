package avro

import (
	"errors"
	"fmt"
	"sync"

	"kelp/internal/schema/record"
)

// codec is the record.Codec of a schema.
type codec struct {
	root   *node
	limits record.Limits
	sizes  record.Sizes
	plan   func() (*plan, error) // made when first asked for
	typ    func() (*record.RecordType, error)
}

var errIndexes = errors.New("an Avro schema has no message indexes")

// Codec makes the codec of the schema.
func (s *Schema) Codec(o record.Options) (record.Codec, error) {
	if len(o.MessageIndexes) > 0 {
		return nil, fmt.Errorf("%w: %w", record.ErrMessage, errIndexes)
	}
	c := &codec{root: s.root, limits: o.Limits.WithDefaults()}
	c.plan = sync.OnceValues(func() (*plan, error) { return newPlan(c.root) })
	c.typ = sync.OnceValues(func() (*record.RecordType, error) {
		p, err := c.plan()
		if err != nil {
			return nil, err
		}
		if p.how == asRecord {
			return p.typ.GetRecordType(), nil
		}
		return record.NewRecordType(record.NewField(record.RootField, p.typ, !p.optional()))
	})
	return c, nil
}

// RecordType has the fields of the root record, or the one field of any other root.
func (c *codec) RecordType() (*record.RecordType, error) { return c.typ() }

// raw: a schema of plain bytes has the payload for its value, without Avro's length in front.
func (c *codec) raw() bool { return c.root.kind == bytesKind }

// Validate walks the payload once without keeping anything.
func (c *codec) Validate(payload []byte) error {
	w, err := newWalker(payload, c.limits)
	if err != nil || c.raw() {
		return err
	}
	if err := w.skip(c.root, 0); err != nil {
		return err
	}
	return w.end()
}

// Decode walks the payload once.
func (c *codec) Decode(payload []byte) (*record.RecordValue, error) {
	p, err := c.plan()
	if err != nil {
		return nil, err
	}
	w, err := newWalker(payload, c.limits)
	if err != nil {
		return nil, err
	}
	d := decoder{walker: w, cells: c.sizes.Cells()}
	defer c.sizes.Note(&d.cells)
	if c.raw() {
		return d.rawRoot(p), nil
	}
	if p.how == asRecord {
		fields, err := d.fields(p, 0)
		if err != nil {
			return nil, err
		}
		return &record.RecordValue{Fields: fields}, d.end()
	}
	v, err := d.value(p, 0)
	if err != nil {
		return nil, err
	}
	out := &record.RecordValue{Fields: map[string]*record.Value{}}
	if v != nil {
		out.Fields[record.RootField] = v
	}
	return out, d.end()
}

// Encode writes the value as Avro's libraries do: one block per array and map, shortest numbers.
func (c *codec) Encode(v *record.RecordValue) ([]byte, error) {
	p, err := c.plan()
	if err != nil {
		return nil, err
	}
	e := encoder{limits: c.limits}
	if p.how == asRecord {
		err = e.record(p, v, 0)
	} else {
		err = e.root(p, v, c.raw())
	}
	if err == nil && len(e.out) > c.limits.Bytes {
		err = fmt.Errorf("%w: more than %d bytes", record.ErrLimit, c.limits.Bytes)
	}
	if err != nil {
		return nil, err
	}
	return e.out, nil
}
