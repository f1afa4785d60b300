package avro

import (
	"fmt"
	"strings"

	"kelp/internal/schema"
)

// difference puts a finding in words: the registry's sentence, then ours.
func (f finding) difference() schema.Difference {
	d := schema.Difference{Type: f.typ, Path: pointer(f.path), Reader: shorten(text(f.reader)), Writer: shorten(text(f.writer))}
	d.Message = fmt.Sprintf("{errorType:'%s', description:'%s', additionalInfo:'%s'}", f.typ, f.description(d.Path), f.message)
	r, w := f.reader, f.writer
	switch f.typ {
	case nameMismatch:
		d.Reader, d.Writer = r.name.full(), w.name.full()
		d.Why = fmt.Sprintf("readers look for %s %q and refuse data that names itself %q", r.kind, r.name.full(), w.name.full())
		d.Advice = fmt.Sprintf(`keep the name, or rename in two steps: add "aliases": [%q] to the type in the reading schema, `+
			`upgrade all readers, then let writers use the new name`, w.name.full())
	case fixedSizeMismatch:
		d.Reader, d.Writer = fmt.Sprint(r.size), fmt.Sprint(w.size)
		d.Why = fmt.Sprintf("readers take %d bytes where %d were written and lose their place in the record", r.size, w.size)
		d.Advice = "a fixed type cannot change its size: add a new field with a new fixed type (or bytes) and a default, fill both for a while"
	case missingSymbols:
		d.Reader, d.Writer = strings.Join(r.symbols, ", "), strings.Join(w.symbols, ", ")
		d.Why = fmt.Sprintf("readers fail on records that carry the symbols %s", f.message)
		d.Advice = fmt.Sprintf(`keep the symbols in the reading enum, or give it a "default" symbol (one of %s) that unknown ones turn into; `+
			`upgrade readers before writers use new symbols`, strings.Join(r.symbols, ", "))
	case missingDefault:
		d.Reader, d.Writer = fieldText(f.field), "(no such field)"
		d.Why = fmt.Sprintf("readers need a value for %q, and records written without the field give none", f.field.name)
		d.Advice = fmt.Sprintf(`add a default, such as "default": %s, to the field %q of the reading schema; if it is a renamed field, `+
			`add "aliases" with its old name; a field that is to go needs a default one version earlier`, defaultFor(f.field.typ), f.field.name)
	case missingUnionBranch:
		d.Why = fmt.Sprintf("readers fail on values of a type that their union %s does not hold", unionNames(r))
		d.Advice = fmt.Sprintf("keep or add the missing type (%s) in the reading union; to drop a branch, stop writing it first and wait "+
			"until no record with it is left", unionNames(w))
	case typeMismatch:
		d.Why = fmt.Sprintf("readers expect %s where %s was written and cannot convert it", r.fullName(), w.fullName())
		d.Advice = typeAdvice(r, w)
	}
	return d
}

func typeAdvice(r, w *node) string {
	if promotes(r.kind, w.kind) {
		return fmt.Sprintf("numbers only widen (%s → %s): keep %s in the reading schema", r.kind, w.kind, w.kind)
	}
	if w.kind == null || r.kind == null {
		return "make the field a union with null, on the reading side first"
	}
	return fmt.Sprintf(`read both: make the reading type a union such as [%q, %q], or add a new field of the new type with a default `+
		`and retire the old one`, w.fullName(), r.fullName())
}

// description is the registry's sentence; %s is the reader's word (new or old), then the writer's.
func (f finding) description(path string) string {
	switch f.typ {
	case nameMismatch:
		return "The name of the schema has changed (path '" + path + "')"
	case fixedSizeMismatch:
		return "The size of FIXED type field at path '" + path + "' in the %s schema does not match with the %s schema"
	case missingSymbols:
		return "The %s schema is missing enum symbols '" + f.message + "' at path '" + path + "' in the %s schema"
	case missingDefault:
		return "The field '" + f.message + "' at path '" + path +
			"' in the %s schema has no default value and is missing in the %s schema"
	case missingUnionBranch:
		return "The %s schema is missing a type inside a union field at path '" + path + "' in the %s schema"
	default:
		return "The type (path '" + path + "') of a field in the %s schema does not match with the %s schema"
	}
}

// clashed is the difference of a comparison that Avro gave up.
func (c *comparison) clashed() schema.Difference {
	return schema.Difference{
		Message: "Unexpected exception during compatibility check: " + c.clash,
		Why:     "readers cannot tell which of several written fields a field of theirs stands for",
		Advice:  "let every field of the reading schema answer to one written field only: take the alias away from the other",
	}
}

func fieldText(f *field) string {
	p := &printer{known: map[string]bool{}}
	p.field(f, "")
	return shorten(string(p.out))
}

func unionNames(n *node) string {
	if n.kind != union {
		return n.fullName()
	}
	names := make([]string, len(n.types))
	for i, t := range n.types {
		names[i] = t.fullName()
	}
	return shorten("[" + strings.Join(names, ", ") + "]")
}

// defaultFor proposes a default that the type takes.
func defaultFor(n *node) string {
	switch n.kind {
	case null:
		return "null"
	case boolean:
		return "false"
	case integer, long:
		return "0"
	case float, double:
		return "0.0"
	case array:
		return "[]"
	case mapKind:
		return "{}"
	case enum:
		if len(n.symbols) > 0 {
			return `"` + n.symbols[0] + `"`
		}
		return `""`
	case union:
		if len(n.types) > 0 {
			return defaultFor(n.types[0])
		}
		return "null"
	case recordKind:
		return "{…}"
	case fixed:
		return `"` + strings.Repeat(`\u0000`, min(n.size, 16)) + `"`
	default:
		return `""`
	}
}
