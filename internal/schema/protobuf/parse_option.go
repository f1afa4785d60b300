package protobuf

// maxOptions bounds the options of one declaration: those of one name may have to be merged.
const maxOptions = 1000

// addOption reads what follows the word "option".
func (p *parser) addOption(options []*option) []*option {
	if len(options) >= maxOptions {
		p.fail("more than %d options", maxOptions)
	}
	o := p.option('=')
	p.require(';')
	return append(options, o)
}

// bracketOptions reads "[a = 1, b = 2]" if it is there.
func (p *parser) bracketOptions() []*option {
	if !p.take('[') {
		return nil
	}
	var options []*option
	for {
		if options = append(options, p.option('=')); len(options) > maxOptions {
			p.fail("more than %d options", maxOptions)
		}
		if p.take(']') {
			return options
		}
		p.require(',')
	}
}

// option reads "name = value", where name is a dotted path: the first name keeps its dots unless
// it is in parentheses, the others become options within.
func (p *parser) option(separator byte) *option {
	p.enter()
	defer p.leave()
	o := &option{}
	o.paren = p.peek() == '('
	o.name = p.optionName(true)
	var path []*option
	for p.take('.') {
		sub := &option{paren: p.peek() == '('}
		sub.name = p.optionName(false)
		if path = append(path, sub); len(path) > maxOptionPath {
			p.fail("an option's name has more than %d parts", maxOptionPath)
		}
	}
	if separator != ':' || p.peek() != '{' && p.peek() != '<' {
		// In the text format a message needs no colon.
		p.require(separator)
	}
	p.bytes = p.ofBytes && separator == '=' && !o.paren && o.name == "default"
	v := p.value()
	p.bytes = false
	for i := len(path) - 1; i >= 0; i-- {
		path[i].value = v
		v = value{kind: kindOption, nested: path[i]}
	}
	o.value = v
	return o
}

// maxOptionPath bounds the recursion over a dotted path.
const maxOptionPath = 50

// optionName reads "name", "(name)" or, in the text format, "[name]".
func (p *parser) optionName(first bool) string {
	switch {
	case p.take('('):
		name := p.qualified("option")
		p.require(')')
		return name
	case p.take('['):
		name := p.qualified("extension")
		if p.take('/') { // the URL of an Any
			name += "/" + p.qualified("message")
		}
		p.require(']')
		return "[" + name + "]"
	case first:
		return p.qualified("option")
	}
	start := p.pos
	w := p.word()
	// The dots are the path's.
	for i := range len(w) {
		if w[i] == '.' && i > 0 {
			p.pos, w = p.pos-len(w)+i, w[:i]
			break
		}
	}
	if !isIdentifier(w) {
		p.pos = start
		p.fail("%q is no name of an option", w)
	}
	return w
}

func (p *parser) value() value {
	switch p.peek() {
	case '{':
		return p.mapValue('{', '}')
	case '<':
		return p.mapValue('<', '>')
	case '[':
		return p.listValue()
	case '"', '\'':
		return value{kind: kindString, text: p.quoted()}
	}
	w := p.word()
	if w == "-" {
		w += p.word()
	}
	switch {
	case w[0] >= '0' && w[0] <= '9' || w[0] == '-' || w[0] == '.':
		return value{kind: kindNumber, text: w}
	case w == "true" || w == "false":
		return value{kind: kindBool, text: w}
	}
	return value{kind: kindEnum, text: w}
}

// mapValue reads a message in the text format. A key that comes again makes a list.
func (p *parser) mapValue(open, closing byte) value {
	p.enter()
	defer p.leave()
	p.require(open)
	v := value{kind: kindMap}
	index := map[string]int{}
	for !p.take(closing) {
		o := p.option(':')
		i, again := index[o.name]
		switch {
		case !again:
			index[o.name] = len(v.pairs)
			v.pairs = append(v.pairs, pair{o.name, o.value})
		case v.pairs[i].value.kind == kindList:
			v.pairs[i].value.list = appendValue(v.pairs[i].value.list, o.value)
		default:
			v.pairs[i].value = value{kind: kindList, list: appendValue([]value{v.pairs[i].value}, o.value)}
		}
		if !p.take(',') {
			p.take(';')
		}
	}
	return v
}

func appendValue(list []value, v value) []value {
	if v.kind == kindList {
		return append(list, v.list...)
	}
	return append(list, v)
}

func (p *parser) listValue() value {
	p.enter()
	defer p.leave()
	p.require('[')
	v := value{kind: kindList}
	for !p.take(']') {
		v.list = append(v.list, p.value())
		if !p.take(',') && p.peek() != ']' {
			p.fail("expected ',' or ']'")
		}
	}
	return v
}
