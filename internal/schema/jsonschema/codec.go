package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/record"
)

var printer = message.NewPrinter(language.English)

// codec is the record.Codec of a schema.
type codec struct {
	limits    record.Limits
	sizes     record.Sizes
	validator func() (*validator, error) // both are made when first asked for
	plan      func() (*plan, error)
	typ       func() (*record.RecordType, error)
}

var errIndexes = errors.New("a JSON Schema has no message indexes")

// Codec makes the codec of the schema.
func (s *Schema) Codec(o record.Options) (record.Codec, error) {
	if len(o.MessageIndexes) > 0 {
		return nil, fmt.Errorf("%w: %w", record.ErrMessage, errIndexes)
	}
	c := &codec{limits: o.Limits.WithDefaults()}
	c.validator = sync.OnceValues(func() (*validator, error) { return newValidator(s) })
	c.plan = sync.OnceValues(func() (*plan, error) { return newPlan(s.root) })
	c.typ = sync.OnceValues(func() (*record.RecordType, error) {
		p, err := c.plan()
		if err != nil {
			return nil, err
		}
		if p.how == asRecord && !p.nullable {
			return p.typ.GetRecordType(), nil
		}
		return record.NewRecordType(record.NewField(record.RootField, p.typ, !p.nullable))
	})
	return c, nil
}

// RecordType has the properties of the root object, or the one field of any other root.
func (c *codec) RecordType() (*record.RecordType, error) { return c.typ() }

// parse reads a payload and validates it.
func (c *codec) parse(payload []byte) (*jsontree.Node, error) {
	v, err := c.validator()
	if err != nil {
		return nil, err
	}
	if len(payload) > c.limits.Bytes {
		return nil, fmt.Errorf("%w: more than %d bytes", record.ErrLimit, c.limits.Bytes)
	}
	n, err := jsontree.Parse(string(payload), jsontree.Options{MaxDepth: c.limits.Depth, MaxValues: c.limits.Values})
	if errors.Is(err, jsontree.ErrLimit) {
		return nil, fmt.Errorf("%w: %w", record.ErrLimit, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrPayload, err)
	}
	return n, v.check(n)
}

// Validate checks the document against the schema. Unlike the other formats' it builds the document
// in memory: that is what the validator works on.
func (c *codec) Validate(payload []byte) error {
	_, err := c.parse(payload)
	return err
}

// Decode validates and converts.
func (c *codec) Decode(payload []byte) (*record.RecordValue, error) {
	p, err := c.plan()
	if err != nil {
		return nil, err
	}
	n, err := c.parse(payload)
	if err != nil {
		return nil, err
	}
	d := decoder{cells: c.sizes.Cells()}
	defer c.sizes.Note(&d.cells)
	v, err := d.value(p, n)
	if err != nil {
		return nil, err
	}
	if p.how == asRecord && !p.nullable {
		return v.GetRecordValue(), nil
	}
	return &record.RecordValue{Fields: map[string]*record.Value{record.RootField: v}}, nil
}

// Encode writes compact JSON with the properties in the order of the schema.
func (c *codec) Encode(v *record.RecordValue) ([]byte, error) {
	p, err := c.plan()
	if err != nil {
		return nil, err
	}
	e := encoder{limits: c.limits}
	if p.how == asRecord && !p.nullable {
		err = e.record(p, v, 0)
	} else {
		err = e.root(p, v)
	}
	if err != nil {
		return nil, err
	}
	n, err := c.parse(e.out)
	if err != nil || n == nil {
		return nil, fmt.Errorf("%w: %w", record.ErrValue, err)
	}
	return e.out, nil
}

// AppendJSON writes the payload without its white space. Numbers and members stay as they are.
func (c *codec) AppendJSON(dst, payload []byte) ([]byte, error) {
	if err := c.Validate(payload); err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(dst)
	if err := json.Compact(b, payload); err != nil || !utf8.Valid(payload) {
		return nil, fmt.Errorf("%w: no JSON: %w", record.ErrPayload, err)
	}
	return b.Bytes(), nil
}
