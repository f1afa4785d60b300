package protobuf

import (
	"strings"

	"kelp/internal/schema"
)

// explanation is what is said about a type of difference: the registry's sentence (first %s the
// reader's schema, then the writer's), who breaks how, and what to do instead.
type explanation struct{ sentence, why, advice string }

var explanations = map[string]explanation{
	packageChanged: {
		"The package at '{path}' in the %s schema does not match the package in the %s schema",
		"every message has another full name, so type URLs, generated classes and references of the other side do not match",
		"keep the package; put messages of a new package into a new subject",
	},
	messageRemoved: {
		"The %s schema is missing a MESSAGE type at path '{path}' in the %s schema",
		"readers cannot find the message that records of the writer name by index or type",
		"keep the message, even if unused, and mark it deprecated; rename by adding a new message beside it",
	},
	fieldKindChanged: {
		"The type of a field at path '{path}' in the %s schema does not match the %s schema",
		"a scalar, a message and a map have different encodings: readers fail or lose the value",
		"keep the field and add one of the new type under a new number and name; reserve the old number once nobody writes it",
	},
	fieldScalarKindChanged: {
		"The kind of a SCALAR field at path '{path}' in the %s schema does not match its kind in the %s schema",
		"the two types have different encodings: readers get another value or none",
		"keep the type, or add a field of the new type under a new number; free changes are within int32, int64, uint32, " +
			"uint64, bool and enums, sint32 and sint64, string and bytes, fixed32 and sfixed32, fixed64 and sfixed64",
	},
	fieldNamedTypeChanged: {
		"The type of a MESSAGE field at path '{path}' in the %s schema does not match its type in the %s schema",
		"readers decode the bytes of one message as another: fields get mixed up without an error",
		"keep the message type, or add a field of the new type under a new number",
	},
	fieldNumericLabelChanged: {
		"The label for a NUMERIC field at path '{path}' in the %s schema does not match its label in the %s schema",
		"repeated numbers may be packed, which readers of a single one cannot take; a required field that is missing fails parsing",
		"keep the label, or add a field with the new one under a new number",
	},
	requiredFieldAdded: {
		"A required field  at path '{path}' in the %s schema is missing in the %s schema",
		"readers refuse every record of the writer, since it lacks the required field",
		"make the field optional and check for it in the program",
	},
	requiredFieldRemoved: {
		"The %s schema is missing a required field at path: '{path}' in the %s schema",
		"records of schemas without the field are refused by those that require it",
		"make the field optional first, wait until all readers have that, then remove it and reserve its number",
	},
	oneofFieldRemoved: {
		"The %s schema is missing a oneof field at path '{path}' in the %s schema",
		"readers see an unset oneof where the writer set this field, and cannot tell it from nothing",
		"keep the field in the oneof and mark it deprecated",
	},
	multipleFieldsMovedToOnof: {
		"Multiple fields in the oneof at path '{path}' in the %s schema are outside a oneof in the %s schema",
		"where the writer set several of the fields, readers keep only the last one",
		"leave the fields outside; make a new oneof of new fields under new numbers",
	},
	fieldMovedToExistingOneof: {
		"A field in the oneof at path '{path}' in the %s schema is outside an existing oneof in the %s schema",
		"where the writer set the field and a member of the oneof, readers keep only the last one",
		"add a new field to the oneof under a new number instead of moving one there",
	},
}

func (c *comparer) pathText() string { return "#/" + strings.Join(c.path, "/") }

// add records an incompatible difference; writer and reader are its two sides.
func (c *comparer) add(typ, writer, reader string) {
	c.broken++
	if c.broken > maxDifferences {
		return
	}
	e := explanations[typ]
	path := c.pathText()
	c.out = append(c.out, schema.Difference{
		Type: typ, Path: path, Message: strings.ReplaceAll(e.sentence, "{path}", path),
		Writer: shorten(writer), Reader: shorten(reader), Why: e.why, Advice: e.advice,
	})
}

func (c *comparer) addField(typ string, f fieldPair) { c.add(typ, fieldText(f.o), fieldText(f.u)) }

// warn records a change that the registry lets pass, once for each place.
func (c *comparer) warn(typ, writer, reader string) {
	path := c.pathText()
	key := [2]string{typ, path}
	if len(c.warned) >= maxDifferences || c.warned[key] {
		return
	}
	if c.warned == nil {
		c.warned = map[[2]string]bool{}
	}
	c.warned[key] = true
	e := warnings[typ]
	c.out = append(c.out, schema.Difference{
		Type: typ, Path: path, Warning: true, Message: strings.ReplaceAll(e.sentence, "{path}", path),
		Writer: shorten(writer), Reader: shorten(reader), Why: e.why, Advice: e.advice,
	})
}

// fieldText is a field as its schema has it.
func fieldText(f *field) string {
	if f == nil {
		return ""
	}
	p := &printer{}
	p.field(f)
	return strings.TrimSuffix(p.b.String(), ";\n")
}

func oneofText(o *oneof) string {
	var fields []string
	for _, f := range o.fields {
		fields = append(fields, fieldText(f))
	}
	return "oneof " + o.name + " { " + strings.Join(fields, "; ") + " }"
}
