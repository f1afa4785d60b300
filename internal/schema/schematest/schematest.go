// Package schematest is what every schema format is measured against: the vectors, which are answers observed on
// Confluent's registry and bytes written by its serializers, and the benchmarks of a codec. A format calls it from its
// own tests with its own testdata.
//
// Its main functions are [Compat] and [Transitive] for the vectors and [Benchmark] for codecs. Invariant: it knows no
// format but the one that it is given.
package schematest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// Reference is a schema that a vector's schema uses.
type Reference struct {
	Name, Schema string
	Subject      string // with Version: where the registry had it
	Version      int
	References   []Reference
}

// Dependencies are references in the order in which formats need them.
func Dependencies(refs []Reference) []schema.Dependency {
	var all []schema.Dependency
	for _, r := range refs {
		all = append(all, Dependencies(r.References)...)
		all = append(all, schema.Dependency{Name: r.Name, Text: r.Schema})
	}
	return all
}

// Load reads a file of testdata.
func Load[T any](t testing.TB, file string) []T {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return cases
}

// CompatCase is a change and what the registry said about it.
type CompatCase struct {
	Name     string
	Old, New string
	OldRefs  []Reference `json:"old_refs"`
	NewRefs  []Reference `json:"new_refs"`
	Expect   map[string]struct {
		Compatible bool
		Types      []string
	}
	Changes        []string
	ChangesForward []string `json:"changes_forward"`
}

// Incompatible is what the registry would report: types, and types with paths.
func Incompatible(diffs []schema.Difference) (types, changes []string, compatible bool) {
	compatible = true
	for _, d := range diffs {
		if d.Warning {
			continue
		}
		compatible = false
		if d.Type == "" {
			continue
		}
		types = append(types, d.Type)
		changes = append(changes, strings.TrimSpace(d.Type+" "+d.Path))
	}
	slices.Sort(types)
	slices.Sort(changes)
	return slices.Compact(types), changes, compatible
}

func parse(t *testing.T, f schema.Format, text string, refs []Reference) schema.Schema {
	t.Helper()
	s, err := f.Parse(schema.Source{Text: text, Dependencies: Dependencies(refs)})
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return s
}

// Compat checks every level that each case of a file has an answer for.
func Compat(t *testing.T, f schema.Format, file string) {
	for _, c := range Load[CompatCase](t, file) {
		t.Run(c.Name, func(t *testing.T) {
			older, newer := parse(t, f, c.Old, c.OldRefs), parse(t, f, c.New, c.NewRefs)
			back := newer.ReadsFrom(older, schema.CompareOptions{})
			forth := older.ReadsFrom(newer, schema.CompareOptions{})
			lenient := schema.CompareOptions{Lenient: true}
			found := map[string][]schema.Difference{
				"BACKWARD": back, "FORWARD": forth, "FULL": append(slices.Clone(back), forth...),
				"BACKWARD/LENIENT": newer.ReadsFrom(older, lenient), "FORWARD/LENIENT": older.ReadsFrom(newer, lenient),
			}
			if len(c.Expect) < 3 {
				t.Fatalf("answers for %d levels only", len(c.Expect))
			}
			for level, want := range c.Expect {
				types, _, compatible := Incompatible(found[level])
				if compatible != want.Compatible || !slices.Equal(types, want.Types) && len(types)+len(want.Types) > 0 {
					t.Errorf("%s: %v %v, want %v %v", level, compatible, types, want.Compatible, want.Types)
				}
			}
			changes(t, back, c.Changes)
			changes(t, forth, c.ChangesForward)
		})
	}
}

func changes(t *testing.T, diffs []schema.Difference, want []string) {
	t.Helper()
	if _, got, _ := Incompatible(diffs); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	for _, d := range diffs {
		if d.Why == "" || d.Advice == "" || d.Message == "" {
			t.Errorf("%s %s lacks why, advice or message", d.Type, d.Path)
		}
	}
}

// Transitive checks histories.
func Transitive(t *testing.T, f schema.Format, file string) {
	type history struct {
		Name    string
		History []string
		New     string
		Expect  map[string]bool
	}
	for _, c := range Load[history](t, file) {
		newer := parse(t, f, c.New, nil)
		check := func(texts []string, back, forth bool) bool {
			for _, text := range texts {
				older := parse(t, f, text, nil)
				if _, _, ok := Incompatible(newer.ReadsFrom(older, schema.CompareOptions{})); back && !ok {
					return false
				}
				if _, _, ok := Incompatible(older.ReadsFrom(newer, schema.CompareOptions{})); forth && !ok {
					return false
				}
			}
			return true
		}
		last := c.History[len(c.History)-1:]
		for level, got := range map[string]bool{
			"BACKWARD": check(last, true, false), "BACKWARD_TRANSITIVE": check(c.History, true, false),
			"FORWARD": check(last, false, true), "FORWARD_TRANSITIVE": check(c.History, false, true),
			"FULL": check(last, true, true), "FULL_TRANSITIVE": check(c.History, true, true),
		} {
			if got != c.Expect[level] {
				t.Errorf("%s: %s is %v, want %v", c.Name, level, got, c.Expect[level])
			}
		}
	}
}

// Benchmark measures what a codec does with a payload that it writes back byte for byte.
func Benchmark(b *testing.B, k record.Codec, payload []byte) {
	r, exact, err := record.Exact(k, payload)
	if err != nil || !exact {
		b.Fatal(exact, err)
	}
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"validate", func() { _ = k.Validate(payload) }},
		{"decode", func() { _, _ = k.Decode(payload) }},
		{"encode", func() { _, _ = k.Encode(r) }},
		{"exact", func() { _, _, _ = record.Exact(k, payload) }},
		{"json", func() { _, _ = k.AppendJSON(nil, payload) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				c.do()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkText measures what a format does with a text.
func BenchmarkText(b *testing.B, f schema.Format, text string) {
	older, err := f.Parse(schema.Source{Text: text})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = f.Parse(schema.Source{Text: text})
		}
	})
	b.Run("compare", func(b *testing.B) {
		b.ReportAllocs()
		newer, err := f.Parse(schema.Source{Text: text})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			newer.ReadsFrom(older, schema.CompareOptions{})
		}
	})
}
