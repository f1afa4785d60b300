package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	library "github.com/santhosh-tekuri/jsonschema/v6"

	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/record"
)

// TestQuickKnowsEveryKeyword: a keyword that a new version of the library brings has to be looked at in quick.go and
// effort.go before it goes in here.
func TestQuickKnowsEveryKeyword(t *testing.T) {
	known := strings.Fields(`DraftVersion Location Bool ID Ref Anchor RecursiveRef RecursiveAnchor DynamicRef DynamicAnchor Types Enum Const
		Not AllOf AnyOf OneOf If Then Else Format MaxProperties MinProperties Required PropertyNames Properties PatternProperties
		AdditionalProperties Dependencies DependentRequired DependentSchemas UnevaluatedProperties MinItems MaxItems UniqueItems Contains
		MinContains MaxContains Items AdditionalItems PrefixItems Items2020 UnevaluatedItems MinLength MaxLength Pattern ContentEncoding
		ContentMediaType ContentSchema Maximum Minimum ExclusiveMaximum ExclusiveMinimum MultipleOf Extensions Title Description Default
		Comment ReadOnly WriteOnly Examples Deprecated`)
	for f := range reflect.TypeFor[library.Schema]().Fields() {
		if f.IsExported() && !slices.Contains(known, f.Name) {
			t.Errorf("the library has a new keyword: %s", f.Name)
		}
	}
}

// maker makes schemas and documents that have a good chance to fit each other.
type maker struct{ *rand.Rand }

func (m maker) oneOf(all ...any) any { return all[m.IntN(len(all))] }

func (m maker) name() string { return string(rune('a' + m.IntN(4))) }

func (m maker) document(depth int) any {
	switch n := m.IntN(8); {
	case n < 2 && depth > 0:
		out := map[string]any{}
		for range m.IntN(4) {
			out[m.name()] = m.document(depth - 1)
		}
		return out
	case n < 3 && depth > 0:
		out := []any{}
		for range m.IntN(4) {
			out = append(out, m.document(depth-1))
		}
		return out
	}
	return m.oneOf(nil, true, false, "", "a", "abc", "é", "2026-01-02T03:04:05Z", 0, 1, -3, 2.5, json.Number("1.0"), json.Number("1e2"),
		json.Number("9007199254740993"), json.Number("1e500"))
}

func (m maker) schema(depth int) any {
	if m.IntN(12) == 0 {
		return m.oneOf(true, false, map[string]any{})
	}
	s := map[string]any{}
	sub := func() any {
		if depth == 0 {
			return map[string]any{"type": m.oneOf("string", "integer", "number", "null", "boolean")}
		}
		return m.schema(depth - 1)
	}
	if m.IntN(5) > 0 {
		s["type"] = m.oneOf("object", "object", "array", "string", "integer", "number", "null",
			[]any{"string", "null"}, []any{"integer", "string"})
	}
	for range 1 + m.IntN(3) {
		m.keyword(s, sub)
	}
	return s
}

func (m maker) keyword(s map[string]any, sub func() any) {
	list := func() []any { return []any{sub(), sub()} }
	switch k := m.oneOf("properties", "required", "additionalProperties", "items", "tuple", "prefixItems", "additionalItems", "enum", "const",
		"minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "minProperties",
		"maxProperties", "allOf", "anyOf", "oneOf", "not", "if", "$ref", "multipleOf", "uniqueItems", "contains", "patternProperties",
		"propertyNames", "dependentRequired", "unevaluatedProperties").(string); k {
	case "properties", "patternProperties":
		s[k] = map[string]any{m.name(): sub(), m.name(): sub()}
	case "required":
		s[k] = []any{m.name()}
	case "tuple":
		s["items"] = list()
	case "prefixItems", "allOf", "anyOf", "oneOf":
		s[k] = list()
	case "enum":
		s[k] = []any{m.oneOf("a", nil, true), m.oneOf("abc", false, 1)}
	case "const":
		s[k] = m.oneOf("a", nil, true, 1, []any{})
	case "minimum", "maximum", "multipleOf":
		s[k] = m.oneOf(1, 2.5, 0.5)
	case "exclusiveMinimum":
		s[k] = 0
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
		s[k] = m.oneOf(0, 1, 2)
	case "pattern":
		s[k] = m.oneOf("^a", "b", "^$")
	case "format":
		s[k] = m.oneOf("date-time", "uuid")
	case "if":
		s["if"], s["then"], s["else"] = sub(), sub(), sub()
	case "$ref":
		s[k] = m.oneOf("#/definitions/P", "#/definitions/Q")
	case "uniqueItems":
		s[k] = true
	case "dependentRequired":
		s[k] = map[string]any{m.name(): []any{m.name()}}
	default:
		s[k] = sub()
	}
}

