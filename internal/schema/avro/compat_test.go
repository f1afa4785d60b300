package avro

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"kelp/internal/schema"
)

type reference struct {
	Name, Schema string
	References   []reference
}

func dependencies(refs []reference) []schema.Dependency {
	var out []schema.Dependency
	for _, r := range refs {
		out = append(out, schema.Dependency{Name: r.Name, Text: r.Schema})
	}
	return out
}

func mustParse(t testing.TB, text string, refs ...reference) *Schema {
	t.Helper()
	s, err := Parse(schema.Source{Text: text, Dependencies: dependencies(refs)})
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return s
}

func load[T any](t testing.TB, file string) []T {
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

type compatCase struct {
	Name     string
	Old, New string
	OldRefs  []reference `json:"old_refs"`
	NewRefs  []reference `json:"new_refs"`
	Expect   map[string]struct {
		Compatible bool
		Types      []string
	}
	Changes        []string
	ChangesForward []string `json:"changes_forward"`
}

// incompatible is what the registry would report: types, and types with paths.
func incompatible(diffs []schema.Difference) (types, changes []string, compatible bool) {
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

func TestCompatibilityVectors(t *testing.T) {
	for _, c := range load[compatCase](t, "compat_avro.json") {
		t.Run(c.Name, func(t *testing.T) {
			older, newer := mustParse(t, c.Old, c.OldRefs...), mustParse(t, c.New, c.NewRefs...)
			back := newer.ReadsFrom(older, schema.CompareOptions{})
			forth := older.ReadsFrom(newer, schema.CompareOptions{})
			for level, diffs := range map[string][]schema.Difference{
				"BACKWARD": back, "FORWARD": forth, "FULL": append(slices.Clone(back), forth...),
			} {
				want := c.Expect[level]
				types, _, compatible := incompatible(diffs)
				if compatible != want.Compatible || !slices.Equal(types, want.Types) && len(types)+len(want.Types) > 0 {
					t.Errorf("%s: %v %v, want %v %v", level, compatible, types, want.Compatible, want.Types)
				}
			}
			for _, side := range []struct {
				diffs []schema.Difference
				want  []string
			}{{back, c.Changes}, {forth, c.ChangesForward}} {
				if _, got, _ := incompatible(side.diffs); fmt.Sprint(got) != fmt.Sprint(side.want) {
					t.Errorf("changes %v, want %v", got, side.want)
				}
				for _, d := range side.diffs {
					if d.Why == "" || d.Advice == "" || d.Message == "" {
						t.Errorf("%s %s lacks why, advice or message", d.Type, d.Path)
					}
				}
			}
		})
	}
}

func TestTransitiveVectors(t *testing.T) {
	type history struct {
		Name    string
		History []string
		New     string
		Expect  map[string]bool
	}
	for _, c := range load[history](t, "transitive.json") {
		newer := mustParse(t, c.New)
		check := func(texts []string, back, forth bool) bool {
			for _, text := range texts {
				older := mustParse(t, text)
				if _, _, ok := incompatible(newer.ReadsFrom(older, schema.CompareOptions{})); back && !ok {
					return false
				}
				if _, _, ok := incompatible(older.ReadsFrom(newer, schema.CompareOptions{})); forth && !ok {
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
