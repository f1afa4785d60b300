package protobuf

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"kelp/internal/schema"
)

type descriptorBuilder struct {
	file  *file
	scope *scope
	ext   *protoregistry.Types
}

func (b *descriptorBuilder) types(types []typ) ([]*descriptorpb.DescriptorProto, []*descriptorpb.EnumDescriptorProto) {
	var messages []*descriptorpb.DescriptorProto
	var enums []*descriptorpb.EnumDescriptorProto
	for _, t := range types {
		if t.message != nil {
			messages = append(messages, b.message(t.message))
		} else {
			enums = append(enums, b.enum(t.enum))
		}
	}
	return messages, enums
}

// message keeps the nested messages of the text first: their order is that of message indexes.
// Those that a text only implies, of maps and groups, follow.
func (b *descriptorBuilder) message(m *message) *descriptorpb.DescriptorProto {
	b.scope.enter(m.name)
	defer b.scope.leave()
	d := &descriptorpb.DescriptorProto{Name: proto.String(m.name)}
	d.NestedType, d.EnumType = b.types(m.types)
	for _, o := range m.oneofs {
		b.oneof(d, o)
	}
	for _, f := range m.fields {
		b.member(d, f)
	}
	for _, g := range m.groups {
		d.Field = append(d.Field, b.group(g, &d.NestedType))
	}
	for _, r := range m.reserved {
		for _, v := range r.values {
			if v.isName {
				d.ReservedName = append(d.ReservedName, v.name)
			} else {
				d.ReservedRange = append(d.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{
					Start: proto.Int32(toInt32(v.from)), End: proto.Int32(toInt32(v.to + 1)),
				})
			}
		}
	}
	for _, r := range m.extensions {
		for _, v := range r.values {
			d.ExtensionRange = append(d.ExtensionRange, &descriptorpb.DescriptorProto_ExtensionRange{
				Start: proto.Int32(toInt32(v.from)), End: proto.Int32(toInt32(v.to + 1)),
			})
		}
	}
	b.dropOddEntries(d)
	d.Extension, d.NestedType = b.extends(m.extends, d.NestedType)
	d.Options = &descriptorpb.MessageOptions{}
	if !b.setOptions(d.Options, m.options) {
		d.Options = nil
	}
	return d
}

// dropOddEntries makes map entries that are not named after their field plain messages: the registry
// takes such texts, and the wire format is the same.
func (b *descriptorBuilder) dropOddEntries(d *descriptorpb.DescriptorProto) {
	named := map[string]bool{}
	for _, f := range d.Field {
		if name := mapEntryName(f.GetName()); f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED &&
			strings.HasSuffix(f.GetTypeName(), "."+name) {
			named[name] = true
		}
	}
	for _, n := range d.NestedType {
		if !n.GetOptions().GetMapEntry() || named[n.GetName()] {
			continue
		}
		for _, f := range n.Field {
			if f.GetName() == "key" && !mapKeys[f.GetType()] {
				b.fail("%s is no type of map keys", f.GetType())
			}
		}
		n.Options.MapEntry = nil
	}
}

var mapKeys = map[descriptorpb.FieldDescriptorProto_Type]bool{
	descriptorpb.FieldDescriptorProto_TYPE_INT32: true, descriptorpb.FieldDescriptorProto_TYPE_INT64: true,
	descriptorpb.FieldDescriptorProto_TYPE_UINT32: true, descriptorpb.FieldDescriptorProto_TYPE_UINT64: true,
	descriptorpb.FieldDescriptorProto_TYPE_SINT32: true, descriptorpb.FieldDescriptorProto_TYPE_SINT64: true,
	descriptorpb.FieldDescriptorProto_TYPE_FIXED32: true, descriptorpb.FieldDescriptorProto_TYPE_FIXED64: true,
	descriptorpb.FieldDescriptorProto_TYPE_SFIXED32: true, descriptorpb.FieldDescriptorProto_TYPE_SFIXED64: true,
	descriptorpb.FieldDescriptorProto_TYPE_BOOL: true, descriptorpb.FieldDescriptorProto_TYPE_STRING: true,
}

func (b *descriptorBuilder) oneof(d *descriptorpb.DescriptorProto, o *oneof) {
	if len(o.fields)+len(o.groups) == 0 {
		b.fail("the oneof %s has no fields", o.name)
	}
	index := proto.Int32(int32(len(d.OneofDecl)))
	decl := &descriptorpb.OneofDescriptorProto{Name: proto.String(o.name), Options: &descriptorpb.OneofOptions{}}
	if !b.setOptions(decl.Options, o.options) {
		decl.Options = nil
	}
	d.OneofDecl = append(d.OneofDecl, decl)
	for _, f := range o.fields {
		fd := b.field(f)
		fd.OneofIndex = index
		d.Field = append(d.Field, fd)
	}
	for _, g := range o.groups {
		fd := b.group(g, &d.NestedType)
		fd.OneofIndex = index
		d.Field = append(d.Field, fd)
	}
}

