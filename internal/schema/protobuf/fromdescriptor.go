package protobuf

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"kelp/internal/schema"
)

// parseBase64 reads a FileDescriptorProto in base64, which the Python client registers instead of
// a text.
func parseBase64(text string) (*file, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	fd := &descriptorpb.FileDescriptorProto{}
	o := proto.UnmarshalOptions{Resolver: builtins().types, RecursionLimit: schema.MaxDepth}
	if err := o.Unmarshal(raw, fd); err != nil {
		return nil, fmt.Errorf("%w: not a FileDescriptorProto: %w", schema.ErrInvalid, err)
	}
	return fromDescriptor(fd)
}

// fromDescriptor makes the tree of a descriptor: type names absolute, maps as their entry messages,
// groups as the message fields that the registry prints them as.
func fromDescriptor(fd *descriptorpb.FileDescriptorProto) (*file, error) {
	f := &file{pkg: fd.GetPackage()}
	switch fd.GetSyntax() {
	case syntax2, syntax3:
		f.syntax = fd.GetSyntax()
	case "editions":
		f.edition = strings.TrimPrefix(fd.GetEdition().String(), "EDITION_")
	}
	b := treeBuilder{f: f}
	public, weak := setOf(fd.PublicDependency), setOf(fd.WeakDependency)
	for i, dep := range fd.Dependency {
		switch {
		case public[int32(i)]:
			f.public = append(f.public, dep)
		case weak[int32(i)]:
			f.weak = append(f.weak, dep)
		default:
			f.imports = append(f.imports, dep)
		}
	}
	f.options = b.options(fd.Options)
	f.types = b.types(fd.MessageType, fd.EnumType)
	f.extends = b.extends(fd.Extension)
	for _, s := range fd.Service {
		f.services = append(f.services, b.service(s))
	}
	return f, b.err
}

func setOf(all []int32) map[int32]bool {
	set := make(map[int32]bool, len(all))
	for _, i := range all {
		set[i] = true
	}
	return set
}

type treeBuilder struct {
	f   *file
	err error
}

func (b *treeBuilder) name(s string, what string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "."), ".") {
		if !isIdentifier(part) && b.err == nil {
			b.err = fmt.Errorf("%w: %q is no name of a %s", schema.ErrInvalid, shorten(s), what)
		}
	}
	return s
}

func (b *treeBuilder) types(messages []*descriptorpb.DescriptorProto, enums []*descriptorpb.EnumDescriptorProto) []typ {
	var types []typ
	for _, m := range messages {
		types = append(types, typ{message: b.message(m)})
	}
	for _, e := range enums {
		types = append(types, typ{enum: b.enum(e)})
	}
	return types
}

func (b *treeBuilder) message(d *descriptorpb.DescriptorProto) *message {
	m := &message{name: b.name(d.GetName(), "message"), options: b.options(d.Options)}
	oneofs := make([]*oneof, len(d.OneofDecl))
	for i, o := range d.OneofDecl {
		oneofs[i] = &oneof{name: b.name(o.GetName(), "oneof"), options: b.options(o.Options)}
	}
	for _, fd := range d.Field {
		f := b.field(fd)
		if i := int(fd.GetOneofIndex()); fd.OneofIndex != nil && !fd.GetProto3Optional() && i >= 0 && i < len(oneofs) {
			f.label = ""
			oneofs[i].fields = append(oneofs[i].fields, f)
		} else {
			m.fields = append(m.fields, f)
		}
	}
	for _, o := range oneofs {
		if len(o.fields) > 0 {
			m.oneofs = append(m.oneofs, o)
		}
	}
	m.types = b.types(d.NestedType, d.EnumType)
	for _, r := range d.ReservedRange {
		m.reserved = append(m.reserved, &ranges{values: []rangeValue{toRange(r.GetStart(), r.GetEnd()-1)}})
	}
	m.reserved = append(m.reserved, reservedNames(d.ReservedName)...)
	for _, r := range d.ExtensionRange {
		m.extensions = append(m.extensions, &ranges{
			values: []rangeValue{toRange(r.GetStart(), r.GetEnd()-1)}, options: b.options(r.Options),
		})
	}
	m.extends = b.extends(d.Extension)
	return m
}

