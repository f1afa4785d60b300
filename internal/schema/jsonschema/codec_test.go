package jsonschema

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
	"kelp/internal/schema/schematest"
)

func mustCodec(t testing.TB, s *Schema) *codec {
	t.Helper()
	c, err := s.Codec(record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*codec)
}

type envelopeCase struct {
	Name, Schema, Hex, Envelope, GUID string
	Value                             json.RawMessage
}

func (c envelopeCase) body(t testing.TB) []byte {
	b, err := hex.DecodeString(c.Hex)
	if err != nil {
		t.Fatal(err)
	}
	if c.Envelope == "prefix" {
		b = b[5:]
	}
	return b
}

// inexact are the vectors that no encoder of a parsed tree writes: the payload itself must be kept.
var inexact = map[string]bool{"json/edge/whitespace": true, "json/edge/dup-keys": true, "json/edge/num-forms": true}

func TestEnvelopeVectors(t *testing.T) {
	for _, c := range schematest.Load[envelopeCase](t, "envelope.json") {
		s := mustParse(t, c.Schema)
		sum := md5.Sum([]byte(s.Canonical()))
		if got := hex.EncodeToString(sum[:]); c.GUID != "" && got != strings.ReplaceAll(c.GUID, "-", "") {
			t.Errorf("%s: guid %s, want %s: canonical text %s", c.Name, got, c.GUID, s.Canonical())
		}
		k, body := mustCodec(t, s), c.body(t)
		v, exact, err := record.Exact(k, body)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if exact == inexact[c.Name] {
			t.Errorf("%s: exact %v: %v", c.Name, exact, v)
		}
		out, err := k.AppendJSON(nil, body)
		if err != nil {
			t.Fatal(err)
		}
		var got, want, again any
		if err := errors.Join(json.Unmarshal(out, &got), json.Unmarshal(c.Value, &want)); err != nil {
			t.Fatal(err)
		}
		if want != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: value %s, want %s", c.Name, out, c.Value)
		}
		encoded, err := k.Encode(v)
		if err != nil || json.Unmarshal(encoded, &again) != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: encodes as %s, %v", c.Name, encoded, err)
		}
	}
}

func TestBadPayloads(t *testing.T) {
	type bad struct{ Name, Schema, Hex string }
	for _, c := range schematest.Load[bad](t, "bad_payloads.json") {
		b, err := hex.DecodeString(c.Hex)
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, c.Schema, string(b[5:]))
	}
	for _, p := range []string{
		"", " ", "{", `{"a":1}x`, `{"a":01}`, "{\"a\":\"\xff\"}", `{"a":NaN}`, "nul", `{"a":1,}`, `{"a" 1}`, "\"\x01\"", `"\u12"`,
		`{"a":1e999999999}`, `{"a":` + strings.Repeat("1", 2000) + "}",
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000), strings.Repeat("[", 1<<20),
	} {
		refuses(t, `true`, p)
	}
}

func refuses(t *testing.T, text, payload string) {
	t.Helper()
	k := mustCodec(t, mustParse(t, text))
	_, decode := k.Decode([]byte(payload))
	_, asJSON := k.AppendJSON(nil, []byte(payload))
	for what, err := range map[string]error{"validate": k.Validate([]byte(payload)), "decode": decode, "json": asJSON} {
		if !errors.Is(err, record.ErrPayload) && !errors.Is(err, record.ErrLimit) {
			t.Errorf("%s: %s takes %.40q: %v", text, what, payload, err)
		}
	}
}

// typeText shows a record type on one line: name type, with ? where there may be no value.
func typeText(t *record.Type) string {
	switch k := t.GetKind().(type) {
	case *record.Type_ScalarType:
		return k.ScalarType.String()
	case *record.Type_ListType:
		return "[" + typeText(k.ListType.ElementType) + "]"
	default:
		return recordText(t.GetRecordType())
	}
}