// TestQuickAgreesWithTheLibrary compares random documents under random schemas: what a quick check is sure of is so.
func TestQuickAgreesWithTheLibrary(t *testing.T) {
	const seed = 7
	m := maker{rand.New(rand.NewPCG(seed, 1))}
	drafts := []any{
		"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
	}
	var counts [3]int
	for range 1500 {
		s, ok := m.schema(3).(map[string]any)
		if !ok {
			continue
		}
		s["$schema"], s["definitions"] = m.oneOf(drafts...), map[string]any{"P": m.schema(1), "Q": m.schema(1)}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		v := compileOnly(string(text))
		if v == nil {
			continue // a draft does not have a keyword in this form
		}
		for range 12 {
			b, err := json.Marshal(m.document(3))
			if err != nil {
				t.Fatal(err)
			}
			n, err := jsontree.Parse(string(b), jsontree.Options{MaxDepth: 100})
			if err != nil {
				t.Fatal(err)
			}
			sure := new(quickCheck).check(v.quick, n, 0)
			counts[sure]++
			doc, err := plain(n)
			if err == nil {
				err = v.compiled.Validate(doc)
			}
			if sure == valid && err != nil || sure == invalid && err == nil {
				t.Fatalf("seed %d: %s\nunder %s\nquick %d, the library %v", seed, b, text, sure, err)
			}
			if !affordable(v.compiled, n) {
				t.Fatalf("%s under %s costs too much", b, text)
			}
		}
	}
	t.Logf("unsure, valid, invalid: %v", counts)
	if slices.Min(counts[:]) < 500 {
		t.Errorf("unsure, valid, invalid: %v", counts)
	}
}

// compileOnly is a validator without the other parts of a schema, nil if the library does not take it.
func compileOnly(text string) *validator {
	tree, err := jsontree.Parse(text, jsontree.Options{MaxDepth: 100})
	if err != nil {
		return nil
	}
	v := &validator{}
	if v.compile(&Schema{tree: tree, draft: draftOf(tree)}, func(n *jsontree.Node) *jsontree.Node { return n }) != nil {
		return nil
	}
	return v
}

// TestStepsAreBounded: references let a small schema meet a value 2^40 times.
func TestStepsAreBounded(t *testing.T) {
	var defs []string
	for i := range 40 {
		defs = append(defs, fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]}`, i, i+1, i+1))
	}
	for _, leaf := range []string{`{"type":"integer"}`, `{"uniqueItems":true}`} {
		text := `{"$ref":"#/definitions/d0","definitions":{` + strings.Join(defs, ",") + `,"d40":` + leaf + `}}`
		v := compileOnly(text)
		n, err := jsontree.Parse("7", jsontree.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.check(n); !errors.Is(err, record.ErrLimit) {
			t.Errorf("%s: %v", leaf, err)
		}
	}
	k := mustCodec(t, mustParse(t, `{"type":"array","items":{"type":["integer","string"],"minimum":0},"contains":{"const":1}}`))
	if err := k.Validate([]byte("[" + strings.Repeat("1,", 100_000) + "1]")); err != nil {
		t.Error(err)
	}
}
