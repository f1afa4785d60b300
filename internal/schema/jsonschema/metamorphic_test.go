package jsonschema

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/schematest"
)

// mixed returns a text that says the same with its members in another order.
func mixed(t testing.TB, text string, r *rand.Rand) string {
	n, err := jsontree.Parse(text, jsontree.Options{MaxDepth: schema.MaxDepth})
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *jsontree.Node)
	walk = func(n *jsontree.Node) {
		r.Shuffle(len(n.Members), func(i, j int) { n.Members[i], n.Members[j] = n.Members[j], n.Members[i] })
		for _, m := range n.Members {
			walk(m.Value)
		}
		for _, item := range n.Items {
			walk(item)
		}
	}
	walk(n)
	return n.Print(jsontree.Decimals)
}

func described(s, w *Schema, lenient bool) string {
	_, changes, ok := schematest.Incompatible(s.ReadsFrom(w, schema.CompareOptions{Lenient: lenient}))
	return fmt.Sprint(ok, changes)
}

// TestWhatDoesNotMatter: the order of members, the canonical and the normalized form, titles and
// descriptions change no verdict; every schema reads itself; LENIENT never refuses more.
func TestWhatDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range schematest.Load[compatCase](t, "compat_json.json") {
		older, newer := mustParse(t, c.Old, c.OldRefs...), mustParse(t, c.New, c.NewRefs...)
		want := described(newer, older, false)
		for _, s := range []*Schema{older, newer} {
			if _, changes, ok := schematest.Incompatible(s.ReadsFrom(s, schema.CompareOptions{})); !ok {
				t.Errorf("%s: %s does not read itself: %v", c.Name, s.Canonical(), changes)
			}
		}
		for how, text := range map[string]string{
			"mixed": mixed(t, c.New, r), "canonical": newer.Canonical(), "normalized": newer.Normalized(),
			"described": strings.Replace(c.New, `{`, `{"description":"y",`, 1),
		} {
			if how == "described" && (strings.HasPrefix(c.New, "{}") || strings.Contains(c.New, `"description"`)) {
				continue
			}
			if got := described(mustParse(t, text, c.NewRefs...), older, false); got != want {
				t.Errorf("%s: %s: %s, want %s", c.Name, how, got, want)
			}
		}
		if strings.HasPrefix(want, "true") && !strings.HasPrefix(described(newer, older, true), "true") {
			t.Errorf("%s: LENIENT refuses what STRICT takes", c.Name)
		}
	}
}

// TestTrueAndFalse: nothing can break a reader that takes everything, or one whose writers write nothing.
func TestTrueAndFalse(t *testing.T) {
	for _, c := range schematest.Load[compatCase](t, "compat_json.json") {
		if len(c.NewRefs) > 0 {
			continue
		}
		s := mustParse(t, c.New)
		if got := described(mustParse(t, "true"), s, false); got != "true []" && s.root.kind != combinedKind {
			t.Errorf("%s: true does not read %s: %s", c.Name, c.New, got)
		}
		if got := described(s, mustParse(t, "false"), false); got != "true []" && s.root.kind != combinedKind {
			t.Errorf("%s: %s does not read false: %s", c.Name, c.New, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ older, newer, want string }{
		{`{"type":"string"}`, `{"type":"string","format":"uuid"}`, warnFormat + " #/format"},
		{`{"type":"string","format":"uuid"}`, `{"type":"string"}`, ""},
		{
			`{"type":"object","properties":{"a":{"type":"string"}}}`,
			`{"type":"object","properties":{"a":{"type":"string","format":"date"}}}`, warnFormat + " #/properties/a/format",
		},
		{`{"if":{"type":"string"}}`, `{"if":{"type":"string"},"then":{"minLength":3}}`, warnConditional + " #/then"},
		{`{"type":"array"}`, `{"type":"array","contains":{"type":"string"}}`, warnContains + " #/contains"},
		{`{"type":"object"}`, `{"type":"object","propertyNames":{"maxLength":3}}`, warnNames + " #/propertyNames"},
		{`{"type":"object"}`, `{"type":"object","patternProperties":{"^x":{"type":"string"}}}`, warnPatterns + " #/patternProperties"},
		{`{"type":"object"}`, `{"type":"object","required":["a"]}`, warnRequired + " #/required"},
	} {
		var got []string
		for _, d := range mustParse(t, c.newer).ReadsFrom(mustParse(t, c.older), schema.CompareOptions{}) {
			if d.Warning {
				got = append(got, d.Type+" "+d.Path)
			}
		}
		if strings.Join(got, ",") != c.want {
			t.Errorf("%s to %s: %v, want %s", c.older, c.newer, got, c.want)
		}
	}
}

// TestWhereTheRegistryFails: it answers these with an error of its own (500).
func TestWhereTheRegistryFails(t *testing.T) {
	for _, c := range []struct{ older, newer, want string }{
		{
			`{"type":"number","exclusiveMaximum":24}`, `{"type":"number","exclusiveMaximum":23}`,
			"false [EXCLUSIVE_MAXIMUM_DECREASED #/exclusiveMaximum]",
		},
		{`{"const":null}`, `{"const":null}`, "true []"},
		{`{"const":null}`, `{"const":1}`, "false [ENUM_ARRAY_CHANGED #/const]"},
	} {
		if got := described(mustParse(t, c.newer), mustParse(t, c.older), false); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.older, c.newer, got, c.want)
		}
	}
}

func TestSentence(t *testing.T) {
	older, newer := mustParse(t, `{"type":"string"}`), mustParse(t, `{"type":"string","maxLength":3}`)
	d := newer.ReadsFrom(older, schema.CompareOptions{})[0]
	want := `{errorType:"MAX_LENGTH_ADDED", description:"The keyword at path '#/maxLength' in the new schema ` +
		`is not present in the old schema'}`
	if got := d.Sentence("new", "old"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLargeComparisonsEnd: references that multiply, alternatives that all differ, and recursion that
// has to be worked through several times end within their limits.
func TestLargeComparisonsEnd(t *testing.T) {
	chain := func(leaf string) string {
		var b strings.Builder
		b.WriteString(`{"$ref":"#/definitions/d0","definitions":{`)
		for i := range 40 {
			fmt.Fprintf(&b, `"d%d":{"type":"object","properties":{"a":{"$ref":"#/definitions/d%d"},"b":{"$ref":"#/definitions/d%d"}}},`, i, i+1, i+1)
		}
		b.WriteString(`"d40":` + leaf + `}}`)
		return b.String()
	}
	older, newer := mustParse(t, chain(`{"type":"string"}`)), mustParse(t, chain(`{"type":"integer"}`))
	if _, _, ok := schematest.Incompatible(newer.ReadsFrom(older, schema.CompareOptions{})); ok {
		t.Error("a change below many references is not seen")
	}
	if _, err := mustCodec(t, older).RecordType(); err == nil {
		t.Error("a record type with 2^40 fields is made")
	}
	alternatives := func(typ string) string {
		var parts []string
		for i := range 120 {
			parts = append(parts, fmt.Sprintf(`{"type":"%s","title":"%d","maxLength":%d,"maximum":%d}`, typ, i, i, i))
		}
		return `{"anyOf":[` + strings.Join(parts, ",") + `]}`
	}
	older, newer = mustParse(t, alternatives("string")), mustParse(t, alternatives("integer"))
	if _, _, ok := schematest.Incompatible(newer.ReadsFrom(older, schema.CompareOptions{})); ok {
		t.Error("alternatives that all differ are not seen")
	}
}
