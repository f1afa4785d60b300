package avro

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/schematest"
)

// mixed returns a text that says the same: members in another order, white space between tokens.
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
	return " " + n.Print(jsontree.Doubles) + "\n"
}

func described(s, w *Schema) string {
	_, changes, ok := schematest.Incompatible(s.ReadsFrom(w, schema.CompareOptions{}))
	return fmt.Sprint(ok, changes)
}

// TestWhatDoesNotMatter: the order of members, the canonical and the normalized form, documentation
// and unknown properties change no verdict; every schema reads itself.
func TestWhatDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range schematest.Load[compatCase](t, "compat_avro.json") {
		older, newer := mustParse(t, c.Old, c.OldRefs...), mustParse(t, c.New, c.NewRefs...)
		want := described(newer, older)
		for _, s := range []*Schema{older, newer} {
			if _, changes, ok := schematest.Incompatible(s.ReadsFrom(s, schema.CompareOptions{})); !ok && !clashes(s) {
				t.Errorf("%s: %s does not read itself: %v", c.Name, s.Canonical(), changes)
			}
		}
		others := map[string]*Schema{
			"mixed":      mustParse(t, mixed(t, c.New, r), c.NewRefs...),
			"canonical":  mustParse(t, newer.Canonical(), c.NewRefs...),
			"normalized": mustParse(t, newer.Normalized(), c.NewRefs...),
			"documented": mustParse(t, strings.ReplaceAll(c.New, `"fields"`, `"doc":"x","x.y":[1],"fields"`), c.NewRefs...),
		}
		for how, s := range others {
			if got := described(s, older); got != want {
				t.Errorf("%s: %s: %s, want %s", c.Name, how, got, want)
			}
		}
		if others["mixed"].Normalized() != newer.Normalized() && !strings.Contains(c.New, "aliases") {
			t.Errorf("%s: normalized %s and %s", c.Name, others["mixed"].Normalized(), newer.Normalized())
		}
	}
}

// TestPromotionsInUnions: what a type may be read as, it may be read as inside a union too.
func TestPromotionsInUnions(t *testing.T) {
	all := []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
	for _, w := range all {
		for _, r := range all {
			plain := described(mustParse(t, `"`+r+`"`), mustParse(t, `"`+w+`"`))
			ok := strings.HasPrefix(plain, "true")
			if want := w == r || promotes(primitives[w], primitives[r]); ok != want {
				t.Errorf("%s reads %s: %v", r, w, ok)
			}
			for _, pair := range [][2]string{
				{`["` + r + `"]`, `"` + w + `"`},
				{`"` + r + `"`, `["` + w + `"]`},
				{`{"type":"array","items":"` + r + `"}`, `{"type":"array","items":"` + w + `"}`},
				{`{"type":"map","values":["` + r + `"]}`, `{"type":"map","values":"` + w + `"}`},
			} {
				if got := strings.HasPrefix(described(mustParse(t, pair[0]), mustParse(t, pair[1])), "true"); got != ok {
					t.Errorf("%s reads %s: %v, want %v", pair[0], pair[1], got, ok)
				}
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":` + typ + `}]}`
	}
	decimal := func(p, s string) string {
		return field(`{"type":"bytes","logicalType":"decimal","precision":` + p + `,"scale":` + s + `}`)
	}
	for _, c := range []struct{ older, newer, want string }{
		{decimal("9", "2"), decimal("9", "3"), warnDecimalScale + " /fields/0/type/logicalType"},
		{decimal("9", "2"), decimal("10", "2"), warnDecimalPrecision + " /fields/0/type/logicalType"},
		{
			field(`{"type":"long","logicalType":"timestamp-millis"}`), field(`["null",{"type":"long","logicalType":"timestamp-micros"}]`),
			warnTimeUnit + " /fields/0/type/logicalType",
		},
		{field(`"int"`), field(`{"type":"int","logicalType":"date"}`), warnLogicalType + " /fields/0/type/logicalType"},
		{field(`"int"`), strings.Replace(field(`"int"`), `"a"`, `"b"`, 1), warnNamespace + " /namespace"},
		{field(`"long"`), field(`"double"`), warnPrecisionLoss + " /fields/0/type"},
		{field(`"bytes"`), field(`"string"`), warnNotText + " /fields/0/type"},
		{
			field(`{"type":"enum","name":"E","symbols":["A","B"]}`), field(`{"type":"enum","name":"E","symbols":["A"],"default":"A"}`),
			warnEnumDefault + " /fields/0/type/symbols",
		},
		{field(`"int"`), field(`"long"`), ""},
	} {
		var got []string
		for _, d := range mustParse(t, c.newer).ReadsFrom(mustParse(t, c.older), schema.CompareOptions{}) {
			if !d.Warning {
				t.Errorf("%s is not a warning", d.Type)
			}
			got = append(got, d.Type+" "+d.Path)
		}
		if want := strings.Fields(c.want); strings.Join(got, ",") != strings.Join(want, " ") && !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s to %s: %v, want %s", c.older, c.newer, got, c.want)
		}
	}
}

// TestSentence: the message is the registry's, with the words for the two sides filled in.
func TestSentence(t *testing.T) {
	older := mustParse(t, `{"type":"record","name":"R","fields":[]}`)
	newer := mustParse(t, `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`)
	d := newer.ReadsFrom(older, schema.CompareOptions{})[0]
	want := `{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'a' at path '/fields/0' in the new schema has no ` +
		`default value and is missing in the old schema', additionalInfo:'a'}`
	if got := d.Sentence("new", "old"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !strings.Contains(d.Advice, `"default": 0`) {
		t.Errorf("advice %s", d.Advice)
	}
}

// TestLargeComparisonsEnd: unions with thousands of branches are given up, not worked through.
func TestLargeComparisonsEnd(t *testing.T) {
	union := func(prefix string) string {
		var parts []string
		for i := range 500 {
			parts = append(parts, fmt.Sprintf(`{"type":"fixed","name":"%s%d","size":1}`, prefix, i))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	diffs := mustParse(t, union("a")).ReadsFrom(mustParse(t, union("b")), schema.CompareOptions{})
	if len(diffs) == 0 || !strings.Contains(diffs[0].Message, "too large") {
		t.Errorf("%d differences", len(diffs))
	}
}
