package protobuf

import (
	"fmt"
	"unicode/utf8"

	"kelp/internal/schema"
)

// parseText reads a .proto text. It takes what the registry takes: the language of protoc with
// less checking, since printed registry texts are not all fit for protoc.
func parseText(text string) (f *file, err error) {
	if len(text) > schema.MaxTextBytes {
		return nil, fmt.Errorf("%w: the text has %d bytes, more than %d", schema.ErrInvalid, len(text), schema.MaxTextBytes)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: the text is not UTF-8", schema.ErrInvalid)
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case syntaxError:
			f, err = nil, p.err
		default:
			panic(p)
		}
	}()
	p := &parser{reader: reader{text: text}, f: &file{}}
	p.file()
	return p.f, nil
}

type parser struct {
	reader
	f       *file
	ofBytes bool // the options are those of a bytes field
}

func (p *parser) file() {
	names := map[string]bool{}
	for first := true; !p.atEnd(); first = false {
		if p.take(';') {
			continue
		}
		word := p.word()
		switch word {
		case "syntax", "edition":
			p.syntax(word, first)
		case "package":
			if p.f.pkg != "" {
				p.fail("the package is declared twice")
			}
			p.f.pkg = p.qualified("package")
			p.require(';')
		case "import":
			p.importing()
		case "option":
			p.f.options = p.addOption(p.f.options)
		case "message":
			m := p.message()
			p.f.types = p.addType(p.f.types, typ{message: m}, names)
		case "enum":
			e := p.enum()
			p.f.types = p.addType(p.f.types, typ{enum: e}, names)
		case "service":
			p.f.services = append(p.f.services, p.service())
		case "extend":
			p.f.extends = append(p.f.extends, p.extend())
		case "export", "local":
			// Visibility of edition 2024: nothing that the registry prints or compares.
		default:
			p.fail("unexpected label: %s", word)
		}
	}
}

func (p *parser) addType(types []typ, t typ, names map[string]bool) []typ {
	if names[t.name()] {
		p.fail("%s is already defined", t.name())
	}
	names[t.name()] = true
	return append(types, t)
}

func (p *parser) syntax(word string, first bool) {
	p.require('=')
	s := p.quoted()
	p.require(';')
	switch {
	case !first:
		p.fail("the %s must be the first declaration in a file", word)
	case word == "edition":
		if s != "2023" && s != "2024" {
			p.fail("unknown edition %q", s)
		}
		p.f.edition = s
	case s == syntax2 || s == syntax3:
		p.f.syntax = s
	default:
		p.fail("unknown syntax %q", s)
	}
}

func (p *parser) importing() {
	list := &p.f.imports
	if c := p.peek(); c != '"' && c != '\'' {
		switch word := p.word(); word {
		case "public":
			list = &p.f.public
		case "weak":
			list = &p.f.weak
		case "option": // edition 2024: imported for custom options only
		default:
			p.fail("expected a quoted string but was %s", word)
		}
	}
	*list = append(*list, p.quoted())
	p.require(';')
}

func (p *parser) message() *message {
	name := p.identifier("message")
	return p.messageBody(name)
}

func (p *parser) messageBody(name string) *message {
	m := &message{name: name}
	p.enter()
	defer p.leave()
	p.require('{')
	names := map[string]bool{}
	for !p.take('}') {
		if !p.take(';') {
			p.member(m, names)
		}
	}
	return m
}

func (p *parser) member(m *message, names map[string]bool) {
	start := p.pos
	word := p.word()
	// A word that opens a statement may also be the type of a field, "message m = 1;" as little
	// as "map m = 1;" is written by anyone, but "group" and "oneof" types exist.
	switch word {
	case "message":
		m.types = p.addType(m.types, typ{message: p.message()}, names)
	case "enum":
		m.types = p.addType(m.types, typ{enum: p.enum()}, names)
	case "option":
		m.options = p.addOption(m.options)
	case "reserved":
		m.reserved = append(m.reserved, p.ranges())
	case "extensions":
		m.extensions = append(m.extensions, p.ranges())
	case "extend":
		m.extends = append(m.extends, p.extend())
	case "oneof":
		m.oneofs = append(m.oneofs, p.oneof())
	case "export", "local":
	default:
		p.pos = start
		if f, g := p.field(false); g != nil {
			m.groups = append(m.groups, g)
		} else {
			m.fields = append(m.fields, f)
		}
	}
}

// field reads a field or a group with its label. In a oneof there is no label.
func (p *parser) field(inOneof bool) (*field, *group) {
	p.skip()
	start := p.pos
	label := ""
	switch word := p.peekWord(); {
	case inOneof:
	case word == "required" || word == "optional" || word == "repeated":
		label = p.word()
		if label == "required" && p.f.proto3() {
			p.fail("'required' label forbidden in proto3 field declarations")
		}
	case p.f.proto3() || p.f.edition != "" || word == "map":
	default:
		p.fail("unexpected label: %s", word)
	}
	t := p.dataType()
	if _, _, isMap := mapTypes(t); isMap && (label != "" || inOneof) {
		p.pos = start
		p.fail("'map' type cannot have label")
	}
	if t == "group" {
		return nil, p.group(label)
	}
	f := &field{label: label, typ: t, name: p.identifier("field")}
	p.require('=')
	f.number = p.number()
	p.ofBytes = t == "bytes"
	p.fieldOptions(f)
	p.ofBytes = false
	p.require(';')
	return f, nil
}

