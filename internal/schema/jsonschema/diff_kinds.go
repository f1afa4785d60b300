package jsonschema

import (
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema/jsontree"
)

// limit compares a keyword's number on both sides; prefix is the keyword in the registry's names.
func (x *context) limit(keyword, prefix string, original, update *float64) {
	switch {
	case original == nil && update == nil:
	case original == nil:
		x.noteAt(keyword, prefix+"_ADDED")
	case update == nil:
		x.noteAt(keyword, prefix+"_REMOVED")
	case *original < *update:
		x.noteAt(keyword, prefix+"_INCREASED")
	case *original > *update:
		x.noteAt(keyword, prefix+"_DECREASED")
	}
}

func whole(i *int) *float64 {
	if i == nil {
		return nil
	}
	f := float64(*i)
	return &f
}

func double(n *jsontree.Node) *float64 {
	if n == nil {
		return nil
	}
	f := n.Double()
	return &f
}

func (x *context) strings(original, update *stringRule) {
	x.limit("maxLength", "MAX_LENGTH", whole(original.maxLength), whole(update.maxLength))
	x.limit("minLength", "MIN_LENGTH", whole(original.minLength), whole(update.minLength))
	switch {
	case original.pattern == nil && update.pattern == nil:
	case original.pattern == nil:
		x.noteAt("pattern", "PATTERN_ADDED")
	case update.pattern == nil:
		x.noteAt("pattern", "PATTERN_REMOVED")
	case *original.pattern != *update.pattern:
		x.noteAt("pattern", "PATTERN_CHANGED")
	}
}

func (x *context) numbers(original, update *numberRule) {
	x.limit("maximum", "MAXIMUM", double(original.maximum), double(update.maximum))
	x.limit("minimum", "MINIMUM", double(original.minimum), double(update.minimum))
	x.exclusiveMaximum(original, update)
	x.limit("exclusiveMinimum", "EXCLUSIVE_MINIMUM", double(original.exclusiveMin), double(update.exclusiveMin))
	x.multipleOf(original.multipleOf, update.multipleOf)
	switch {
	case original.integer == update.integer:
	case original.integer:
		x.note("TYPE_EXTENDED")
	default:
		x.note("TYPE_NARROWED")
	}
}

// exclusiveMaximum: where the registry finds a smaller limit it compares with the update's maximum,
// and fails when there is none; we then compare the limits themselves.
func (x *context) exclusiveMaximum(original, update *numberRule) {
	was, is := double(original.exclusiveMax), double(update.exclusiveMax)
	if was == nil || is == nil || *was <= *is || update.maximum == nil {
		x.limit("exclusiveMaximum", "EXCLUSIVE_MAXIMUM", was, is)
		return
	}
	if *was > *double(update.maximum) {
		x.noteAt("exclusiveMaximum", "EXCLUSIVE_MAXIMUM_DECREASED")
	}
}

func (x *context) multipleOf(original, update *jsontree.Node) {
	const keyword, prefix = "multipleOf", "MULTIPLE_OF"
	if original == nil || update == nil {
		x.limit(keyword, prefix, double(original), double(update))
		return
	}
	was, is := rational(original), rational(update)
	switch {
	case was == nil || is == nil:
		if original.Text != update.Text {
			x.noteAt(keyword, prefix+"_CHANGED")
		}
	case was.Cmp(is) == 0:
	case was.Sign() != 0 && new(big.Rat).Quo(is, was).IsInt():
		x.noteAt(keyword, prefix+"_EXPANDED")
	case is.Sign() != 0 && new(big.Rat).Quo(was, is).IsInt():
		x.noteAt(keyword, prefix+"_REDUCED")
	default:
		x.noteAt(keyword, prefix+"_CHANGED")
	}
}

// maxExponent bounds the numbers that are computed with exactly.
const maxExponent = 400

// rational is a number exactly; nil when its exponent is beyond use.
func rational(n *jsontree.Node) *big.Rat {
	if i := strings.IndexAny(n.Text, "eE"); i >= 0 {
		if e, err := strconv.Atoi(n.Text[i+1:]); err != nil || e > maxExponent || e < -maxExponent {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(n.Text)
	if !ok {
		return nil
	}
	return r
}

// sameValue compares JSON values as the registry does: 1 and 1.0 are two values.
func sameValue(a, b *jsontree.Node) bool { return valueText(a) == valueText(b) }

func valueText(n *jsontree.Node) string { return n.Sorted().Print(jsontree.Decimals) }

func valueSet(values []*jsontree.Node) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[valueText(v)] = true
	}
	return set
}

