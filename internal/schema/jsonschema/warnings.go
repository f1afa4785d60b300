package jsonschema

import (
	"fmt"
	"maps"
	"slices"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
)

// Our own names for changes that the registry does not look at.
const (
	warnFormat      = "FORMAT_CHANGED"
	warnConditional = "CONDITION_CHANGED"
	warnRequired    = "REQUIRED_NAME_WITHOUT_PROPERTY_ADDED"
	warnContains    = "CONTAINS_CHANGED"
	warnNames       = "PROPERTY_NAMES_CHANGED"
	warnPatterns    = "PATTERN_PROPERTIES_CHANGED"
)

// maxWarnings bounds the list and the walk.
const (
	maxWarnings     = 1000
	maxWarningSteps = 100_000
)

// warnings walks both texts side by side, keyword by keyword, for what the registry's comparison
// leaves out although validators check it.
func (s *Schema) warnings(w *Schema) []schema.Difference {
	x := &warner{}
	x.walk(s.tree, w.tree, "#")
	return x.out
}

type warner struct {
	out   []schema.Difference
	steps int
}

func (x *warner) add(d schema.Difference, reader, writer *jsontree.Node) {
	if len(x.out) >= maxWarnings {
		return
	}
	side := func(n *jsontree.Node) string {
		if n == nil {
			return "(none)"
		}
		return brief(n)
	}
	d.Warning, d.Reader, d.Writer = true, side(reader), side(writer)
	d.Message = fmt.Sprintf("%s: %s becomes %s", d.Path, d.Writer, d.Reader)
	x.out = append(x.out, d)
}

// watched are the keywords that validators check and the registry's comparison leaves out.
var watched = []struct{ keyword, typ, why, advice string }{
	{
		"format", warnFormat,
		"validators that check formats refuse texts of the old format; the registry ignores formats",
		"keep the format, or take it out on the reading side before writers change theirs",
	},
	{"if", warnConditional, conditionalWhy, conditionalAdvice},
	{"then", warnConditional, conditionalWhy, conditionalAdvice},
	{"else", warnConditional, conditionalWhy, conditionalAdvice},
	{
		"contains", warnContains,
		"the registry compares only minContains and maxContains: validators may refuse old arrays",
		"let the new contains take all that the old one took",
	},
	{
		"propertyNames", warnNames,
		"the registry does not compare propertyNames: validators may refuse old names",
		"let the new rule take all names that the old one took",
	},
	{
		"patternProperties", warnPatterns,
		"the registry compares patternProperties only with properties that one side names: validators may refuse what was valid",
		"leave existing patterns and their schemas as they are, or widen them",
	},
}

const (
	conditionalWhy    = "the registry does not look below if, then and else: validators may refuse what was valid"
	conditionalAdvice = "check by hand that every old document still passes"
)

func (x *warner) walk(r, w *jsontree.Node, path string) {
	if x.steps++; x.steps > maxWarningSteps || r == nil || w == nil || r.Kind != jsontree.Object || w.Kind != jsontree.Object {
		return
	}
	for _, k := range watched {
		// Dropping a keyword breaks no reader.
		if a, b := r.Get(k.keyword), w.Get(k.keyword); a != nil && (b == nil || !jsontree.Equal(a, b)) {
			x.add(schema.Difference{Type: k.typ, Path: path + "/" + k.keyword, Why: k.why, Advice: k.advice}, a, b)
		}
	}
	x.required(r, w, path)
	for _, k := range []string{"properties", "$defs", "definitions", "dependentSchemas"} {
		a, b := r.Get(k), w.Get(k)
		if a == nil || b == nil {
			continue
		}
		for _, m := range a.Members {
			x.walk(m.Value, b.Get(m.Name), path+"/"+k+"/"+m.Name)
		}
	}
	for _, k := range []string{"items", "additionalProperties", "additionalItems", "not", "unevaluatedProperties", "unevaluatedItems"} {
		x.walk(r.Get(k), w.Get(k), path+"/"+k)
	}
	for _, k := range []string{"prefixItems", "items", "allOf", "anyOf", "oneOf"} {
		a, b := r.Get(k), w.Get(k)
		if a == nil || b == nil {
			continue
		}
		for i := range min(len(a.Items), len(b.Items)) {
			x.walk(a.Items[i], b.Items[i], fmt.Sprintf("%s/%s/%d", path, k, i))
		}
	}
}

// required warns of names that are newly asked for and have no property: the registry only compares
// those that both sides name.
func (x *warner) required(r, w *jsontree.Node, path string) {
	a := r.Get("required")
	if a == nil || a.Kind != jsontree.Array {
		return
	}
	known := map[string]bool{}
	if b := w.Get("required"); b != nil {
		for _, n := range b.Items {
			known[n.Text] = true
		}
	}
	added := map[string]bool{}
	for _, n := range a.Items {
		if !known[n.Text] && r.Get("properties").Get(n.Text) == nil {
			added[n.Text] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		x.add(schema.Difference{
			Type: warnRequired, Path: path + "/required",
			Why: fmt.Sprintf("validators refuse documents without %q; the registry does not look at it because no property has the name",
				name),
			Advice: fmt.Sprintf("do not require %q before all writers fill it", name),
		}, jsontree.NewString(name), nil)
	}
}
