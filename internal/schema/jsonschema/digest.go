package jsonschema

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"

	"kelp/internal/schema/jsontree"
)

type digest [sha256.Size]byte

// digester tells rules that say the same apart from those that do not: repeated branches of a
// combination count once. References are compared by their text, not by what they lead to.
type digester struct{ known map[*rule]digest }

func (g *digester) of(r *rule) digest {
	if r == nil {
		return digest{}
	}
	if d, ok := g.known[r]; ok {
		return d
	}
	b := []byte(r.kind.String())
	for _, s := range []*string{r.title, r.description, r.id} {
		b = appendText(b, s)
	}
	if r.deflt != nil {
		b = r.deflt.Append(append(b, 'd'), jsontree.Decimals)
	}
	for _, name := range slices.Sorted(maps.Keys(r.extra)) {
		b = appendText(b, &name)
		if e := r.extra[name]; e.value != nil {
			b = e.value.Append(b, jsontree.Decimals)
		} else {
			b = g.append(b, e.rule)
		}
	}
	b = g.appendKind(b, r)
	d := sha256.Sum256(b)
	g.known[r] = d
	return d
}

func (g *digester) append(b []byte, r *rule) []byte {
	d := g.of(r)
	return append(b, d[:]...)
}

func (g *digester) appendKind(b []byte, r *rule) []byte {
	switch r.kind {
	case stringKind:
		s := r.str
		b = appendInts(strconv.AppendBool(b, s.required), s.minLength, s.maxLength)
		b = appendText(appendText(b, s.pattern), &s.format)
	case numberKind:
		n := r.num
		for _, f := range []bool{n.required || n.integer, n.integer, n.exclMinStrict, n.exclMaxStrict} {
			b = strconv.AppendBool(b, f)
		}
		for _, v := range []*jsontree.Node{n.minimum, n.maximum, n.exclusiveMin, n.exclusiveMax, n.multipleOf} {
			b = append(b, ',')
			if v != nil {
				b = v.Append(b, jsontree.Decimals)
			}
		}
	case objectKind:
		b = g.appendObject(b, r.obj)
	case arrayKind:
		a := r.arr
		b = appendInts(strconv.AppendBool(strconv.AppendBool(b, a.required), a.unique), a.minItems, a.maxItems)
		b = strconv.AppendBool(strconv.AppendBool(b, a.closedToMore()), a.tuple)
		for _, s := range append([]*rule{a.all, a.additional, a.contains}, a.items...) {
			b = g.append(b, s)
		}
	case enumKind, constKind:
		values := make([]string, len(r.values))
		for i, v := range r.values {
			values[i] = v.Sorted().Print(jsontree.Decimals)
		}
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			b = append(append(b, v...), ',')
		}
	case combinedKind:
		b = strconv.AppendBool(append(b, r.comb.criterion.String()...), r.comb.inline)
		for _, s := range r.comb.rules {
			b = g.append(b, s)
		}
	case notKind:
		b = g.append(b, r.not)
	case conditionalKind:
		b = g.append(g.append(g.append(b, r.ifRule), r.thenRule), r.elseRule)
	case referenceKind:
		b = appendText(b, &r.refText)
	default:
	}
	return b
}

func (g *digester) appendObject(b []byte, o *objectRule) []byte {
	b = appendInts(strconv.AppendBool(strconv.AppendBool(b, o.required), o.closed), o.minProps, o.maxProps)
	for _, m := range []map[string]*rule{o.properties, o.dependentSchemas} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			b = g.append(appendText(b, &name), m[name])
		}
		b = append(b, ';')
	}
	for _, name := range o.requiredNames {
		b = appendText(b, &name)
	}
	for _, name := range slices.Sorted(maps.Keys(o.needs)) {
		b = appendText(append(b, ';'), &name)
		for _, n := range sortedSet(o.needs[name]) {
			b = appendText(b, &n)
		}
	}
	for _, p := range slices.SortedFunc(slices.Values(o.patterns), func(a, b patternRule) int {
		return compareStrings(a.pattern, b.pattern)
	}) {
		b = g.append(appendText(b, &p.pattern), p.rule)
	}
	return g.append(g.append(b, o.additional), o.names)
}

func appendText(b []byte, s *string) []byte {
	if s == nil {
		return append(b, '-')
	}
	return jsontree.AppendString(b, *s)
}

func appendInts(b []byte, values ...*int) []byte {
	for _, v := range values {
		b = append(b, ',')
		if v != nil {
			b = strconv.AppendInt(b, int64(*v), 10)
		}
	}
	return b
}

func sortedSet(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
