package protobuf

import (
	"cmp"
	"slices"
	"strconv"
)

// Changes that the registry lets pass. The first four have its names; the others are ours.
const (
	messageMoved       = "MESSAGE_MOVED"
	enumConstRemoved   = "ENUM_CONST_REMOVED"
	enumConstChanged   = "ENUM_CONST_CHANGED"
	fieldNameChanged   = "FIELD_NAME_CHANGED"
	fieldNumberChanged = "FIELD_NUMBER_CHANGED"
	fieldNarrowed      = "FIELD_NARROWED"
	bytesReadAsString  = "BYTES_READ_AS_STRING"
	cardinalityChanged = "FIELD_CARDINALITY_CHANGED"
	defaultChanged     = "FIELD_DEFAULT_CHANGED"
	jsonNameChanged    = "FIELD_JSON_NAME_CHANGED"
	numberNotReserved  = "FIELD_NUMBER_NOT_RESERVED"
	reservedReused     = "RESERVED_NUMBER_REUSED"
	groupChanged       = "GROUP_CHANGED"
	extensionChanged   = "EXTENSION_CHANGED"
)

var warnings = map[string]explanation{
	messageMoved: {
		"The message at path '{path}' has another index in the %s schema than in the %s schema",
		"records name their message by its index in the schema of their id: programs that write or read with fixed " +
			"indexes, or with one schema's id and another's classes, take the wrong message",
		"add new messages at the end",
	},
	enumConstRemoved: {
		"The %s schema is missing an enum value at path '{path}' in the %s schema",
		"readers see an unknown number: as the number in proto3, as an unset field in proto2",
		"keep the value and mark it deprecated, or reserve its number and name",
	},
	enumConstChanged: {
		"The enum value at path '{path}' has another name in the %s schema than in the %s schema",
		"the number means something else to readers, and records in JSON name the old value",
		"keep the value; add the new one under a new number, or as an alias with allow_alias",
	},
	fieldNameChanged: {
		"The field at path '{path}' has another name in the %s schema than in the %s schema",
		"records in JSON, field masks and queries by name no longer find the field; binary data is fine",
		"keep the old name in JSON with json_name, or add a field under a new number",
	},
	fieldNumberChanged: {
		"The field at path '{path}' has another number in the %s schema than in the %s schema",
		"readers do not see what the writer put there: to them it is an unknown field",
		"give the old number back; numbers are never changed",
	},
	fieldNarrowed: {
		"The type of the field at path '{path}' in the %s schema holds less than in the %s schema",
		"readers silently cut off numbers that do not fit their type",
		"upgrade the readers first and do not write larger values before; or add a field under a new number",
	},
	bytesReadAsString: {
		"The field at path '{path}' is a string in the %s schema and bytes in the %s schema",
		"bytes that are not UTF-8 make readers refuse the whole record",
		"keep bytes, or make sure that all data is UTF-8, old records too",
	},
	cardinalityChanged: {
		"The field at path '{path}' is repeated in only one of the %s schema and the %s schema",
		"a reader of a single value keeps the last one, or none if they are packed; messages are merged",
		"keep the label, or add a field with the new one under a new number",
	},
	defaultChanged: {
		"The field at path '{path}' has another default in the %s schema than in the %s schema",
		"a missing value means something else to readers than to the writer",
		"keep the default, or write the value explicitly",
	},
	jsonNameChanged: {
		"The field at path '{path}' has another JSON name in the %s schema than in the %s schema",
		"records in JSON no longer find the field; binary data is fine",
		"keep the json_name",
	},
	numberNotReserved: {
		"The %s schema neither has nor reserves the field number at path '{path}' in the %s schema",
		"a later schema may use the number for something else, and readers would take old data for it",
		"reserve the number and the name of the removed field",
	},
	reservedReused: {
		"The %s schema uses a field number at path '{path}' that the %s schema reserves",
		"the number was in use before: old records have data of another field there",
		"use a number that was never used",
	},
	groupChanged: {
		"A group at path '{path}' is no group of the same label in the %s schema as in the %s schema",
		"groups have an encoding of their own: readers lose the value",
		"keep the group, or add a message field under a new number",
	},
	extensionChanged: {
		"The extension at path '{path}' has another type in the %s schema than in the %s schema",
		"readers that know the extension get another value or none",
		"keep the extension, or add one under a new number",
	},
}

// width is how many bits of a varint a type keeps, with a sign or without.
var width = map[string]struct {
	bits   int
	signed bool
}{
	"bool": {1, false}, "int32": {32, true}, "uint32": {32, false}, "sint32": {32, true}, "fixed32": {32, false},
	"sfixed32": {32, true}, "int64": {64, true}, "uint64": {64, false}, "sint64": {64, true}, "fixed64": {64, false},
	"sfixed64": {64, true},
}