func recordText(t *record.RecordType) string {
	var parts []string
	for _, f := range t.GetFields() {
		mark := "?"
		if f.IsRequired {
			mark = ""
		}
		parts = append(parts, f.Name+mark+" "+typeText(f.Type))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func TestRecordTypes(t *testing.T) {
	const d20 = `"$schema":"https://json-schema.org/draft/2020-12/schema",`
	for _, c := range []struct{ schema, typ, payload string }{
		{
			`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}`,
			"{b? STRING, a INT64}", `{"b":"x","a":1}`,
		},
		{
			`{"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"]}`, "{a? STRING, _extra? STRING}",
			`{"a":null,"x":[1.50,{"y":null}]}`,
		},
		{
			`{` + d20 + `"type":"object","properties":{"z":{"type":"number"},"a":{"type":"boolean"}},"unevaluatedProperties":false}`,
			"{z? DOUBLE, a? BOOL}", `{"z":0.1,"a":true}`,
		},
		{`{"type":"object"}`, "{_extra? STRING}", `{"a":1.0,"b":1E+2}`},
		{`{"type":"object","additionalProperties":{"type":"integer"}}`, "{value [{key STRING, value INT64}]}", `{"a":1,"b":2}`},
		{`{"type":"array","items":{"type":"array","items":{"type":["integer","null"]}}}`, "{value [[INT64]]}", `[[1,null],[]]`},
		{`{"type":"array","items":[{"type":"string"},{"type":"integer"}]}`, "{value [STRING]}", `["a",1]`},
		{`{"type":["string","integer","null"]}`, "{value? {integer? INT64, string? STRING}}", `5`},
		{`{"anyOf":[{"type":"string"},{"type":"number"}]}`, "{value {number? DOUBLE, string? STRING}}", `1.5`},
		{`{"enum":["a","b"]}`, "{value STRING}", `"b"`},
		{`{"enum":["a",3,null]}`, "{value? {integer? INT64, string? STRING}}", `3`},
		{`{"const":{"a":1}}`, "{_extra? STRING}", `{"a":1}`},
		{`{"type":"null"}`, "{value? STRING}", `null`},
		{`true`, "{value STRING}", `{"any":[1,"x"]}`},
		{`{}`, "{value STRING}", `null`},
		{`{"properties":{"a":{"type":"string"}}}`, "{a? STRING, _extra? STRING}", `{"a":"x"}`},
		{
			`{"type":"object","properties":{"_key":{"type":"string"},"_extra":{"type":"string"},"":{"type":"string"}}}`,
			"{__key? STRING, _extra? STRING, __extra? STRING}", `{"_key":"k","_extra":"e","":"x"}`,
		},
		{
			`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"n":{"type":"integer"}},"required":["k"],
			"additionalProperties":false},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"],"additionalProperties":false}]}`,
			"{k STRING, n? INT64}", `{"k":"a","n":1}`,
		},
		{
			`{"allOf":[{"type":"object","properties":{"a":{"type":"number"}}},{"type":"object","properties":{"a":{"type":"integer"},
			"b":{"type":"string"}},"required":["a"]}]}`, "{a INT64, b? STRING, _extra? STRING}", `{"a":1,"b":"x"}`,
		},
		{
			`{"$ref":"#/definitions/node","definitions":{"node":{"type":"object","properties":{"v":{"type":"integer"},
			"next":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/node"}]}},"additionalProperties":false}}}`,
			"{v? INT64, next? STRING}", `{"v":1,"next":{"v":2}}`,
		},
		{`{"type":"integer"}`, "{value INT64}", `-9223372036854775808`},
		{`{"type":"number"}`, "{value DOUBLE}", `1e+22`},
	} {
		k := mustCodec(t, mustParse(t, c.schema))
		typ, err := k.RecordType()
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if got := recordText(typ); got != c.typ {
			t.Errorf("%s: type %s, want %s", c.schema, got, c.typ)
		}
		v, exact, err := record.Exact(k, []byte(c.payload))
		if err != nil || !exact {
			b, err2 := k.Encode(v)
			t.Errorf("%s: exact %v, %v: %v: %s %v", c.schema, exact, err, v, b, err2)
			continue
		}
		stored, err := proto.Marshal(v)
		again := &record.RecordValue{}
		if err != nil || proto.Unmarshal(stored, again) != nil {
			t.Fatal(err)
		}
		if b, err := k.Encode(again); err != nil || string(b) != c.payload {
			t.Errorf("%s: after storing: %s, %v", c.schema, b, err)
		}
	}
}

func TestWhatIsRefusedOrInexact(t *testing.T) {
	integer := mustCodec(t, mustParse(t, `{"type":"integer"}`))
	if _, err := integer.Decode([]byte(`9223372036854775808`)); !errors.Is(err, record.ErrRefused) {
		t.Errorf("an integer of more than 64 bits: %v", err)
	}
	for text, payload := range map[string]string{
		`{"type":"integer"}`: `1.0`, `{"type":"number"}`: `1.50`,
		`{"type":"object","properties":{"a":{},"b":{}}}`: `{"b":1,"a":2}`, `{"type":"string"}`: `"\u0041"`,
	} {
		if v, exact, err := record.Exact(mustCodec(t, mustParse(t, text)), []byte(payload)); err != nil || exact {
			t.Errorf("%s as %s: %v %v %v", payload, text, v, exact, err)
		}
	}
	// A value that the schema does not allow is not written, even where the record type would hold it.
	short := mustCodec(t, mustParse(t, `{"type":"string","maxLength":1}`))
	long := &record.RecordValue{Fields: map[string]*record.Value{"value": record.String("ab")}}
	if _, err := short.Encode(long); !errors.Is(err, record.ErrValue) {
		t.Errorf("%v", err)
	}
}

func TestReferencesAreNamesOnly(t *testing.T) {
	ref := reference{Name: "common.json", Schema: `{"definitions":{"id":{"type":"integer"}}}`}
	s := mustParse(t, `{"type":"object","properties":{"id":{"$ref":"common.json#/definitions/id"}}}`, ref)
	k := mustCodec(t, s)
	if err := k.Validate([]byte(`{"id":1}`)); err != nil {
		t.Error(err)
	}
	if err := k.Validate([]byte(`{"id":"x"}`)); !errors.Is(err, record.ErrPayload) {
		t.Error(err)
	}
	for _, text := range []string{
		`{"$ref":"http://127.0.0.1:1/x.json"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"other.json"}`, `{"$ref":"#/definitions/no"}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"http://127.0.0.1:1/x.json"}`,
	} {
		if _, err := Parse(schema.Source{Text: text}); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// The metaschemas are at hand.
	meta := mustCodec(t, mustParse(t, `{"$ref":"http://json-schema.org/draft-07/schema#"}`))
	if err := meta.Validate([]byte(`{"type":"object"}`)); err != nil {
		t.Error(err)
	}
	if err := meta.Validate([]byte(`{"type":1}`)); err == nil {
		t.Error("the metaschema takes a number for a type")
	}
}

func TestPatternsRunInLinearTime(t *testing.T) {
	k := mustCodec(t, mustParse(t, `{"type":"string","pattern":"^(a+)+$"}`))
	payload := append(append([]byte(`"`), bytes.Repeat([]byte("a"), 100_000)...), `!"`...)
	if err := k.Validate(payload); !errors.Is(err, record.ErrPayload) {
		t.Error(err)
	}
}

func TestNumbersBeyondDoublesAreRefused(t *testing.T) {
	k := mustCodec(t, mustParse(t, `{"type":"object","properties":{"n":{"type":"number"}}}`))
	for number, want := range map[string]float64{
		"0.1": 0.1, "-1.50": -1.5, "1e308": 1e308, "0.30000000000000004": 0.30000000000000004, "9007199254740993.0": 0, "1e-400": 0,
		"12345678901234567890": 0, "123456789012345680000": 123456789012345680000, "-0": 0, "0.10000000000000000000": 0.1, "5e-324": 5e-324,
	} {
		payload := []byte(`{"n":` + number + "}")
		if err := k.Validate(payload); err != nil {
			t.Error(number, err)
		}
		v, err := k.Decode(payload)
		refused := want == 0 && number != "-0"
		if errors.Is(err, record.ErrRefused) != refused || err == nil && v.Fields["n"].GetDoubleValue() != want {
			t.Errorf("%s: %v, %v", number, v, err)
		}
	}
}

func TestHostileSchemas(t *testing.T) {
	for _, text := range []string{
		"", "[]", "1", `"x"`, "null", `{"type":"nope"}`, `{"type":7}`, `{"$ref":1}`, `{"enum":1}`, `{"properties":[]}`, `{"pattern":"("}`,
		`{"multipleOf":0}`, `{"minLength":1.5}`, `{"required":true}`, `{"allOf":{}}`, `{"items":1}`,
		strings.Repeat(`{"not":`, 300) + `{}` + strings.Repeat(`}`, 300),
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","items":[{}]}`,
		strings.Repeat(" ", schema.MaxTextBytes) + "{}",
	} {
		if _, err := Parse(schema.Source{Text: text}); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}
