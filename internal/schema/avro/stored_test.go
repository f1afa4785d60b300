package avro

import (
	"errors"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// TestStoredTextsAreTakenAsTheyAre: registries took defaults and namespaces that are refused in new texts.
func TestStoredTextsAreTakenAsTheyAre(t *testing.T) {
	for _, text := range []string{
		`{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":{"b":[1.5]}}]}`,
		`{"type":"record","name":"R","namespace":"some-team.1","fields":[{"name":"a","type":"int"}]}`,
	} {
		if _, err := Parse(schema.Source{Text: text}); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%s is new: %v", text, err)
		}
		s, err := Parse(schema.Source{Text: text, Stored: true})
		if err != nil || s.Canonical() != text {
			t.Fatalf("%s is stored: %v", text, err)
		}
		if found := s.ReadsFrom(s, schema.CompareOptions{}); len(found) > 0 {
			t.Errorf("%s does not read itself: %v", text, found)
		}
		k, err := s.Codec(record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.RecordType(); err != nil {
			t.Error(err)
		}
		_ = s.Normalized()
	}
	for _, text := range []string{`{"type":"record","name":"a-b","fields":[]}`, `{"type":"enum","name":"E","symbols":["a-b"]}`, "{"} {
		if _, err := Parse(schema.Source{Text: text, Stored: true}); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%s is stored: %v", text, err)
		}
	}
}
