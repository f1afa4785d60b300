package protobuf

import (
	"cmp"
	"slices"
	"strconv"
)

// extends prints extensions; a normalized text has those of one message together.
func (p *printer) extends(extends []*extend) {
	if len(extends) == 0 || p.bare {
		return
	}
	if p.normalize() {
		var merged []*extend
		byName := map[string]*extend{}
		for _, e := range extends {
			name := p.scope.qualify(e.name)
			m := byName[name]
			if m == nil {
				m = &extend{name: name}
				merged, byName[name] = append(merged, m), m
			}
			m.fields = append(m.fields, e.fields...)
			m.groups = append(m.groups, e.groups...)
		}
		extends = merged
	}
	p.blank()
	for _, e := range extends {
		p.block([]string{"extend ", e.name}, func() {
			if len(e.fields) > 0 {
				p.blank()
				p.fields(e.fields)
			}
			p.groups(e.groups)
		})
	}
}

func (p *printer) enum(e *enum) {
	p.block([]string{"enum ", e.name}, func() {
		if len(e.reserved)+len(e.options)+len(e.values) > 0 {
			p.blank()
		}
		p.ranges("reserved ", e.reserved)
		p.optionStatements(p.filter(e.options))
		values := e.values
		if p.normalize() {
			values = slices.Clone(values)
			slices.SortStableFunc(values, func(a, b *enumValue) int {
				return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name))
			})
		}
		for _, v := range values {
			p.put(v.name, " = ", strconv.Itoa(v.number))
			p.bracketOptions(v.options)
			p.put(";\n")
		}
	})
}

// ranges prints reserved and extensions statements; a normalized text has one value in each.
func (p *printer) ranges(word string, all []*ranges) {
	if p.normalize() {
		var single []*ranges
		for _, r := range all {
			for _, v := range r.values {
				single = append(single, &ranges{values: []rangeValue{v}, options: r.options})
			}
		}
		slices.SortStableFunc(single, func(a, b *ranges) int { return compareRanges(a.values[0], b.values[0]) })
		all = single
	}
	for _, r := range all {
		p.put(word)
		for i, v := range r.values {
			if i > 0 {
				p.put(", ")
			}
			p.put(p.rangeText(v))
		}
		p.bracketOptions(r.options)
		p.put(";\n")
	}
}

func compareRanges(a, b rangeValue) int {
	if a.isName || b.isName {
		switch {
		case !b.isName:
			return 1
		case !a.isName:
			return -1
		}
		return cmp.Compare(a.name, b.name)
	}
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
}

func (p *printer) rangeText(v rangeValue) string {
	switch {
	case v.isName:
		return "\"" + escape(v.name) + "\""
	case !v.isRange || p.normalize() && v.from == v.to:
		return strconv.Itoa(v.from)
	case v.to >= maxNumber:
		return strconv.Itoa(v.from) + " to max"
	}
	return strconv.Itoa(v.from) + " to " + strconv.Itoa(v.to)
}

func (p *printer) service(s *service) {
	p.block([]string{"service ", s.name}, func() {
		if options := p.filter(s.options); len(options) > 0 {
			p.blank()
			p.optionStatements(options)
		}
		if len(s.methods) > 0 {
			p.blank()
		}
		for _, m := range s.methods {
			p.method(m)
		}
	})
}

func (p *printer) method(m *method) {
	p.put("rpc ", m.name, " (", p.methodType(m.streamsRequest, m.request), ") returns (",
		p.methodType(m.streamsAnswer, m.response), ")")
	if options := p.filter(m.options); len(options) > 0 {
		p.put(" {\n")
		p.indent++
		p.optionStatements(options)
		p.indent--
		p.put("}")
	}
	p.put(";\n")
}

func (p *printer) methodType(stream bool, name string) string {
	if p.normalize() {
		name = p.scope.qualify(name)
	}
	if stream {
		return "stream " + name
	}
	return name
}