// member adds a field outside oneofs, with the entry message of a map and the one-field oneof of
// proto3's optional.
func (b *descriptorBuilder) member(d *descriptorpb.DescriptorProto, f *field) {
	if key, value, ok := mapTypes(f.typ); ok {
		entry := &descriptorpb.DescriptorProto{
			Name:    proto.String(mapEntryName(f.name)),
			Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
			Field: []*descriptorpb.FieldDescriptorProto{
				b.field(&field{name: "key", number: 1, typ: key}),
				b.field(&field{name: "value", number: 2, typ: value}),
			},
		}
		d.NestedType = append(d.NestedType, entry)
		mapped := *f
		mapped.label, mapped.typ = "repeated", ""
		fd := b.field(&mapped)
		full := strings.Join(append(b.path(), entry.GetName()), ".")
		fd.TypeName, fd.Type = proto.String("."+full), descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		d.Field = append(d.Field, fd)
		return
	}
	fd := b.field(f)
	if f.label == "optional" && b.file.proto3() {
		fd.Proto3Optional = proto.Bool(true)
		fd.OneofIndex = proto.Int32(int32(len(d.OneofDecl)))
		d.OneofDecl = append(d.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_" + f.name)})
	}
	d.Field = append(d.Field, fd)
}

func (b *descriptorBuilder) path() []string {
	var parts []string
	for _, n := range b.scope.path[1:] {
		parts = append(parts, n.name)
	}
	return parts
}

// mapEntryName is the name that protoc gives a map's entry message.
func mapEntryName(name string) string {
	var out strings.Builder
	upper := true
	for _, c := range name {
		switch {
		case c == '_':
			upper = true
			continue
		case upper && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		out.WriteRune(c)
	}
	return out.String() + "Entry"
}

func (b *descriptorBuilder) fail(format string, args ...any) {
	panic(syntaxError{fmt.Errorf("%w: %s", schema.ErrInvalid, fmt.Sprintf(format, args...))})
}

func toInt32(i int) int32 { return int32(min(max(i, math.MinInt32), math.MaxInt32)) }

var labels = map[string]descriptorpb.FieldDescriptorProto_Label{
	"":         descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL,
	"optional": descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL,
	"required": descriptorpb.FieldDescriptorProto_LABEL_REQUIRED,
	"repeated": descriptorpb.FieldDescriptorProto_LABEL_REPEATED,
}

func (b *descriptorBuilder) field(f *field) *descriptorpb.FieldDescriptorProto {
	fd := &descriptorpb.FieldDescriptorProto{
		Name: proto.String(f.name), Number: proto.Int32(toInt32(f.number)), Label: labels[f.label].Enum(),
	}
	if f.typ != "" {
		b.setType(fd, f.typ)
	}
	if f.hasJSON {
		fd.JsonName = proto.String(f.jsonName)
	}
	if f.hasDefault {
		def := f.def
		if f.typ == "bytes" {
			def = escapeBytes(def)
		}
		fd.DefaultValue = proto.String(def)
	}
	fd.Options = &descriptorpb.FieldOptions{}
	if !b.setOptions(fd.Options, f.options) {
		fd.Options = nil
	}
	return fd
}

func (b *descriptorBuilder) setType(fd *descriptorpb.FieldDescriptorProto, t string) {
	if scalars[t] {
		n := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(t)]
		fd.Type = descriptorpb.FieldDescriptorProto_Type(n).Enum()
		return
	}
	i := b.scope.lookup(t)
	if i == nil {
		b.fail("could not resolve type: %s", shorten(t))
	}
	fd.TypeName = proto.String("." + i.node.fullName)
	fd.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	if i.enum != nil {
		fd.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
	}
}

// group adds the message of a group to nested and returns its field.
func (b *descriptorBuilder) group(g *group, nested *[]*descriptorpb.DescriptorProto) *descriptorpb.FieldDescriptorProto {
	*nested = append(*nested, b.message(g.body))
	full := strings.Join(append(b.path(), g.body.name), ".")
	return &descriptorpb.FieldDescriptorProto{
		Name: proto.String(strings.ToLower(g.body.name)), Number: proto.Int32(toInt32(g.number)),
		Label: labels[g.label].Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_GROUP.Enum(),
		TypeName: proto.String("." + full),
	}
}

func (b *descriptorBuilder) extends(
	extends []*extend, nested []*descriptorpb.DescriptorProto,
) ([]*descriptorpb.FieldDescriptorProto, []*descriptorpb.DescriptorProto) {
	var out []*descriptorpb.FieldDescriptorProto
	for _, e := range extends {
		extendee := proto.String(b.scope.qualify(e.name))
		for _, f := range e.fields {
			fd := b.field(f)
			if f.label == "optional" && b.file.proto3() {
				fd.Proto3Optional = proto.Bool(true)
			}
			fd.Extendee = extendee
			out = append(out, fd)
		}
		for _, g := range e.groups {
			fd := b.group(g, &nested)
			fd.Extendee = extendee
			out = append(out, fd)
		}
	}
	return out, nested
}

func (b *descriptorBuilder) enum(e *enum) *descriptorpb.EnumDescriptorProto {
	d := &descriptorpb.EnumDescriptorProto{Name: proto.String(e.name), Options: &descriptorpb.EnumOptions{}}
	if !b.setOptions(d.Options, e.options) {
		d.Options = nil
	}
	values := e.values
	if b.file.proto3() {
		// A normalized text sorts by number, which puts negative values first; proto3 wants zero there.
		values = slices.Clone(values)
		slices.SortStableFunc(values, func(x, y *enumValue) int { return zeroFirst(x) - zeroFirst(y) })
	}
	for _, v := range values {
		ev := &descriptorpb.EnumValueDescriptorProto{
			Name: proto.String(v.name), Number: proto.Int32(toInt32(v.number)), Options: &descriptorpb.EnumValueOptions{},
		}
		if !b.setOptions(ev.Options, v.options) {
			ev.Options = nil
		}
		d.Value = append(d.Value, ev)
	}
	for _, r := range e.reserved {
		for _, v := range r.values {
			if v.isName {
				d.ReservedName = append(d.ReservedName, v.name)
				continue
			}
			to := v.to
			if v.isRange && to == maxNumber {
				to = math.MaxInt32 // "max" of an enum
			}
			d.ReservedRange = append(d.ReservedRange, &descriptorpb.EnumDescriptorProto_EnumReservedRange{
				Start: proto.Int32(toInt32(v.from)), End: proto.Int32(toInt32(to)),
			})
		}
	}
	return d
}

func zeroFirst(v *enumValue) int {
	if v.number == 0 {
		return 0
	}
	return 1
}

func (b *descriptorBuilder) service(s *service) *descriptorpb.ServiceDescriptorProto {
	d := &descriptorpb.ServiceDescriptorProto{Name: proto.String(s.name), Options: &descriptorpb.ServiceOptions{}}
	if !b.setOptions(d.Options, s.options) {
		d.Options = nil
	}
	for _, m := range s.methods {
		md := &descriptorpb.MethodDescriptorProto{
			Name: proto.String(m.name), Options: &descriptorpb.MethodOptions{},
			InputType: proto.String(b.scope.qualify(m.request)), OutputType: proto.String(b.scope.qualify(m.response)),
		}
		if m.streamsRequest {
			md.ClientStreaming = proto.Bool(true)
		}
		if m.streamsAnswer {
			md.ServerStreaming = proto.Bool(true)
		}
		if !b.setOptions(md.Options, m.options) {
			md.Options = nil
		}
		d.Method = append(d.Method, md)
	}
	return d
}

// setOptions reads the options that descriptor.proto and Confluent's meta.proto define; others, and
// values that do not fit, are dropped, as in the registry. It says whether anything was set.
func (b *descriptorBuilder) setOptions(m proto.Message, options []*option) bool {
	set := false
	for _, o := range options {
		p := &printer{start: true}
		if o.paren {
			name := strings.TrimPrefix(o.name, ".")
			if !strings.HasPrefix(name, "confluent.") {
				continue
			}
			o = &option{name: "[" + name + "]", value: o.value}
		}
		v := asMap(o.value)
		parts := strings.Split(o.name, ".")
		if !strings.HasPrefix(o.name, "[") {
			// features.field_presence = X
			for i := len(parts) - 1; i > 0; i-- {
				v = value{kind: kindMap, pairs: []pair{{parts[i], v}}}
			}
			o = &option{name: parts[0]}
		}
		p.put(o.name, ": ")
		p.value(v)
		one := m.ProtoReflect().New().Interface()
		if err := (prototext.UnmarshalOptions{Resolver: b.ext}).Unmarshal([]byte(p.b.String()), one); err != nil {
			continue
		}
		proto.Merge(m, one)
		set = true
	}
	return set
}

// escapeBytes writes bytes as a descriptor has the default of a bytes field.
func escapeBytes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '\'' {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
