package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
	"kelp/internal/schema/schematest"
)

func FuzzAvroParse(f *testing.F) {
	for _, c := range schematest.Load[compatCase](f, "compat_avro.json") {
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
		if err != nil {
			t.Fatalf("the canonical text %s is refused: %v", s.Canonical(), err)
		}
		if again.Canonical() != s.Canonical() {
			t.Errorf("canonical text %s becomes %s", s.Canonical(), again.Canonical())
		}
		if _, _, ok := schematest.Incompatible(s.ReadsFrom(s, schema.CompareOptions{})); !ok && !clashes(s) {
			t.Errorf("%s does not read itself", s.Canonical())
		}
	})
}

// clashes: an alias that names another field of the same record makes Avro give up, even against itself.
func clashes(s *Schema) bool {
	for _, d := range s.ReadsFrom(s, schema.CompareOptions{}) {
		if !d.Warning && d.Type == "" {
			return true
		}
	}
	return false
}

func FuzzAvroDecode(f *testing.F) {
	var codecs []*codec
	for _, c := range schematest.Load[envelopeCase](f, "envelope.json") {
		codecs = append(codecs, mustCodec(f, mustParse(f, c.Schema, flatten(c.References)...)))
		f.Add(uint8(len(codecs)-1), c.body(f))
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		k := codecs[int(which)%len(codecs)]
		err := k.Validate(payload)
		v, exact, err2 := record.Exact(k, payload)
		if (err == nil) != (err2 == nil) && !errors.Is(err2, record.ErrRefused) {
			t.Fatalf("validate says %v, decode %v", err, err2)
		}
		out, err3 := k.AppendJSON(nil, payload)
		if (err == nil) != (err3 == nil) {
			t.Fatalf("validate says %v, JSON %v", err, err3)
		}
		if err != nil || err2 != nil {
			return
		}
		if !json.Valid(out) {
			t.Errorf("no JSON: %s", out)
		}
		b, err := k.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if exact != bytes.Equal(b, payload) {
			t.Errorf("exact %v: %x becomes %x", exact, payload, b)
		}
		if v2, _, err := record.Exact(k, b); err != nil || v2 == nil {
			t.Errorf("what was encoded is refused: %v", err)
		}
	})
}

func FuzzAvroCompare(f *testing.F) {
	for _, c := range schematest.Load[compatCase](f, "compat_avro.json") {
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
