package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Migration is how a change can be carried out, given everything that was written before.
type Migration struct {
	// Holds are the levels under which the change would pass, the weaker first; NONE is always one.
	Holds []Level
	// Strongest is the last of them: what the subject could be set to.
	Strongest Level
	// First says who is upgraded first: "consumers", "producers", "either" or "nobody".
	First string
	// Steps are what to do, in order.
	Steps []string
	// Findings are all differences from all versions in both directions.
	Findings []Finding
}

// PlanMigration compares a new schema with a whole history, the oldest first, in both directions
// and says which levels the change keeps and in which order to upgrade.
func PlanMigration(next Compared, history []Compared, o CompareOptions) Migration {
	m := Migration{Holds: []Level{None}}
	broken := map[Direction][]int32{}
	for _, old := range slices.Backward(history) {
		for _, f := range Compare(next, old, FullTransitive, o) {
			m.Findings = append(m.Findings, f)
			if f.Warning {
				continue
			}
			directions := []Direction{f.Direction}
			if f.Message == differentType {
				directions = []Direction{NewReadsOld, OldReadsNew}
			}
			for _, d := range directions {
				if at := broken[d]; len(at) == 0 || at[len(at)-1] != old.Number {
					broken[d] = append(at, old.Number)
				}
			}
		}
	}
	newest := int32(0)
	if n := len(history); n > 0 {
		newest = history[n-1].Number
	}
	for _, l := range Levels[1:] {
		if holds(l, broken, newest) {
			m.Holds = append(m.Holds, l)
		}
	}
	m.Strongest = m.Holds[len(m.Holds)-1]
	m.order(broken, newest)
	return m
}

func holds(l Level, broken map[Direction][]int32, newest int32) bool {
	fails := func(d Direction) bool {
		if l.Transitive() {
			return len(broken[d]) > 0
		}
		return slices.Contains(broken[d], newest)
	}
	return (!l.backward() || !fails(NewReadsOld)) && (!l.forward() || !fails(OldReadsNew))
}

func (m *Migration) order(broken map[Direction][]int32, newest int32) {
	step := func(format string, args ...any) { m.Steps = append(m.Steps, fmt.Sprintf(format, args...)) }
	back, forth := slices.Contains(m.Holds, Backward), slices.Contains(m.Holds, Forward)
	switch {
	case back && forth:
		m.First = "either"
		step("Register the new schema; the subject may be at %s.", m.Strongest)
		step("Upgrade producers and consumers in any order.")
	case back:
		m.First = "consumers"
		step("Register the new schema under BACKWARD.")
		step("Upgrade every consumer first: old ones cannot read what new producers write.")
		step("Then upgrade the producers.")
	case forth:
		m.First = "producers"
		step("Register the new schema under FORWARD.")
		step("Upgrade every producer first: new consumers cannot read what old producers write.")
		step("Wait until the consumers have read, or retention has deleted, what was written with %s.", versionsText(broken[NewReadsOld]))
		step("Then upgrade the consumers.")
	default:
		m.First = "nobody"
		step("Change the schema in two steps that each keep one direction: %s.", m.advice(newest))
		step("If that cannot be done, write to a new topic: upgrade the consumers to read both, then the producers, and drop the " +
			"old topic when retention has emptied it.")
	}
	if older := before(broken[NewReadsOld], newest); back && len(older) > 0 {
		step("Consumers that read from the beginning fail on what was written with %s: keep an old consumer for it, or wait for retention.",
			versionsText(older))
	}
	if older := before(broken[OldReadsNew], newest); forth && len(older) > 0 {
		step("Consumers that still use %s must be upgraded before the first producer.", versionsText(older))
	}
}

// advice is what the formats say about the newest version, without repetition.
func (m *Migration) advice(newest int32) string {
	var words []string
	for _, f := range m.Findings {
		if f.Version == newest && !f.Warning && f.Advice != "" && !slices.Contains(words, f.Advice) {
			words = append(words, strings.TrimSuffix(f.Advice, "."))
		}
	}
	if len(words) == 0 {
		return "first add what is new with defaults and keep what is old, then remove what is old once nobody uses it"
	}
	return strings.Join(words, "; ")
}

func before(versions []int32, newest int32) []int32 {
	return slices.DeleteFunc(slices.Clone(versions), func(n int32) bool { return n == newest })
}

func versionsText(versions []int32) string {
	sorted := slices.Sorted(slices.Values(versions))
	words := make([]string, len(sorted))
	for i, n := range sorted {
		words[i] = fmt.Sprint(n)
	}
	if len(words) == 1 {
		return "version " + words[0]
	}
	return "versions " + strings.Join(words, ", ")
}
