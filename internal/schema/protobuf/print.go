package protobuf

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// printer writes the registry's text of a file: two spaces of indent, declarations by kind.
type printer struct {
	b      strings.Builder
	indent int
	start  bool // at the start of a line

	// scope is set for the normalized text: fields by number, names resolved, options sorted.
	scope *scope
	// bare leaves out extensions and custom options except Confluent's.
	bare bool
}

// canonicalText is the text that the registry stores.
func canonicalText(f *file) string { return (&printer{start: true}).file(f) }

// bareText is the text under format=ignore_extensions.
func bareText(f *file) string { return (&printer{start: true, bare: true}).file(f) }

// normalizedText is the text under normalize=true.
func normalizedText(f *file, types *table) string {
	return (&printer{start: true, scope: newScope(types, f.pkg)}).file(f)
}

func (p *printer) normalize() bool { return p.scope != nil }

// put writes text, indenting each line that it begins.
func (p *printer) put(parts ...string) {
	for _, s := range parts {
		for s != "" {
			if p.start && s[0] != '\n' {
				for range p.indent {
					p.b.WriteString("  ")
				}
			} else if p.start && p.indent > 1 {
				// The registry indents its own output again at each level, so a blank line inside a
				// nested declaration carries the indent of the levels around it.
				for range p.indent - 1 {
					p.b.WriteString("  ")
				}
			}
			p.start = false
			i := strings.IndexByte(s, '\n')
			if i < 0 {
				p.b.WriteString(s)
				break
			}
			p.b.WriteString(s[:i+1])
			s, p.start = s[i+1:], true
		}
	}
}

func (p *printer) file(f *file) string {
	switch {
	case f.edition != "":
		p.put("edition = \"", f.edition, "\";\n")
	case f.syntax != "" && (!p.normalize() || f.syntax == syntax3):
		p.put("syntax = \"", f.syntax, "\";\n")
	}
	if f.pkg != "" {
		p.put("package ", f.pkg, ";\n")
	}
	if len(f.imports)+len(f.public) > 0 {
		p.put("\n")
		p.imports("import \"", f.imports)
		p.imports("import public \"", f.public)
	}
	if options := p.filter(f.options); len(options) > 0 {
		p.put("\n")
		p.optionStatements(options)
	}
	if types := p.types(f.types); len(types) > 0 {
		p.put("\n")
		p.declare(types)
	}
	p.extends(f.extends)
	if len(f.services) > 0 {
		p.put("\n")
		for _, s := range f.services {
			p.service(s)
		}
	}
	return p.b.String()
}

func (p *printer) imports(before string, names []string) {
	if p.normalize() {
		names = slices.Compact(slices.Sorted(slices.Values(names)))
	}
	for _, n := range names {
		p.put(before, n, "\";\n")
	}
}

// types leaves out the map entries of a normalized text: their fields print as maps there.
func (p *printer) types(types []typ) []typ {
	if !p.normalize() {
		return types
	}
	return slices.DeleteFunc(slices.Clone(types), func(t typ) bool {
		if t.message == nil {
			return false
		}
		i := p.scope.lookup(t.name())
		return i != nil && i.isMap()
	})
}

// declare prints messages before enums, each in the order of the text, which is that of message
// indexes.
func (p *printer) declare(types []typ) {
	for _, t := range types {
		if t.message != nil {
			p.inside(t.name(), func() { p.message(t.message) })
		}
	}
	for _, t := range types {
		if t.enum != nil {
			p.inside(t.name(), func() { p.enum(t.enum) })
		}
	}
}

func (p *printer) inside(name string, f func()) {
	if p.scope != nil {
		p.scope.enter(name)
		defer p.scope.leave()
	}
	f()
}

func (p *printer) block(head []string, body func()) {
	p.put(head...)
	p.put(" {")
	p.indent++
	body()
	p.indent--
	p.put("}\n")
}

func (p *printer) message(m *message) {
	p.block([]string{"message ", m.name}, func() { p.messageBody(m) })
}

