package jsonschema

import (
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/schematest"
)

type (
	reference  = schematest.Reference
	compatCase = schematest.CompatCase
)

func mustParse(t testing.TB, text string, refs ...reference) *Schema {
	t.Helper()
	s, err := Parse(schema.Source{Text: text, Dependencies: schematest.Dependencies(refs)})
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return s
}

func TestCompatibilityVectors(t *testing.T) { schematest.Compat(t, Format{}, "compat_json.json") }

func TestTransitiveVectors(t *testing.T) { schematest.Transitive(t, Format{}, "transitive.json") }
