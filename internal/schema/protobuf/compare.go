package protobuf

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema"
)

// Confluent's names of the differences that it calls incompatible.
const (
	packageChanged            = "PACKAGE_CHANGED"
	messageRemoved            = "MESSAGE_REMOVED"
	fieldKindChanged          = "FIELD_KIND_CHANGED"
	fieldScalarKindChanged    = "FIELD_SCALAR_KIND_CHANGED"
	fieldNamedTypeChanged     = "FIELD_NAMED_TYPE_CHANGED"
	fieldNumericLabelChanged  = "FIELD_NUMERIC_LABEL_CHANGED"
	requiredFieldAdded        = "REQUIRED_FIELD_ADDED"
	requiredFieldRemoved      = "REQUIRED_FIELD_REMOVED"
	oneofFieldRemoved         = "ONEOF_FIELD_REMOVED"
	multipleFieldsMovedToOnof = "MULTIPLE_FIELDS_MOVED_TO_ONEOF"
	fieldMovedToExistingOneof = "FIELD_MOVED_TO_EXISTING_ONEOF"
)

// Limits of a comparison. Imported messages are compared along every path that leads to them, as
// the registry does; the number of paths can grow exponentially.
const (
	maxCompareSteps = 200_000 // declarations compared before each pair of messages is looked at once more at most
	maxDifferences  = 1_000   // recorded; the verdict needs one
)

// ReadsFrom compares by field number, the writer's schema as the registry's "original" and this one
// as its "update". The registry's algorithm is followed step by step, also where it is lenient
// (enums, options, groups, and labels that are not written are not compared); what breaks although
// it passes is a warning.
func (s *Schema) ReadsFrom(writer schema.Schema, options schema.CompareOptions) []schema.Difference {
	w, ok := writer.(*Schema)
	if !ok {
		return []schema.Difference{{Type: "SCHEMA_TYPE_CHANGED", Message: "Incompatible because of different schema type"}}
	}
	c := &comparer{
		tables: [2]*table{w.types, s.types}, files: [2]*file{w.tree, s.tree},
		olderReader: options.OlderReader,
		active:      map[*message]bool{}, seen: map[[2]*message]bool{},
	}
	c.enterFile(w.tree.pkg, s.tree.pkg, "")
	if w.tree.pkg != s.tree.pkg {
		c.add(packageChanged, "package "+w.tree.pkg, "package "+s.tree.pkg)
	}
	c.types(w.tree.types, s.tree.types)
	c.extensions(w.tree.extends, s.tree.extends)
	return c.out
}

// The two sides of a comparison, as indexes.
const (
	original = 0 // the writer's
	update   = 1 // the reader's
)

type comparer struct {
	olderReader bool // for warnings

	tables [2]*table
	files  [2]*file
	place
	active map[*message]bool    // originals being compared: recursion ends there
	seen   map[[2]*message]bool // pairs that were compared after the budget was spent
	warned map[[2]string]bool   // type and path of warnings: said once
	steps  int
	broken int // incompatible differences so far
	out    []schema.Difference
}

// place is where the comparison is: the path for people and the scope of names on both sides.
type place struct {
	path   []string
	scopes [2]*scope
}

// enterFile starts at a type of (maybe) another file.
func (c *comparer) enterFile(originalPkg, updatePkg, local string) {
	c.place = place{scopes: [2]*scope{newScope(c.tables[original], originalPkg), newScope(c.tables[update], updatePkg)}}
	if local != "" {
		for name := range strings.SplitSeq(local, ".") {
			c.enterType(name)
		}
	}
}

func (c *comparer) enterType(name string) {
	c.path = append(c.path, name)
	c.scopes[original].enter(name)
	c.scopes[update].enter(name)
}

func (c *comparer) leaveType() {
	c.path = c.path[:len(c.path)-1]
	c.scopes[original].leave()
	c.scopes[update].leave()
}

// at runs f with parts appended to the path.
func (c *comparer) at(f func(), parts ...string) {
	n := len(c.path)
	c.path = append(c.path, parts...)
	f()
	c.path = c.path[:n]
}

// types compares the declarations of a file or a message by name.
func (c *comparer) types(o, u []typ) {
	om, oe := byName(o)
	um, ue := byName(u)
	for _, name := range keysOf(om, um) {
		c.enterType(name)
		was, is := om[name], um[name]
		switch {
		case is.m == nil:
			if i := c.scopes[original].lookup(name); i != nil && !i.isMap() {
				c.add(messageRemoved, "message "+name, "")
			}
		case was.m != nil:
			c.message(was.m, is.m)
			if was.index != is.index {
				c.warn(messageMoved, "message "+name+" at index "+strconv.Itoa(was.index), "at index "+strconv.Itoa(is.index))
			}
		}
		c.leaveType()
	}
	for _, name := range keysOf(oe, ue) {
		c.enterType(name)
		if was, is := oe[name], ue[name]; was != nil && is != nil {
			c.enums(was, is)
		}
		c.leaveType()
	}
}