func (x *context) objects(original, update *rule) {
	o, u := original.obj, update.obj
	x.within("required", func(sub *context) { sub.required(o, u) })
	x.within("properties", func(sub *context) { sub.properties(original, update) })
	x.within("dependencies", func(sub *context) { sub.dependencies(o, u) })
	x.within("additionalProperties", func(sub *context) {
		sub.additional("ADDITIONAL_PROPERTIES", o.closed, u.closed, o.additional, u.additional)
	})
	x.unevaluated("unevaluatedProperties", "UNEVALUATED_PROPERTIES", original, update)
	x.limit("maxProperties", "MAX_PROPERTIES", whole(o.maxProps), whole(u.maxProps))
	x.limit("minProperties", "MIN_PROPERTIES", whole(o.minProps), whole(u.minProps))
}

func (x *context) required(o, u *objectRule) {
	for _, name := range slices.Sorted(maps.Keys(o.properties)) {
		p := u.properties[name]
		if p == nil || o.requires(name) || !u.requires(name) {
			continue
		}
		if p.deflt != nil {
			x.noteAt(name, "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED")
		} else {
			x.noteAt(name, "REQUIRED_ATTRIBUTE_ADDED")
		}
	}
}

func (x *context) additional(prefix string, wasClosed, isClosed bool, was, is *rule) {
	switch {
	case wasClosed && !isClosed:
		x.note(prefix + "_ADDED")
	case !wasClosed && isClosed:
		x.note(prefix + "_REMOVED")
	case was == nil && is != nil:
		x.note(prefix + "_NARROWED")
	case was != nil && is == nil:
		x.note(prefix + "_EXTENDED")
	default:
		x.compare(was, is)
	}
}

func (x *context) unevaluated(keyword, prefix string, original, update *rule) {
	was, is := original.unevaluated(keyword), update.unevaluated(keyword)
	if was == nil && is == nil {
		return
	}
	x.within(keyword, func(sub *context) {
		// Absent is open: what is not evaluated is not looked at.
		wasClosed, isClosed := was != nil && was.kind == never, is != nil && is.kind == never
		wasOpen, isOpen := was == nil || was.kind.takesAll(), is == nil || is.kind.takesAll()
		switch {
		case was == nil && isClosed, was != nil && !wasClosed && isClosed:
			sub.note(prefix + "_REMOVED")
		case was == nil, is != nil && !wasClosed && wasOpen && !isOpen:
			sub.note(prefix + "_NARROWED")
		case wasClosed && !isClosed:
			sub.note(prefix + "_ADDED")
		case is == nil, !wasOpen && isOpen:
			sub.note(prefix + "_EXTENDED")
		default:
			sub.compare(was, is)
		}
	})
}

func (x *context) dependencies(o, u *objectRule) {
	for _, name := range keysOf(o.needs, u.needs) {
		was, wasThere := o.needs[name]
		is, isThere := u.needs[name]
		a, b := sortedSet(was), sortedSet(is)
		switch {
		case !isThere:
			x.noteAt(name, "DEPENDENCY_ARRAY_REMOVED")
		case !wasThere:
			x.noteAt(name, "DEPENDENCY_ARRAY_ADDED")
		case slices.Equal(a, b):
		case subset(a, b):
			x.noteAt(name, "DEPENDENCY_ARRAY_EXTENDED")
		case subset(b, a):
			x.noteAt(name, "DEPENDENCY_ARRAY_NARROWED")
		default:
			x.noteAt(name, "DEPENDENCY_ARRAY_CHANGED")
		}
	}
	for _, name := range keysOf(o.dependentSchemas, u.dependentSchemas) {
		was, is := o.dependentSchemas[name], u.dependentSchemas[name]
		switch {
		case is == nil:
			x.noteAt(name, "DEPENDENCY_SCHEMA_REMOVED")
		case was == nil:
			x.noteAt(name, "DEPENDENCY_SCHEMA_ADDED")
		default:
			x.within(name, func(sub *context) { sub.compare(was, is) })
		}
	}
}

func subset(some, all []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// keysOf lists the names of both sides in the registry's order. With recursion the order shows: what
// is compared first is found at its own path, what comes back to it is not listed again.
func keysOf[V any](a, b map[string]V) []string {
	keys := javaOrder(slices.Sorted(maps.Keys(a)), 0)
	for _, k := range javaOrder(slices.Sorted(maps.Keys(b)), 0) {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	return javaOrder(keys, len(a))
}
