package jsonschema

import (
	"maps"
	"slices"
)

// difference is one incompatible change: its name and the path to it, without the leading "#/".
// Compatible changes are not kept: nothing asks for them.
type difference struct{ typ, path string }

type rulePair struct{ original, update *rule }

// Limits of one comparison.
const (
	maxDifferences = 1_000
	maxSteps       = 300_000
)

// comparer compares an original schema (the writer's) with an update (the reader's) as the registry
// does. A pair that comes back while it is being compared is taken for compatible at first; if
// that assumption was used, the comparison is run again with the pairs now known to differ, until
// nothing new is found.
type comparer struct {
	lenient  bool
	memo     map[rulePair][]difference
	active   map[rulePair]bool
	seed     map[rulePair][]difference
	assumed  bool
	steps    int
	overflow bool
	digests  digester
}

func compareRules(original, update *rule, lenient bool) (found []difference, overflow bool) {
	c := &comparer{lenient: lenient, digests: digester{known: map[*rule]digest{}}}
	for {
		c.memo, c.active, c.assumed = map[rulePair][]difference{}, map[rulePair]bool{}, false
		x := &context{comparer: c}
		x.compare(original, update)
		differ := map[rulePair][]difference{}
		for pair, found := range c.memo {
			if len(found) > 0 {
				differ[pair] = found
			}
		}
		if !c.assumed || c.overflow || sameKeys(differ, c.seed) {
			return x.found, c.overflow
		}
		c.seed = differ
	}
}

func sameKeys(a, b map[rulePair][]difference) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return true
}

// context is a place in the comparison: differences found there get its path.
type context struct {
	*comparer
	path  string
	found []difference
}

func (x *context) at(token string) *context {
	return &context{comparer: x.comparer, path: under(x.path, token)}
}

func under(path, token string) string {
	if path == "" {
		return token
	}
	return path + "/" + token
}

// within compares at a deeper path and takes over what that finds.
func (x *context) within(token string, do func(*context)) {
	sub := x.at(token)
	do(sub)
	x.take(sub.found)
}

func (x *context) take(found []difference) {
	room := maxDifferences - len(x.found)
	if len(found) > room {
		found = found[:max(room, 0)]
	}
	x.found = append(x.found, found...)
}

// note records a change here, unless the policy lets it pass.
func (x *context) note(typ string) {
	if (!x.lenient || !lenientChanges[typ]) && !compatibleChanges[typ] && len(x.found) < maxDifferences {
		x.found = append(x.found, difference{typ, x.path})
	}
}

func (x *context) noteAt(token, typ string) {
	x.within(token, func(sub *context) { sub.note(typ) })
}

// try compares on the side: the caller decides what becomes of the differences.
func (x *context) try(original, update *rule) []difference {
	sub := &context{comparer: x.comparer, path: x.path}
	sub.compare(original, update)
	return sub.found
}

func (x *context) compare(original, update *rule) {
	switch {
	case original == nil && update == nil:
		return
	case original == nil:
		x.note("SCHEMA_ADDED")
		return
	case update == nil:
		x.note("SCHEMA_REMOVED")
		return
	}
	for _, d := range x.pair(original.target(), update.target()) {
		if len(x.found) >= maxDifferences {
			return
		}
		if d.path == "" {
			d.path = x.path
		} else {
			d.path = under(x.path, d.path)
		}
		x.found = append(x.found, d)
	}
}

func (r *rule) target() *rule {
	if r.kind == referenceKind && r.ref != nil {
		return r.ref
	}
	return r
}

func (x *context) pair(original, update *rule) []difference {
	key := rulePair{original, update}
	if found, ok := x.memo[key]; ok {
		return found
	}
	if x.active[key] {
		if found, ok := x.seed[key]; ok {
			return found
		}
		x.assumed = true
		return nil
	}
	if x.steps++; x.steps > maxSteps {
		x.overflow = true
		return nil
	}
	x.active[key] = true
	defer delete(x.active, key)
	sub := &context{comparer: x.comparer}
	sub.kinds(original, update)
	x.memo[key] = sub.found
	return sub.found
}