type indexed struct {
	m     *message
	index int
}

func byName(types []typ) (map[string]indexed, map[string]*enum) {
	messages, enums := map[string]indexed{}, map[string]*enum{}
	for _, t := range types {
		if t.message != nil {
			messages[t.message.name] = indexed{t.message, len(messages)}
		} else {
			enums[t.enum.name] = t.enum
		}
	}
	return messages, enums
}

func keysOf[V any, K cmp.Ordered](a, b map[K]V) []K {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// message compares two messages. Fields of an original that is being compared already are not
// looked at again, its nested types are.
func (c *comparer) message(o, u *message) {
	if c.spent(o, u) {
		return
	}
	if !c.active[o] {
		c.active[o] = true
		defer delete(c.active, o)
		c.fields(o, u)
	}
	c.types(o.types, u.types)
}

// spent bounds the work: after the budget every pair is compared once, which still reaches every
// difference.
func (c *comparer) spent(o, u *message) bool {
	c.steps += 1 + len(o.fields) + len(u.fields) + len(o.types) + len(u.types)
	if c.broken >= maxDifferences {
		return true
	}
	if c.steps < maxCompareSteps {
		return false
	}
	pair := [2]*message{o, u}
	done := c.seen[pair]
	c.seen[pair] = true
	return done
}

// member is a field with the oneof that it is in, nil for none.
type member struct {
	*field
	oneof *oneof
}

func members(m *message) map[int]member {
	all := make(map[int]member, len(m.fields))
	for _, f := range m.fields {
		all[f.number] = member{f, nil}
	}
	for _, o := range m.oneofs {
		for _, f := range o.fields {
			all[f.number] = member{f, o}
		}
	}
	return all
}

// fields compares by number over the whole message, so that moving into, out of and between oneofs
// hides nothing.
func (c *comparer) fields(o, u *message) {
	was, is := members(o), members(u)
	deleted := deletedOneofs(o, u, is)
	for _, each := range u.oneofs {
		c.exclusion(each, was)
	}
	for _, number := range keysOf(was, is) {
		c.field(was[number], is[number], deleted)
	}
	c.messageWarnings(o, u, was, is)
}

// deletedOneofs are those that are gone by name, with no member left anywhere.
func deletedOneofs(o, u *message, is map[int]member) map[*oneof]bool {
	deleted, names := map[*oneof]bool{}, map[string]bool{}
	for _, each := range u.oneofs {
		names[each.name] = true
	}
	for _, each := range o.oneofs {
		survives := names[each.name] ||
			slices.ContainsFunc(each.fields, func(f *field) bool { return is[f.number].field != nil })
		deleted[each] = !survives
	}
	return deleted
}

// exclusion finds fields that exclude each other now and did not: those of one oneof that come from
// more than one place (each earlier oneof is a place, each field outside one is its own).
func (c *comparer) exclusion(o *oneof, was map[int]member) {
	oneofs, single := map[*oneof]bool{}, 0
	for _, f := range o.fields {
		switch m := was[f.number]; {
		case m.field == nil:
		case m.oneof != nil:
			oneofs[m.oneof] = true
		default:
			single++
		}
	}
	if len(oneofs)+single < 2 {
		return
	}
	c.at(func() {
		if single > 1 {
			c.add(multipleFieldsMovedToOnof, "fields outside a oneof", oneofText(o))
		} else {
			c.add(fieldMovedToExistingOneof, "a field outside the oneof", oneofText(o))
		}
	}, o.name)
}

func (c *comparer) field(o, u member, deleted map[*oneof]bool) {
	switch {
	case u.field == nil && o.oneof != nil:
		if !deleted[o.oneof] {
			c.at(func() { c.add(oneofFieldRemoved, fieldText(o.field), "") }, o.oneof.name, strconv.Itoa(o.number))
		}
	case u.field == nil:
		if o.label == "required" {
			c.at(func() { c.add(requiredFieldRemoved, fieldText(o.field), "") }, strconv.Itoa(o.number))
		}
	case o.field == nil:
		if u.oneof == nil && u.label == "required" {
			c.at(func() { c.add(requiredFieldAdded, "", fieldText(u.field)) }, strconv.Itoa(u.number))
		}
	case u.oneof != nil:
		c.at(func() { c.contents(o.field, u.field) }, u.oneof.name, strconv.Itoa(u.number))
	default:
		c.at(func() { c.contents(o.field, u.field) }, strconv.Itoa(u.number))
	}
}

func (c *comparer) contents(o, u *field) {
	f := fieldPair{o, u}
	if c.labelsAndTypes(f, [2]string{o.label, u.label}, [2]string{o.typ, u.typ}) {
		c.fieldWarnings(o, u)
	}
}

// fieldPair is what a difference within a field is reported with.
type fieldPair struct{ o, u *field }

// form is how a field's values look: one kind of scalar, a message, or a map.
type form int

const (
	formMessage form = iota
	formMap
	formNumber // int32, int64, uint32, uint64, bool, enums
	formSigned // sint32, sint64
	formText   // string, bytes
	formFixed32
	formFixed64
	formFloat
	formDouble
)

var forms = map[string]form{
	"int32": formNumber, "int64": formNumber, "uint32": formNumber, "uint64": formNumber, "bool": formNumber,
	"sint32": formSigned, "sint64": formSigned, "string": formText, "bytes": formText,
	"fixed32": formFixed32, "sfixed32": formFixed32, "fixed64": formFixed64, "sfixed64": formFixed64,
	"float": formFloat, "double": formDouble,
}

func (f form) scalar() bool { return f >= formNumber }

// form also unwraps the entry message of a map.
func (c *comparer) form(side int, t string) (form, string) {
	if i := c.scopes[side].lookup(t); i != nil && i.isMap() {
		t = "map<" + i.key + ", " + i.value + ">"
	}
	if _, _, isMap := mapTypes(t); isMap {
		return formMap, t
	}
	if f, ok := forms[t]; ok {
		return f, t
	}
	if i := c.scopes[side].lookup(t); i != nil && i.enum != nil {
		return formNumber, t
	}
	return formMessage, t
}

// labelsAndTypes reports whether the two are compatible.
func (c *comparer) labelsAndTypes(f fieldPair, labels, types [2]string) bool {
	fo, to := c.form(original, types[original])
	fu, tu := c.form(update, types[update])
	switch {
	case fo.scalar() != fu.scalar() || !fo.scalar() && fo != fu:
		c.addField(fieldKindChanged, f)
		return false
	case fo != fu:
		c.addField(fieldScalarKindChanged, f)
		return false
	case fo.scalar():
		if fo != formText && labels[original] != "" && labels[update] != "" && labels[original] != labels[update] {
			c.addField(fieldNumericLabelChanged, f)
			return false
		}
		return true
	case fo == formMessage:
		return c.messageTypes(f, to, tu)
	}
	ko, vo, _ := mapTypes(to)
	ku, vu, _ := mapTypes(tu)
	keys := c.labelsAndTypes(f, [2]string{}, [2]string{ko, ku})
	return c.labelsAndTypes(f, [2]string{}, [2]string{vo, vu}) && keys
}

// messageTypes compares the names without their packages, and the contents unless both are types of
// the schemas themselves, which are compared where they are declared.
func (c *comparer) messageTypes(f fieldPair, to, tu string) bool {
	o, localO := c.messageType(original, to)
	u, localU := c.messageType(update, tu)
	if o == nil || u == nil {
		if to != tu {
			c.addField(fieldNamedTypeChanged, f)
		}
		return to == tu
	}
	if localO != localU {
		c.addField(fieldNamedTypeChanged, f)
		return false
	}
	if o.file == "" && u.file == "" || o.message == nil || u.message == nil || o.message == u.message {
		return true
	}
	outer, before := c.place, c.broken
	c.enterFile(o.pkg, u.pkg, localU)
	c.message(o.message, u.message)
	c.place = outer
	if c.broken > before {
		c.addField(fieldNamedTypeChanged, f)
	}
	return c.broken == before
}

// messageType finds a type and its name without the package. The registry looks a full name up as
// if it were relative, so that a type of the same name nearer by takes its place.
func (c *comparer) messageType(side int, t string) (*typeInfo, string) {
	full, ok := c.scopes[side].resolve(t)
	if !ok {
		return nil, ""
	}
	i := c.scopes[side].lookup(full)
	return i, strings.TrimPrefix(full, i.pkg+".")
}

// enums never break anybody in the registry's eyes.
func (c *comparer) enums(o, u *enum) {
	is, names := map[int]*enumValue{}, map[enumValueName]bool{}
	for _, v := range u.values {
		is[v.number] = v
		names[enumValueName{v.name, v.number}] = true
	}
	for _, v := range o.values {
		c.at(func() {
			switch now := is[v.number]; {
			case now == nil:
				c.warn(enumConstRemoved, v.name+" = "+strconv.Itoa(v.number), "")
			case !names[enumValueName{v.name, v.number}]: // with allow_alias it may be there under two names
				c.warn(enumConstChanged, v.name+" = "+strconv.Itoa(v.number), now.name+" = "+strconv.Itoa(now.number))
			}
		}, strconv.Itoa(v.number))
	}
}

type enumValueName struct {
	name   string
	number int
}
