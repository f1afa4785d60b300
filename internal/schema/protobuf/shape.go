package protobuf

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// shape is a message type compiled for walking its wire format: what a dynamic message would look
// up for every record is looked up once. Shapes refer to each other as their types do.
type shape struct {
	name     string
	fields   []fieldShape // by number
	dense    []int16      // number -> index in fields + 1, for small numbers
	required []int        // indexes in fields
	entry    bool         // of a map
	desc     protoreflect.MessageDescriptor
}

type fieldShape struct {
	number   protowire.Number
	wire     protowire.Type // of one value
	kind     protoreflect.Kind
	repeated bool // a list or a map
	isMap    bool
	packed   bool // is written packed; both forms are read
	implicit bool // no presence: zero is not written, and missing is zero
	utf8     bool
	closed   bool // values that the enum does not have are unknown fields
	asGroup  bool // a message that old data may have as a group
	required bool
	oneof    int16 // index+1 of the oneof that the field shares with others
	message  *shape
	name     string
	desc     protoreflect.FieldDescriptor
}

// maxDense bounds the table of field numbers; larger numbers are searched.
const maxDense = 512

func (s *shape) field(n protowire.Number) *fieldShape {
	if i := s.indexOf(n); i >= 0 {
		return &s.fields[i]
	}
	return nil
}

// indexOf is the place of a number in fields, -1 for none.
func (s *shape) indexOf(n protowire.Number) int {
	if int64(n) < int64(len(s.dense)) {
		return int(s.dense[n]) - 1
	}
	i, found := slices.BinarySearchFunc(s.fields, n, func(f fieldShape, n protowire.Number) int { return int(f.number) - int(n) })
	if !found {
		return -1
	}
	return i
}

// shapes makes the shape of a message and of all that it contains.
type shapes map[protoreflect.FullName]*shape

func (all shapes) of(d protoreflect.MessageDescriptor) *shape {
	if s := all[d.FullName()]; s != nil {
		return s
	}
	s := &shape{name: string(d.FullName()), desc: d, entry: d.IsMapEntry()}
	all[d.FullName()] = s
	for i := range d.Fields().Len() {
		s.fields = append(s.fields, all.field(d.Fields().Get(i)))
	}
	slices.SortFunc(s.fields, func(a, b fieldShape) int { return int(a.number) - int(b.number) })
	s.dense = make([]int16, 1)
	for i, f := range s.fields {
		if f.required {
			s.required = append(s.required, i)
		}
		if f.number < maxDense {
			s.dense = append(s.dense, make([]int16, int(f.number)+1-len(s.dense))...)
			s.dense[f.number] = int16(i + 1)
		}
	}
	return s
}

var wireTypes = map[protoreflect.Kind]protowire.Type{
	protoreflect.Fixed32Kind: protowire.Fixed32Type, protoreflect.Sfixed32Kind: protowire.Fixed32Type,
	protoreflect.FloatKind: protowire.Fixed32Type, protoreflect.Fixed64Kind: protowire.Fixed64Type,
	protoreflect.Sfixed64Kind: protowire.Fixed64Type, protoreflect.DoubleKind: protowire.Fixed64Type,
	protoreflect.StringKind: protowire.BytesType, protoreflect.BytesKind: protowire.BytesType,
	protoreflect.MessageKind: protowire.BytesType, protoreflect.GroupKind: protowire.StartGroupType,
}

func (all shapes) field(d protoreflect.FieldDescriptor) fieldShape {
	f := fieldShape{
		number: d.Number(), wire: wireTypes[d.Kind()], kind: d.Kind(), repeated: d.Cardinality() == protoreflect.Repeated,
		isMap: d.IsMap(), packed: d.IsPacked(), implicit: !d.HasPresence() && d.Cardinality() != protoreflect.Repeated,
		required: d.Cardinality() == protoreflect.Required, name: string(d.Name()), desc: d,
	}
	if d.Kind() == protoreflect.StringKind {
		e, ok := d.(interface{ EnforceUTF8() bool })
		f.utf8 = ok && e.EnforceUTF8()
	}
	if d.Enum() != nil {
		f.closed = d.Enum().IsClosed()
	}
	if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
		f.oneof = int16(o.Index() + 1)
	}
	if d.Message() != nil {
		f.message = all.of(d.Message())
		f.asGroup = wasGroup(d)
	}
	return f
}

// wasGroup recognizes what the registry prints a group of a descriptor as: a message field of
// proto2 that is named like its type, which is declared beside it.
func wasGroup(d protoreflect.FieldDescriptor) bool {
	return d.Kind() == protoreflect.MessageKind && d.Syntax() == protoreflect.Proto2 && !d.IsMap() &&
		string(d.Name()) == strings.ToLower(string(d.Message().Name())) && d.Message().Parent() == d.Parent()
}

// accepts says whether data of a wire type can be a value of the field (or packed values).
func (f *fieldShape) accepts(t protowire.Type) bool {
	return t == f.wire || t == protowire.BytesType && f.packable() || t == protowire.StartGroupType && f.asGroup
}

// packable says whether the field is a list of numbers.
func (f *fieldShape) packable() bool {
	return f.repeated && f.wire != protowire.BytesType && f.wire != protowire.StartGroupType
}
