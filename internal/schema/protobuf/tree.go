package protobuf

import "strings"

// The tree of a .proto text as the registry sees it: declarations by kind, each kind in the order
// of the text. Comments are gone, names are as written. It is what canonical texts are printed
// from, what compatibility compares, and what descriptors are built from; unlike a descriptor it
// also exists for texts that no compiler takes (map_entry written out, imports that are not there).
type file struct {
	syntax  string // "proto2", "proto3", or "" where the text has none
	edition string // "2023" and so on, instead of a syntax
	pkg     string

	imports, public, weak []string

	options  []*option
	types    []typ
	services []*service
	extends  []*extend
}

// proto3 says whether the file has proto3's rules.
func (f *file) proto3() bool { return f.syntax == syntax3 }

const (
	syntax2 = "proto2"
	syntax3 = "proto3"
)

// typ is a message or an enum; their order among each other is that of the text.
type typ struct {
	message *message
	enum    *enum
}

func (t typ) name() string {
	if t.message != nil {
		return t.message.name
	}
	return t.enum.name
}

type message struct {
	name       string
	options    []*option
	reserved   []*ranges
	fields     []*field
	oneofs     []*oneof
	groups     []*group
	extensions []*ranges
	extends    []*extend
	types      []typ
}

// mapEntry says whether the text marks the message as the entry of a map.
func (m *message) mapEntry() bool {
	o := findOption(m.options, "map_entry")
	return o != nil && strings.EqualFold(o.text, "true")
}

func (m *message) field(name string) *field {
	for _, f := range m.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

type field struct {
	label      string // "optional", "required", "repeated", or "" where the text has none
	typ        string // as written; maps as "map<K, V>"
	name       string
	number     int
	hasDefault bool
	def        string // the default, unquoted; the bytes of a bytes field
	hasJSON    bool
	jsonName   string
	options    []*option // without default and json_name
}

// group is a proto2 group: a field and its message in one.
type group struct {
	label   string
	number  int
	options []*option
	body    *message
}

type oneof struct {
	name    string
	options []*option
	fields  []*field
	groups  []*group
}

type enum struct {
	name     string
	options  []*option
	reserved []*ranges
	values   []*enumValue
}

type enumValue struct {
	name    string
	number  int
	options []*option
}

// ranges is one reserved or extensions statement.
type ranges struct {
	values  []rangeValue
	options []*option
}

// rangeValue is a name, a number (isRange false), or a range with both ends inside.
type rangeValue struct {
	name     string
	isName   bool
	isRange  bool
	from, to int
}

type extend struct {
	name   string
	fields []*field
	groups []*group
}

type service struct {
	name    string
	options []*option
	methods []*method
}

type method struct {
	name                          string
	request, response             string
	streamsRequest, streamsAnswer bool
	options                       []*option
}

// kind is what an option's value looks like in the text.
type kind int

const (
	kindString kind = iota
	kindBool
	kindNumber
	kindEnum   // any other word
	kindMap    // { ... }
	kindList   // [ ... ]
	kindBytes  // the default of a bytes field
	kindOption // a dotted path: the value is an option of its own
)

// option is a name with a value; name has no parentheses.
type option struct {
	name  string
	paren bool
	value
}

// value is an option's value; the fields beside kind depend on it.
type value struct {
	kind   kind
	text   string // kindString (unquoted), kindBool, kindNumber, kindEnum
	list   []value
	pairs  []pair // kindMap, unique keys in the order of their first appearance
	nested *option
}

type pair struct {
	key   string
	value value
}

func findOption(options []*option, name string) *option {
	for _, o := range options {
		if o.name == name {
			return o
		}
	}
	return nil
}

// mapTypes splits "map<K, V>".
func mapTypes(t string) (key, value string, isMap bool) {
	inner, ok := strings.CutPrefix(t, "map<")
	if !ok || !strings.HasSuffix(inner, ">") {
		return "", "", false
	}
	key, value, ok = strings.Cut(inner[:len(inner)-1], ",")
	return strings.TrimSpace(key), strings.TrimSpace(value), ok
}

// scalars are the type names that are not looked up.
var scalars = map[string]bool{
	"bool": true, "bytes": true, "double": true, "fixed32": true, "fixed64": true, "float": true, "int32": true,
	"int64": true, "sfixed32": true, "sfixed64": true, "sint32": true, "sint64": true, "string": true, "uint32": true,
	"uint64": true,
}