func (p *printer) messageBody(m *message) {
	if len(m.reserved) > 0 {
		p.blank()
		p.ranges("reserved ", m.reserved)
	}
	if options := p.filter(m.options); len(options) > 0 {
		p.blank()
		p.optionStatements(options)
	}
	if len(m.fields) > 0 {
		p.blank()
		p.fields(m.fields)
	}
	if len(m.oneofs) > 0 {
		p.blank()
		for _, o := range p.oneofs(m.oneofs) {
			p.oneof(o)
		}
	}
	p.groups(m.groups)
	if len(m.extensions) > 0 && !p.bare {
		p.blank()
		p.ranges("extensions ", m.extensions)
	}
	p.extends(m.extends)
	if types := p.types(m.types); len(types) > 0 {
		p.blank()
		p.declare(types)
	}
}

// blank ends the line of an opening brace, or makes an empty line after a section.
func (p *printer) blank() { p.put("\n") }

func (p *printer) fields(fields []*field) {
	if p.normalize() {
		fields = slices.Clone(fields)
		slices.SortStableFunc(fields, func(a, b *field) int { return cmp.Compare(a.number, b.number) })
	}
	for _, f := range fields {
		p.field(f)
	}
}

func (p *printer) field(f *field) {
	label, t := f.label, f.typ
	if p.normalize() {
		label, t = p.resolved(f)
	}
	if label != "" {
		p.put(label, " ")
	}
	p.put(t, " ", f.name, " = ", strconv.Itoa(f.number))
	options := slices.Clone(f.options)
	if f.hasDefault {
		v := value{kind: defaultKind(t), text: f.def}
		if t == "bytes" {
			v = value{kind: kindBytes, text: f.def}
		}
		options = append(options, &option{name: "default", value: v})
	}
	if f.hasJSON {
		options = append(options, &option{name: "json_name", value: value{kind: kindString, text: f.jsonName}})
	}
	p.bracketOptions(options)
	p.put(";\n")
}

// resolved gives the label and type of a field in a normalized text.
func (p *printer) resolved(f *field) (label, t string) {
	label, t = f.label, f.typ
	key, value, isMap := mapTypes(t)
	if !isMap && !scalars[t] {
		t = p.scope.qualify(t)
		if i := p.scope.lookup(t); i != nil && i.isMap() {
			key, value, isMap = i.key, i.value, true
		}
	}
	if !isMap {
		return label, t
	}
	if full, ok := p.scope.resolve(value); ok {
		value = "." + full
	}
	return "", "map<" + key + ", " + value + ">"
}

func defaultKind(t string) kind {
	switch {
	case t == "bool":
		return kindBool
	case t == "string":
		return kindString
	case scalars[t]:
		return kindNumber
	}
	return kindEnum
}

func (p *printer) oneofs(oneofs []*oneof) []*oneof {
	if !p.normalize() {
		return oneofs
	}
	oneofs = slices.DeleteFunc(slices.Clone(oneofs), func(o *oneof) bool { return len(o.fields)+len(o.groups) == 0 })
	first := func(o *oneof) int {
		lowest := maxNumber
		for _, f := range o.fields {
			lowest = min(lowest, f.number)
		}
		for _, g := range o.groups {
			lowest = min(lowest, g.number)
		}
		return lowest
	}
	slices.SortStableFunc(oneofs, func(a, b *oneof) int { return cmp.Compare(first(a), first(b)) })
	return oneofs
}

func (p *printer) oneof(o *oneof) {
	p.block([]string{"oneof ", o.name}, func() {
		if options := p.filter(o.options); len(options) > 0 {
			p.blank()
			p.optionStatements(options)
		}
		if len(o.fields) > 0 {
			p.blank()
			p.fields(o.fields)
		}
		p.groups(o.groups)
	})
}

func (p *printer) groups(groups []*group) {
	if len(groups) == 0 {
		return
	}
	if p.normalize() {
		groups = slices.Clone(groups)
		slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(a.number, b.number) })
	}
	p.blank()
	for _, g := range groups {
		head := []string{"group ", g.body.name, " = ", strconv.Itoa(g.number)}
		if g.label != "" {
			head = append([]string{g.label, " "}, head...)
		}
		p.inside(g.body.name, func() { p.block(head, func() { p.messageBody(g.body) }) })
	}
}