// kinds compares two rules that are no references.
func (x *context) kinds(original, update *rule) {
	if x.asBranch(original, update) {
		return
	}
	if original.kind != update.kind {
		switch {
		case original.kind == never, update.kind.takesAll():
		case original.connectBytes() && update.connectBytes():
		default:
			x.note("TYPE_CHANGED")
		}
		return
	}
	switch original.kind {
	case stringKind:
		x.strings(original.str, update.str)
	case numberKind:
		x.numbers(original.num, update.num)
	case constKind:
		if !sameValue(original.values[0], update.values[0]) {
			x.noteAt("const", "ENUM_ARRAY_CHANGED")
		}
	case enumKind:
		x.enums(original, update)
	case combinedKind:
		x.combinations(original.comb, update.comb)
	case notKind:
		x.within("not", func(sub *context) {
			if len(sub.try(update.not, original.not)) > 0 {
				sub.note("NOT_TYPE_EXTENDED")
			}
		})
	case objectKind:
		x.objects(original, update)
	case arrayKind:
		x.arrays(original, update)
	default:
	}
}

// asBranch compares a plain rule with a combination: one that a combination of one holds, or that a
// sum has room for, or that a product was made of.
func (x *context) asBranch(original, update *rule) bool {
	switch {
	case original.kind != combinedKind && update.kind == combinedKind:
		if len(update.comb.rules) != 1 && update.comb.criterion == allOf {
			return false
		}
		return slices.ContainsFunc(update.comb.rules, func(r *rule) bool { return len(x.try(original, r)) == 0 })
	case original.kind == combinedKind && update.kind != combinedKind:
		if len(original.comb.rules) != 1 && original.comb.criterion != allOf {
			return false
		}
		return slices.ContainsFunc(original.comb.rules, func(r *rule) bool { return len(x.try(r, update)) == 0 })
	default:
		return false
	}
}

// connectBytes marks types that Kafka Connect writes as bytes: the registry takes them for equal.
func (r *rule) connectBytes() bool {
	v := r.extra["connect.type"].value
	return v != nil && v.Text == "bytes"
}

func (x *context) enums(original, update *rule) {
	was, is := valueSet(original.values), valueSet(update.values)
	switch {
	case maps.Equal(was, is):
	case contains(is, was):
		x.noteAt("enum", "ENUM_ARRAY_EXTENDED")
	case contains(was, is):
		x.noteAt("enum", "ENUM_ARRAY_NARROWED")
	default:
		x.noteAt("enum", "ENUM_ARRAY_CHANGED")
	}
}

func contains(all, some map[string]bool) bool {
	for v := range some {
		if !all[v] {
			return false
		}
	}
	return true
}

func (x *context) combinations(original, update *combinedRule) {
	if original.criterion != update.criterion {
		one, other := len(original.rules) == 1, len(update.rules) == 1
		if update.criterion != anyOf && (!one || !other) && (!one || update.criterion != oneOf) &&
			(!other || original.criterion != allOf) {
			x.note("COMBINED_TYPE_CHANGED")
			return
		}
	}
	was, is := x.distinct(original.rules), x.distinct(update.rules)
	switch {
	case len(was) < len(is) && update.criterion == allOf:
		x.note("PRODUCT_TYPE_EXTENDED")
	case len(was) > len(is) && original.criterion != allOf:
		x.note("SUM_TYPE_NARROWED")
	}
	edges := make([][]int, len(was))
	for i, o := range was {
		for j, u := range is {
			if len(x.try(o, u)) == 0 {
				edges[i] = append(edges[i], j)
			}
		}
	}
	if maximumMatching(edges, len(is)) < min(len(was), len(is)) {
		x.note("COMBINED_TYPE_SUBSCHEMAS_CHANGED")
	}
}

// distinct takes branches that say the same once.
func (x *context) distinct(rules []*rule) []*rule {
	seen := make(map[digest]bool, len(rules))
	var out []*rule
	for _, r := range rules {
		if d := x.digests.of(r); !seen[d] {
			seen[d] = true
			out = append(out, r)
		}
	}
	return out
}

// maximumMatching pairs as many of the left side as can be with different ones of the right side.
func maximumMatching(edges [][]int, right int) int {
	partner := make([]int, right)
	for i := range partner {
		partner[i] = -1
	}
	var seen []bool
	var place func(left int) bool
	place = func(left int) bool {
		for _, r := range edges[left] {
			if seen[r] {
				continue
			}
			seen[r] = true
			if partner[r] < 0 || place(partner[r]) {
				partner[r] = left
				return true
			}
		}
		return false
	}
	pairs := 0
	for left := range edges {
		seen = make([]bool, right)
		if place(left) {
			pairs++
		}
	}
	return pairs
}