func (p *parser) fieldOptions(f *field) {
	for _, o := range p.bracketOptions() {
		switch {
		case o.paren || o.kind == kindOption:
			f.options = append(f.options, o)
		case o.name == "default":
			f.hasDefault, f.def = true, o.text
		case o.name == "json_name":
			f.hasJSON, f.jsonName = true, o.text
		default:
			f.options = append(f.options, o)
		}
	}
}

func (p *parser) group(label string) *group {
	name := p.identifier("group")
	p.require('=')
	g := &group{label: label, number: p.number()}
	g.options = p.bracketOptions()
	g.body = p.messageBody(name)
	return g
}

// dataType reads a scalar, a map type or a type name.
func (p *parser) dataType() string {
	if p.peekWord() == "map" {
		start := p.pos
		p.word()
		if p.take('<') {
			key := p.qualified("type")
			p.require(',')
			value := p.qualified("type")
			p.require('>')
			return "map<" + key + ", " + value + ">"
		}
		p.pos = start
	}
	return p.qualified("type")
}

func (p *parser) oneof() *oneof {
	o := &oneof{name: p.identifier("oneof")}
	p.require('{')
	for !p.take('}') {
		switch {
		case p.take(';'):
		case p.peekWord() == "option":
			p.word()
			o.options = p.addOption(o.options)
		default:
			if f, g := p.field(true); g != nil {
				o.groups = append(o.groups, g)
			} else {
				o.fields = append(o.fields, f)
			}
		}
	}
	return o
}

func (p *parser) enum() *enum {
	e := &enum{name: p.identifier("enum")}
	p.require('{')
	for !p.take('}') {
		if p.take(';') {
			continue
		}
		start := p.pos
		word := p.word()
		named := p.take('=') // "option = 1;" and "reserved = 2;" are constants
		p.pos = start
		switch {
		case word == "option" && !named:
			p.word()
			e.options = p.addOption(e.options)
		case word == "reserved" && !named:
			p.word()
			e.reserved = append(e.reserved, p.ranges())
		default:
			v := &enumValue{name: p.identifier("enum value")}
			p.require('=')
			v.number = p.number()
			v.options = p.bracketOptions()
			p.require(';')
			e.values = append(e.values, v)
		}
	}
	return e
}

// maxNumber is the highest field number, and what "max" means.
const maxNumber = 1<<29 - 1

func (p *parser) ranges() *ranges {
	r := &ranges{}
	for {
		r.values = append(r.values, p.rangeValue())
		if p.peek() == '[' {
			r.options = p.bracketOptions()
			p.require(';')
			return r
		}
		if p.take(';') {
			return r
		}
		p.require(',')
	}
}

func (p *parser) rangeValue() rangeValue {
	if c := p.peek(); c == '"' || c == '\'' {
		return rangeValue{name: p.quoted(), isName: true}
	}
	if w := p.peekWord(); p.f.edition != "" && isIdentifier(w) {
		return rangeValue{name: p.word(), isName: true}
	}
	v := rangeValue{from: p.number()}
	v.to = v.from
	if p.peekWord() == "to" {
		p.word()
		v.isRange = true
		if p.peekWord() == "max" {
			p.word()
			v.to = maxNumber
		} else {
			v.to = p.number()
		}
	}
	return v
}

func (p *parser) extend() *extend {
	e := &extend{name: p.qualified("message")}
	p.require('{')
	for !p.take('}') {
		if p.take(';') {
			continue
		}
		if f, g := p.field(false); g != nil {
			e.groups = append(e.groups, g)
		} else {
			e.fields = append(e.fields, f)
		}
	}
	return e
}

func (p *parser) service() *service {
	s := &service{name: p.identifier("service")}
	p.require('{')
	for !p.take('}') {
		if p.take(';') {
			continue
		}
		switch word := p.word(); word {
		case "option":
			s.options = p.addOption(s.options)
		case "rpc":
			s.methods = append(s.methods, p.method())
		default:
			p.fail("unexpected label: %s", word)
		}
	}
	return s
}

func (p *parser) method() *method {
	m := &method{name: p.identifier("method")}
	m.streamsRequest, m.request = p.methodType()
	if word := p.word(); word != "returns" {
		p.fail("expected 'returns' but was %s", word)
	}
	m.streamsAnswer, m.response = p.methodType()
	if p.take(';') {
		return m
	}
	p.require('{')
	for !p.take('}') {
		if p.take(';') {
			continue
		}
		if word := p.word(); word != "option" {
			p.fail("unexpected label: %s", word)
		}
		m.options = p.addOption(m.options)
	}
	return m
}

func (p *parser) methodType() (stream bool, name string) {
	p.require('(')
	if p.peekWord() == "stream" {
		start := p.pos
		p.word()
		if stream = p.peek() != ')'; !stream {
			p.pos = start
		}
	}
	name = p.qualified("message")
	p.require(')')
	return stream, name
}