func reservedNames(names []string) []*ranges {
	var out []*ranges
	for _, n := range names {
		out = append(out, &ranges{values: []rangeValue{{name: n, isName: true}}})
	}
	return out
}

func toRange(from, to int32) rangeValue {
	return rangeValue{isRange: from != to, from: int(from), to: int(to)}
}

func (b *treeBuilder) field(d *descriptorpb.FieldDescriptorProto) *field {
	f := &field{name: b.name(d.GetName(), "field"), number: int(d.GetNumber()), options: b.options(d.Options)}
	switch l := d.GetLabel(); {
	case l == descriptorpb.FieldDescriptorProto_LABEL_REPEATED:
		f.label = "repeated"
	case d.GetProto3Optional():
		f.label = "optional"
	case b.f.proto3() || b.f.edition != "":
	case l == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED:
		f.label = "required"
	default:
		f.label = "optional"
	}
	if d.TypeName != nil {
		f.typ = b.name(d.GetTypeName(), "type")
	} else {
		f.typ = strings.ToLower(strings.TrimPrefix(d.GetType().String(), "TYPE_"))
		if !scalars[f.typ] && b.err == nil {
			b.err = fmt.Errorf("%w: field %s has no type", schema.ErrInvalid, shorten(f.name))
		}
	}
	if d.JsonName != nil {
		f.hasJSON, f.jsonName = true, d.GetJsonName()
	}
	if d.DefaultValue != nil && !b.f.proto3() {
		f.hasDefault, f.def = true, d.GetDefaultValue()
		if d.GetType() == descriptorpb.FieldDescriptorProto_TYPE_BYTES {
			f.def = unescape(f.def)
		}
	}
	return f
}

