package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
	"kelp/internal/schema/schematest"
)

func FuzzJSONSchemaParse(f *testing.F) {
	for _, c := range schematest.Load[compatCase](f, "compat_json.json") {
		f.Add(c.Old)
		f.Add(c.New)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(schema.Source{Text: text})
		if err != nil {
			if !errors.Is(err, schema.ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := Parse(schema.Source{Text: s.Canonical()})
		if err != nil || again.Canonical() != s.Canonical() {
			t.Fatalf("the canonical text %s becomes %v: %v", s.Canonical(), again, err)
		}
		if _, changes, ok := schematest.Incompatible(s.ReadsFrom(again, schema.CompareOptions{})); !ok {
			t.Errorf("%s does not read itself: %v", s.Canonical(), changes)
		}
		k, err := s.Codec(record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.RecordType(); err != nil && !errors.Is(err, record.ErrType) {
			t.Errorf("%v", err)
		}
		_ = k.Validate([]byte(`{"a":[1,"x",null]}`))
	})
}

func FuzzJSONDecode(f *testing.F) {
	var codecs []*codec
	for _, c := range schematest.Load[envelopeCase](f, "envelope.json") {
		codecs = append(codecs, mustCodec(f, mustParse(f, c.Schema)))
		f.Add(uint8(len(codecs)-1), c.body(f))
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		k := codecs[int(which)%len(codecs)]
		err := k.Validate(payload)
		v, exact, err2 := record.Exact(k, payload)
		if (err == nil) != (err2 == nil) && !errors.Is(err2, record.ErrRefused) {
			t.Fatalf("validate says %v, decode %v", err, err2)
		}
		if out, err3 := k.AppendJSON(nil, payload); (err == nil) != (err3 == nil) || err == nil && !json.Valid(out) {
			t.Fatalf("validate says %v, JSON %s, %v", err, out, err3)
		}
		if err != nil || err2 != nil {
			return
		}
		b, err := k.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if exact != bytes.Equal(b, payload) {
			t.Errorf("exact %v: %s becomes %s", exact, payload, b)
		}
	})
}

func FuzzJSONSchemaCompare(f *testing.F) {
	for _, c := range schematest.Load[compatCase](f, "compat_json.json") {
		f.Add(c.Old, c.New)
	}
	f.Fuzz(func(t *testing.T, older, newer string) {
		o, err := Parse(schema.Source{Text: older})
		if err != nil {
			return
		}
		n, err := Parse(schema.Source{Text: newer})
		if err != nil {
			return
		}
		for _, d := range append(n.ReadsFrom(o, schema.CompareOptions{}), o.ReadsFrom(n, schema.CompareOptions{})...) {
			if d.Message == "" || d.Why == "" || d.Advice == "" {
				t.Errorf("%+v", d)
			}
		}
	})
}