// fieldWarnings compares two compatible fields under one number.
func (c *comparer) fieldWarnings(o, u *field) {
	say := func(typ string) { c.warn(typ, fieldText(o), fieldText(u)) }
	if o.name != u.name {
		say(fieldNameChanged)
	}
	if (o.label == "repeated") != (u.label == "repeated") && !c.isMap(original, o) && !c.isMap(update, u) {
		say(cardinalityChanged)
	}
	if o.typ == "bytes" && u.typ == "string" {
		say(bytesReadAsString)
	}
	if c.narrows(o.typ, u.typ) {
		say(fieldNarrowed)
	}
	if o.def != u.def {
		say(defaultChanged)
	}
	if jsonNameOf(o) != jsonNameOf(u) && o.name == u.name {
		say(jsonNameChanged)
	}
}

func (c *comparer) isMap(side int, f *field) bool {
	form, _ := c.form(side, f.typ)
	return form == formMap
}

// narrows says whether values of o do not all fit u. An enum is an int32.
func (c *comparer) narrows(o, u string) bool {
	wo, oScalar := width[o]
	wu, uScalar := width[u]
	if !oScalar && c.isEnum(original, o) {
		wo, oScalar = width["int32"], true
	}
	if !uScalar && c.isEnum(update, u) {
		wu, uScalar = width["int32"], true
	}
	if !oScalar || !uScalar {
		return false
	}
	// A sign that the other side does not know turns small negative numbers into huge ones and back.
	return wo.bits > wu.bits || wo.signed != wu.signed && (wo.signed || wo.bits >= wu.bits)
}

func (c *comparer) isEnum(side int, t string) bool {
	i := c.scopes[side].lookup(t)
	return i != nil && i.enum != nil
}

func jsonNameOf(f *field) string {
	if f.hasJSON {
		return f.jsonName
	}
	return lowerCamel(f.name)
}

func lowerCamel(name string) string {
	var b []byte
	upper := false
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_':
			upper = true
		case upper && c >= 'a' && c <= 'z':
			b, upper = append(b, c-'a'+'A'), false
		default:
			b, upper = append(b, c), false
		}
	}
	return string(b)
}

// messageWarnings looks at what happens to numbers and names over the whole message.
func (c *comparer) messageWarnings(o, u *message, was, is map[int]member) {
	names := map[string]*field{}
	for _, m := range is {
		names[m.name] = m.field
	}
	reservedBefore, reservedNow := reservedNumbers(o), reservedNumbers(u)
	for _, number := range keysOf(was, is) {
		old, now := was[number].field, is[number].field
		c.at(func() {
			switch {
			case now == nil && names[old.name] != nil && was[names[old.name].number].field == nil:
				c.warn(fieldNumberChanged, fieldText(old), fieldText(names[old.name]))
			case now == nil && !c.olderReader && !reservedNow.has(number) && groupOf(u, number) == nil:
				c.warn(numberNotReserved, fieldText(old), "")
			case old == nil && !c.olderReader && reservedBefore.has(number):
				c.warn(reservedReused, "reserved "+strconv.Itoa(number), fieldText(now))
			}
		}, strconv.Itoa(number))
	}
	for _, g := range o.groups {
		now := groupOf(u, g.number)
		if now == nil && reservedNow.has(g.number) {
			continue
		}
		if now == nil || (now.label == "repeated") != (g.label == "repeated") {
			c.at(func() { c.warn(groupChanged, "group "+g.body.name, fieldText(is[g.number].field)) }, strconv.Itoa(g.number))
		}
	}
}

// numberRanges are sorted and do not touch each other.
type numberRanges []rangeValue

func reservedNumbers(m *message) numberRanges {
	var all numberRanges
	for _, r := range m.reserved {
		for _, v := range r.values {
			if !v.isName {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(a, b rangeValue) int { return cmp.Compare(a.from, b.from) })
	out := all[:0]
	for _, v := range all {
		if n := len(out); n > 0 && v.from <= out[n-1].to+1 {
			out[n-1].to = max(out[n-1].to, v.to)
		} else {
			out = append(out, v)
		}
	}
	return out
}

func (r numberRanges) has(number int) bool {
	_, found := slices.BinarySearchFunc(r, number, func(v rangeValue, n int) int {
		switch {
		case v.to < n:
			return -1
		case v.from > n:
			return 1
		}
		return 0
	})
	return found
}

func groupOf(m *message, number int) *group {
	for _, g := range m.groups {
		if g.number == number {
			return g
		}
	}
	return nil
}

// extensions compares the extensions that both files declare of one message under one number.
func (c *comparer) extensions(o, u []*extend) {
	type key struct {
		name   string
		number int
	}
	was := map[key]*field{}
	for _, e := range o {
		for _, f := range e.fields {
			was[key{c.extended(original, e.name), f.number}] = f
		}
	}
	for _, e := range u {
		for _, f := range e.fields {
			old := was[key{c.extended(update, e.name), f.number}]
			if old == nil {
				continue
			}
			fo, _ := c.form(original, old.typ)
			fu, _ := c.form(update, f.typ)
			if fo != fu || (old.label == "repeated") != (f.label == "repeated") {
				c.at(func() { c.warn(extensionChanged, fieldText(old), fieldText(f)) }, e.name, strconv.Itoa(f.number))
			}
		}
	}
}

func (c *comparer) extended(side int, name string) string {
	if full, ok := c.scopes[side].resolve(name); ok {
		return full
	}
	return name
}
