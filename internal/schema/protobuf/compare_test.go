package protobuf

import (
	"slices"
	"strings"
	"testing"

	"kelp/internal/schema"
)

type compatCase struct {
	Name    string
	Old     string
	New     string
	OldRefs []reference `json:"old_refs"`
	NewRefs []reference `json:"new_refs"`
	Expect  map[string]struct {
		Compatible bool
		Types      []string
	}
	Changes        []string
	ChangesForward []string `json:"changes_forward"`
}

// breaking are the differences that are no warnings, as "TYPE path", sorted.
func breaking(reader, writer *Schema) (changes, types []string) {
	for _, d := range reader.ReadsFrom(writer, schema.CompareOptions{}) {
		if !d.Warning {
			changes = append(changes, strings.TrimSpace(d.Type+" "+d.Path))
			types = append(types, d.Type)
		}
	}
	slices.Sort(changes)
	slices.Sort(types)
	return changes, slices.Compact(types)
}

// compat_random.json was drawn at random: changes of messages with nested types, oneofs, maps, groups,
// packages and imports, with the answers of Confluent's comparison 8.5.
func TestCompatibilityIsTheRegistrys(t *testing.T) {
	for _, c := range append(readVectors[compatCase](t, "compat_protobuf.json"), readVectors[compatCase](t, "compat_random.json")...) {
		older, newer := mustParse(t, c.Old, c.OldRefs...), mustParse(t, c.New, c.NewRefs...)
		backward, backwardTypes := breaking(newer, older)
		forward, forwardTypes := breaking(older, newer)
		both := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(backwardTypes), forwardTypes...))))
		f := func(level string, types []string) {
			t.Helper()
			if e := c.Expect[level]; e.Compatible != (len(types) == 0) || !slices.Equal(e.Types, types) {
				t.Errorf("%s: %s is %v, want %v", c.Name, level, types, e)
			}
		}
		f("BACKWARD", backwardTypes)
		f("FORWARD", forwardTypes)
		f("FULL", both)
		if !slices.Equal(backward, c.Changes) {
			t.Errorf("%s: changes %v, want %v", c.Name, backward, c.Changes)
		}
		if !slices.Equal(forward, c.ChangesForward) {
			t.Errorf("%s: forward changes %v, want %v", c.Name, forward, c.ChangesForward)
		}
	}
}

// In compat_grid.json every schema of a row is compared with every other, by one theme a row: maps and
// their entries, well-known types, groups, extensions, labels, enums, oneofs, packages, nesting, options.
func TestGridIsTheRegistrys(t *testing.T) {
	type row struct {
		Schemas []string
		Changes [][][]string // of the second reading the first
	}
	for _, r := range readVectors[row](t, "compat_grid.json") {
		for i, writer := range r.Schemas {
			for j, reader := range r.Schemas {
				changes, _ := breaking(mustParse(t, reader), mustParse(t, writer))
				if !slices.Equal(changes, r.Changes[i][j]) {
					t.Errorf("%v, want %v for\n%s\n--\n%s", changes, r.Changes[i][j], writer, reader)
				}
			}
		}
	}
}

type historyCase struct {
	Name    string
	History []string
	New     string
	Expect  map[string]bool
}

func TestHistoriesAreTheRegistrys(t *testing.T) {
	for _, c := range readVectors[historyCase](t, "compat_transitive.json") {
		newer := mustParse(t, c.New)
		got := map[string]bool{"NONE": true}
		for _, l := range []string{"", "_TRANSITIVE"} {
			older := c.History
			if l == "" {
				older = older[len(older)-1:]
			}
			b, f := true, true
			for _, text := range older {
				o := mustParse(t, text)
				changes, _ := breaking(newer, o)
				b = b && len(changes) == 0
				changes, _ = breaking(o, newer)
				f = f && len(changes) == 0
			}
			got["BACKWARD"+l], got["FORWARD"+l], got["FULL"+l] = b, f, b && f
		}
		for level, want := range c.Expect {
			if have, ok := got[level]; !ok || have != want {
				t.Errorf("%s: %s is %v, want %v", c.Name, level, have, want)
			}
		}
	}
}

// The differences are the registry's also for inputs of our own: each side spelled otherwise, in both
// directions, says as much as it must.
func TestComparisonsDoNotDependOnSpelling(t *testing.T) {
	for _, c := range readVectors[compatCase](t, "compat_protobuf.json") {
		if len(c.OldRefs)+len(c.NewRefs) > 0 {
			continue
		}
		older, newer := mustParse(t, c.Old), mustParse(t, c.New)
		checkPair(t, older, newer)
		checkPair(t, newer, older)
		for _, s := range []*Schema{older, newer} {
			if d := s.ReadsFrom(s, schema.CompareOptions{}); len(d) > 0 {
				t.Errorf("%s: a schema differs from itself: %v", c.Name, d)
			}
		}
	}
}
