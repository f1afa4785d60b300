package protobuf

import (
	"crypto/md5" //nolint:gosec // the registry's guid is an MD5
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/schematest"
)

// The files in testdata are what Confluent's registry and serializers said and wrote.
func readVectors[T any](t testing.TB, name string) []T { return schematest.Load[T](t, name) }

type reference = schematest.Reference

func flatten(refs []reference) []schema.Dependency { return schematest.Dependencies(refs) }

func mustParse(t testing.TB, text string, refs ...reference) *Schema {
	t.Helper()
	s, err := parse(schema.Source{Text: text, Dependencies: flatten(refs)})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

type envelopeCase struct {
	Name       string
	GUID       string
	Schema     string
	References []reference
	Indexes    []int           `json:"message_indexes"`
	Message    string          `json:"message_name"`
	Hex        string          `json:"hex"`
	Payload    string          `json:"proto_payload_hex"`
	Value      json.RawMessage `json:"value"`
	ProtoText  string          `json:"proto_text"`
	SchemaID   int             `json:"schema_id"`
}

func TestEnvelopeSchemasAreCanonical(t *testing.T) {
	for _, c := range readVectors[envelopeCase](t, "envelope.json") {
		s := mustParse(t, c.Schema, c.References...)
		name, err := s.MessageName(c.Indexes)
		if err != nil || name != c.Message {
			t.Errorf("%s: message %q, %v; want %s", c.Name, name, err, c.Message)
		}
		indexes, err := s.MessageIndexes(name)
		if err != nil || len(indexes) != len(c.Indexes) || indexes[len(indexes)-1] != c.Indexes[len(indexes)-1] {
			t.Errorf("%s: indexes %v of %s, %v; want %v", c.Name, indexes, name, err, c.Indexes)
		}
		if c.GUID == "" {
			continue // a text as somebody wrote it
		}
		if got := s.Canonical(); got != c.Schema {
			t.Errorf("%s: canonical text is\n%q, want\n%q", c.Name, got, c.Schema)
		}
		if got := guid(s.Canonical(), c.References); got != c.GUID {
			t.Errorf("%s: guid %s, want %s", c.Name, got, c.GUID)
		}
	}
}

// guid is the registry's: over the text, then each reference.
func guid(text string, refs []reference) string {
	h := md5.New() //nolint:gosec // as above
	h.Write([]byte(text))
	for _, r := range refs {
		h.Write([]byte(r.Name))
		h.Write([]byte(r.Subject))
		v := r.Version
		h.Write([]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	s := hex.EncodeToString(h.Sum(nil))
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// allTexts are the schemas of all vectors, with what they refer to.
func allTexts(t testing.TB) map[string][]reference {
	all := map[string][]reference{}
	for _, c := range readVectors[compatCase](t, "compat_protobuf.json") {
		all[c.Old], all[c.New] = c.OldRefs, c.NewRefs
	}
	for _, c := range readVectors[envelopeCase](t, "envelope.json") {
		all[c.Schema] = c.References
	}
	for _, c := range readVectors[historyCase](t, "compat_transitive.json") {
		for _, h := range append(c.History, c.New) {
			all[h] = nil
		}
	}
	return all
}

func TestPrintedTextsParseToThemselves(t *testing.T) {
	for text, refs := range allTexts(t) {
		s := mustParse(t, text, refs...)
		again := mustParse(t, s.Canonical(), refs...)
		if again.Canonical() != s.Canonical() {
			t.Errorf("canonical text changes:\n%s\n%s", s.Canonical(), again.Canonical())
		}
		if again.Normalized() != s.Normalized() {
			t.Errorf("normalized text depends on the spelling:\n%s\n%s", s.Normalized(), again.Normalized())
		}
		normal := mustParse(t, s.Normalized(), refs...)
		if normal.Normalized() != s.Normalized() || normal.Canonical() != s.Normalized() {
			t.Errorf("normalized text changes:\n%s\n%s\n%s", s.Normalized(), normal.Normalized(), normal.Canonical())
		}
		if strings.Contains(text, "(") {
			continue // the serialized view has no custom options, as in the registry
		}
		serialized, err := s.View("serialized")
		if err != nil {
			t.Fatal(err)
		}
		if d := mustParse(t, serialized, refs...); d.Normalized() != s.Normalized() {
			t.Errorf("the descriptor is another schema:\n%s\n%s", s.Normalized(), d.Normalized())
		}
	}
}