func unescape(s string) string {
	r := &reader{text: s, bytes: true}
	var b strings.Builder
	defer func() { _ = recover() }() // a default that is no escaped text stays as far as it was read
	for r.pos < len(s) {
		c := s[r.pos]
		r.pos++
		if c == '\\' {
			r.escape(&b)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (b *treeBuilder) extends(fields []*descriptorpb.FieldDescriptorProto) []*extend {
	var out []*extend
	byName := map[string]*extend{}
	for _, fd := range fields {
		e := byName[fd.GetExtendee()]
		if e == nil {
			e = &extend{name: b.name(fd.GetExtendee(), "message")}
			out, byName[e.name] = append(out, e), e
		}
		e.fields = append(e.fields, b.field(fd))
	}
	return out
}

func (b *treeBuilder) enum(d *descriptorpb.EnumDescriptorProto) *enum {
	e := &enum{name: b.name(d.GetName(), "enum"), options: b.options(d.Options)}
	for _, r := range d.ReservedRange {
		e.reserved = append(e.reserved, &ranges{values: []rangeValue{toRange(r.GetStart(), r.GetEnd())}})
	}
	e.reserved = append(e.reserved, reservedNames(d.ReservedName)...)
	for _, v := range d.Value {
		e.values = append(e.values, &enumValue{
			name: b.name(v.GetName(), "enum value"), number: int(v.GetNumber()), options: b.options(v.Options),
		})
	}
	return e
}

func (b *treeBuilder) service(d *descriptorpb.ServiceDescriptorProto) *service {
	s := &service{name: b.name(d.GetName(), "service"), options: b.options(d.Options)}
	for _, m := range d.Method {
		s.methods = append(s.methods, &method{
			name:    b.name(m.GetName(), "method"),
			request: b.name(m.GetInputType(), "message"), response: b.name(m.GetOutputType(), "message"),
			streamsRequest: m.GetClientStreaming(), streamsAnswer: m.GetServerStreaming(),
			options: b.options(m.Options),
		})
	}
	return s
}

// optionOrder is the registry's: Confluent prints some options of a descriptor not by number.
var optionOrder = map[protoreflect.FullName][]protoreflect.Name{
	"google.protobuf.FileOptions": {
		"java_package", "java_outer_classname", "java_multiple_files", "java_generate_equals_and_hash",
		"java_string_check_utf8", "optimize_for", "go_package", "cc_generic_services", "java_generic_services",
		"py_generic_services", "deprecated", "cc_enable_arenas", "objc_class_prefix", "csharp_namespace", "swift_prefix",
		"php_class_prefix", "php_namespace", "php_metadata_namespace", "ruby_package", "features",
	},
	"google.protobuf.MessageOptions": {"no_standard_descriptor_accessor", "deprecated", "map_entry", "features"},
	"google.protobuf.FieldOptions": {
		"ctype", "packed", "jstype", "deprecated", "debug_redact", "retention", "targets", "edition_defaults", "features",
		"feature_support",
	},
	"google.protobuf.EnumOptions":           {"allow_alias", "deprecated", "features"},
	"google.protobuf.EnumValueOptions":      {"deprecated", "debug_redact", "features", "feature_support"},
	"google.protobuf.ServiceOptions":        {"deprecated", "features"},
	"google.protobuf.MethodOptions":         {"deprecated", "idempotency_level", "features"},
	"google.protobuf.OneofOptions":          {"features"},
	"google.protobuf.ExtensionRangeOptions": {"declaration", "features", "verification"},
}

// options lists the set options of a descriptor: the ones of descriptor.proto that the registry
// knows in its order, then extensions.
func (b *treeBuilder) options(m proto.Message) []*option {
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	var out []*option
	add := func(fd protoreflect.FieldDescriptor, name string) {
		v := r.Get(fd)
		if !fd.IsList() {
			out = append(out, &option{name: name, paren: fd.IsExtension(), value: valueOf(fd, v)})
			return
		}
		for i := range v.List().Len() {
			out = append(out, &option{name: name, paren: fd.IsExtension(), value: valueOf(fd, v.List().Get(i))})
		}
	}
	fields := r.Descriptor().Fields()
	for _, name := range optionOrder[r.Descriptor().FullName()] {
		if fd := fields.ByName(name); fd != nil && r.Has(fd) {
			add(fd, string(name))
		}
	}
	var extensions []protoreflect.FieldDescriptor
	r.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if fd.IsExtension() {
			extensions = append(extensions, fd)
		}
		return true
	})
	slices.SortFunc(extensions, func(x, y protoreflect.FieldDescriptor) int { return int(x.Number() - y.Number()) })
	for _, fd := range extensions {
		add(fd, string(fd.FullName()))
	}
	return out
}

func valueOf(fd protoreflect.FieldDescriptor, v protoreflect.Value) value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return value{kind: kindBool, text: strconv.FormatBool(v.Bool())}
	case protoreflect.EnumKind:
		if d := fd.Enum().Values().ByNumber(v.Enum()); d != nil {
			return value{kind: kindEnum, text: string(d.Name())}
		}
		return value{kind: kindNumber, text: strconv.Itoa(int(v.Enum()))}
	case protoreflect.StringKind:
		return value{kind: kindString, text: v.String()}
	case protoreflect.BytesKind:
		return value{kind: kindString, text: string(v.Bytes())}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return messageValue(v.Message())
	default:
	}
	return value{kind: kindNumber, text: fmt.Sprint(v.Interface())}
}

// messageValue writes a message as a literal, fields in the order of their declaration. The entries
// of a map are sorted, those with "precision" and "scale" value first, as the registry does for
// Confluent's decimal.
func messageValue(m protoreflect.Message) value {
	out := value{kind: kindMap}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		v, key := m.Get(fd), string(fd.Name())
		switch {
		case fd.IsMap():
			out.pairs = append(out.pairs, pair{key, mapValues(fd, v.Map())})
		case fd.IsList():
			list := value{kind: kindList}
			for i := range v.List().Len() {
				list.list = append(list.list, valueOf(fd, v.List().Get(i)))
			}
			out.pairs = append(out.pairs, pair{key, list})
		default:
			out.pairs = append(out.pairs, pair{key, valueOf(fd, v)})
		}
	}
	return out
}

func mapValues(fd protoreflect.FieldDescriptor, m protoreflect.Map) value {
	list := value{kind: kindList}
	var keys []protoreflect.MapKey
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		entry := []pair{
			{"key", valueOf(fd.MapKey(), k.Value())},
			{"value", valueOf(fd.MapValue(), m.Get(k))},
		}
		if k.String() == "precision" || k.String() == "scale" {
			slices.Reverse(entry)
		}
		list.list = append(list.list, value{kind: kindMap, pairs: entry})
	}
	return list
}
