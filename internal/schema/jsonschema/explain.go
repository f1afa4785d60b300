package jsonschema

import (
	"fmt"
	"strings"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
)

// ReadsFrom lists what keeps s from reading what writer wrote, then the warnings.
func (s *Schema) ReadsFrom(writer schema.Schema, o schema.CompareOptions) []schema.Difference {
	w, ok := writer.(*Schema)
	if !ok {
		return []schema.Difference{{
			Message: "Incompatible because of different schema type",
			Reader:  string(s.Type()), Writer: string(writer.Type()),
			Why:    "readers of one format cannot read the bytes of another",
			Advice: "register the new format under another subject and topic",
		}}
	}
	found, overflow := compareRules(w.root, s.root, o.Lenient)
	out := make([]schema.Difference, 0, len(found))
	for _, f := range found {
		out = append(out, s.difference(w, f))
	}
	if overflow {
		out = append(out, schema.Difference{
			Message: fmt.Sprintf("the schemas are too large to compare: more than %d steps", maxSteps),
			Why:     "nothing is known about readers of these schemas",
			Advice:  "split the schema, or use fewer alternatives in anyOf and oneOf",
		})
	}
	return append(out, s.warnings(w)...)
}

func (s *Schema) difference(w *Schema, f difference) schema.Difference {
	d := schema.Difference{Type: f.typ, Path: "#/" + f.path, Reader: s.piece(f.path), Writer: w.piece(f.path)}
	sentence := description(f.typ, d.Path)
	d.Message = fmt.Sprintf(`{errorType:"%s", description:"%s'}`, f.typ, sentence)
	if sentence == "" {
		d.Path = "" // the registry says no more than the name
	}
	d.Why, d.Advice = explain(f)
	return d
}

// piece is what a side has at a path of the comparison, for people; empty where that is not one
// place of the text (behind references and combinations).
func (s *Schema) piece(path string) string {
	n := s.tree
	for _, token := range strings.Split(path, "/") {
		if token == "" {
			continue
		}
		switch {
		case n.Kind == jsontree.Array:
			next, err := step(n, token)
			if err != nil {
				return ""
			}
			n = next
		case n.Get(token) != nil:
			n = n.Get(token)
		case token == "items" && n.Get("prefixItems") != nil:
			n = n.Get("prefixItems")
		case token == "additionalItems" && n.Get("items") != nil:
			n = n.Get("items")
		case token == "required": // its members are compared one by one
			return ""
		case n.Get("$ref") != nil:
			return brief(n)
		default:
			return ""
		}
	}
	return brief(n)
}

// description is the registry's sentence, with %s for the reader's and then the writer's word.
func description(typ, path string) string {
	p := "'" + path + "'"
	ends := func(suffix string) bool { return strings.HasSuffix(typ, suffix) }
	switch {
	case strings.Contains(typ, "PROPERTY_") && ends("_ADDED_TO_OPEN_CONTENT_MODEL"), typ == "ITEM_ADDED_TO_OPEN_CONTENT_MODEL":
		return "The %s schema has an open content model and has a property or item at path " + p + " which is missing in the %s schema"
	case typ == "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL":
		return "The %s schema has an unopen content model and has a required property at path " + p + " which is missing in the %s schema"
	case ends("_REMOVED_FROM_CLOSED_CONTENT_MODEL"):
		return "The %s has a closed content model and is missing a property or item present at path " + p + " in the %s schema"
	case ends("_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"):
		return "A property or item is missing in the %s schema but present at path " + p +
			" in the %s schema and is not covered by its partially open content model"
	case ends("_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"):
		return "The %s schema has a property or item at path " + p +
			" which is missing in the %s schema and is not covered by its partially open content model"
	case typ == "SCHEMA_ADDED":
		return ""
	case ends("_ITEMS_REMOVED"), ends("_PROPERTIES_REMOVED"), ends("_ADDED"):
		return "The keyword at path " + p + " in the %s schema is not present in the %s schema"
	case ends("_INCREASED"), typ == "MULTIPLE_OF_EXPANDED":
		return "The value at path " + p + " in the %s schema is more than its value in the %s schema"
	case ends("_DECREASED"):
		return "The value at path " + p + " in the %s schema is less than its value in the %s schema"
	case typ == "PATTERN_CHANGED", typ == "MULTIPLE_OF_CHANGED", typ == "DEPENDENCY_ARRAY_CHANGED":
		return "The value at path " + p + " is different between the %s and %s schema"
	case typ == "TYPE_NARROWED", ends("_CHANGED"):
		return "A type at path " + p + " is different between the %s schema and the %s schema"
	case ends("_NARROWED"):
		return "An array or combined type at path " + p + " has fewer elements in the %s schema than the %s schema"
	case ends("_EXTENDED"):
		return "An array or combined type at path " + p + " has more elements in the %s schema than the %s schema"
	default:
		return ""
	}
}

// last is the property, item or keyword that a path ends with.
func last(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[i+1:]
	}
	if path == "" {
		return "(root)"
	}
	return path
}

// explain says whom a change breaks, and what would do instead.
func explain(f difference) (why, advice string) {
	name := last(f.path)
	if e, ok := explanations[f.typ]; ok {
		return strings.ReplaceAll(e.why, "$", name), strings.ReplaceAll(e.advice, "$", name)
	}
	for suffix, e := range suffixExplanations {
		if strings.HasSuffix(f.typ, suffix) {
			return strings.ReplaceAll(e.why, "$", name), strings.ReplaceAll(e.advice, "$", name)
		}
	}
	return fmt.Sprintf("readers check more at %q than writers had to keep", name),
		"leave the rule as it was, or put the stricter one under a new property"
}
