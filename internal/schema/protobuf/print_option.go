package protobuf

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

func (p *printer) optionStatements(options []*option) {
	for _, o := range options {
		p.put("option ")
		p.option(o)
		p.put(";\n")
	}
}

// bracketOptions prints the options of a field, a value or a range, one a line if there are more.
func (p *printer) bracketOptions(options []*option) {
	options = p.filter(options)
	switch len(options) {
	case 0:
		return
	case 1:
		p.put(" [")
		p.option(options[0])
	default:
		p.put(" [\n")
		p.indented(len(options), func(i int) { p.option(options[i]) })
	}
	p.put("]")
}

// indented prints n lines with commas between them.
func (p *printer) indented(n int, line func(int)) {
	p.indent++
	for i := range n {
		line(i)
		if i < n-1 {
			p.put(",")
		}
		p.put("\n")
	}
	p.indent--
}

func (p *printer) option(o *option) {
	name := o.name
	if o.paren {
		name = "(" + name + ")"
	}
	p.put(name)
	switch {
	case o.kind == kindOption:
		p.put(".")
		p.option(o.nested)
	case o.kind == kindList && len(o.list) == 1:
		p.put(" = [")
		p.value(o.list[0])
		p.put("]")
	default:
		p.put(" = ")
		p.value(o.value)
	}
}

func (p *printer) value(v value) {
	switch v.kind {
	case kindString:
		p.put("\"", escape(v.text), "\"")
	case kindBytes:
		p.put("\"", escapeBytes(v.text), "\"")
	case kindNumber:
		p.put(p.number(v.text))
	case kindMap:
		pairs := p.pairs(v.pairs)
		p.put("{\n")
		p.indented(len(pairs), func(i int) {
			p.put(pairs[i].key, ": ")
			p.value(pairs[i].value)
		})
		p.put("}")
	case kindList:
		if p.normalize() && len(v.list) == 1 {
			p.value(v.list[0])
			return
		}
		p.put("[\n")
		p.indented(len(v.list), func(i int) { p.value(v.list[i]) })
		p.put("]")
	case kindOption:
		p.option(v.nested)
	case kindBool, kindEnum:
		p.put(v.text)
	}
}

// pairs sorts a message literal of a normalized text and resolves the extensions in it.
func (p *printer) pairs(pairs []pair) []pair {
	if !p.normalize() {
		return pairs
	}
	var out []pair
	for _, each := range pairs {
		if each.value.kind == kindList && len(each.value.list) == 0 {
			continue
		}
		if inner, ok := strings.CutPrefix(each.key, "["); ok && strings.HasSuffix(inner, "]") {
			if full, _ := p.scope.extension(inner[:len(inner)-1]); full != "" {
				each.key = "[" + full + "]"
			}
		}
		out = append(out, each)
	}
	slices.SortStableFunc(out, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	return slices.CompactFunc(out, func(a, b pair) bool { return a.key == b.key })
}

// number writes a number of a normalized text without exponent, base or superfluous digits.
func (p *printer) number(s string) string {
	if !p.normalize() {
		return s
	}
	if i, ok := new(big.Int).SetString(s, 0); ok {
		return i.String()
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && len(s) < maxNumberText && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s
}

// maxNumberText keeps a number as it is written if it is longer: 1e308 would be 309 digits.
const maxNumberText = 40

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; c {
		case 7:
			b.WriteString(`\a`)
		case 8:
			b.WriteString(`\b`)
		case 9:
			b.WriteString(`\t`)
		case 10:
			b.WriteString(`\n`)
		case 11:
			b.WriteString(`\v`)
		case 12:
			b.WriteString(`\f`)
		case 13:
			b.WriteString(`\r`)
		case '\\', '\'', '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// filter drops what ignore_extensions leaves out and, in a normalized text, qualifies the names of
// custom options, sorts by name, and merges those that set parts of one message.
func (p *printer) filter(options []*option) []*option {
	if p.bare {
		options = slices.DeleteFunc(slices.Clone(options), func(o *option) bool {
			return o.paren && !strings.HasPrefix(o.name, "confluent.")
		})
	}
	if !p.normalize() || len(options) == 0 {
		return options
	}
	qualified := make([]*option, len(options))
	fields := map[string]*field{}
	for i, o := range options {
		qualified[i] = o
		if o.paren {
			if full, f := p.scope.extension(o.name); f != nil {
				qualified[i] = &option{name: full, paren: true, value: asMap(o.value)}
				fields[full] = f
			}
		}
	}
	slices.SortStableFunc(qualified, func(a, b *option) int { return cmp.Compare(a.name, b.name) })
	var out []*option
	for _, o := range qualified {
		f := fields[o.name]
		if n := len(out); n > 0 && out[n-1].name == o.name && f != nil && f.label != "repeated" {
			merged := o.value
			if out[n-1].kind == kindMap && o.kind == kindMap {
				merged = value{kind: kindMap, pairs: p.mergePairs(p.messageOf(f), out[n-1].pairs, o.pairs)}
			}
			out[n-1] = &option{name: o.name, paren: true, value: merged}
			continue
		}
		out = append(out, o)
	}
	return out
}

// asMap turns a dotted path, (o).a.b = 1, into the message that it sets.
func asMap(v value) value {
	if v.kind != kindOption {
		return v
	}
	return value{kind: kindMap, pairs: []pair{{v.nested.name, asMap(v.nested.value)}}}
}

func (p *printer) messageOf(f *field) *message {
	if f == nil {
		return nil
	}
	if i := p.scope.lookup(f.typ); i != nil {
		return i.message
	}
	return nil
}

func (p *printer) mergePairs(m *message, a, b []pair) []pair {
	out := slices.Clone(a)
	for _, each := range b {
		i := slices.IndexFunc(out, func(o pair) bool { return o.key == each.key })
		if i < 0 {
			out = append(out, each)
			continue
		}
		out[i].value = p.mergeValues(memberOf(m, each.key), out[i].value, each.value)
	}
	return out
}

// memberOf finds a field of a message, also in its oneofs.
func memberOf(m *message, name string) *field {
	if m == nil {
		return nil
	}
	if f := m.field(name); f != nil {
		return f
	}
	for _, o := range m.oneofs {
		for _, f := range o.fields {
			if f.name == name {
				return f
			}
		}
	}
	return nil
}

// mergeValues joins two values of one field: messages are merged, the last scalar wins, and the
// values of a repeated or unknown field make a list.
func (p *printer) mergeValues(f *field, a, b value) value {
	if f != nil && f.label != "repeated" {
		if sub := p.messageOf(f); sub != nil && a.kind == kindMap && b.kind == kindMap {
			return value{kind: kindMap, pairs: p.mergePairs(sub, a.pairs, b.pairs)}
		}
		return b
	}
	list := value{kind: kindList}
	for _, v := range append(appendValue(nil, a), appendValue(nil, b)...) {
		same := func(o value) bool { return o.kind == v.kind && o.text == v.text && v.kind <= kindEnum }
		if !slices.ContainsFunc(list.list, same) {
			list.list = append(list.list, v)
		}
	}
	return list
}
