package avro

import (
	"fmt"
	"strconv"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
)

// render writes a type as one line. Names in known are taken as defined elsewhere; a type is
// written in full where it first appears and by its name after that.
func render(n *node, known []string) (string, error) {
	p := &printer{known: make(map[string]bool, len(known))}
	for _, k := range known {
		p.known[k] = true
	}
	p.schema(n, "")
	if len(p.out) > maxPrinted {
		return "", fmt.Errorf("the schema with its references has more than %d bytes", maxPrinted)
	}
	return string(p.out), nil
}

// maxPrinted bounds a printed schema: a text and everything it refers to, written out once.
const maxPrinted = 16 * schema.MaxTextBytes

type printer struct {
	out   []byte
	known map[string]bool
}

func (p *printer) text(s string) { p.out = append(p.out, s...) }

func (p *printer) quoted(s string) { p.out = jsontree.AppendString(p.out, s) }

func (p *printer) member(name, value string) {
	p.text(`,"` + name + `":`)
	p.quoted(value)
}

func (p *printer) props(props []jsontree.Member) {
	for _, m := range props {
		p.text(",")
		p.quoted(m.Name)
		p.text(":")
		p.out = m.Value.Append(p.out, jsontree.Doubles)
	}
}

func (p *printer) schema(n *node, namespace string) {
	if len(p.out) > maxPrinted {
		return
	}
	switch n.kind {
	case union:
		p.text("[")
		for i, t := range n.types {
			if i > 0 {
				p.text(",")
			}
			p.schema(t, namespace)
		}
		p.text("]")
	case array, mapKind:
		p.text(`{"type":"` + n.kind.String() + `"`)
		if n.kind == array {
			p.text(`,"items":`)
		} else {
			p.text(`,"values":`)
		}
		p.schema(n.items, namespace)
		p.props(n.props)
		p.text("}")
	case recordKind, enum, fixed:
		p.named(n, namespace)
	default:
		if len(n.props) == 0 {
			p.quoted(n.kind.String())
			return
		}
		p.text(`{"type":"` + n.kind.String() + `"`)
		p.props(n.props)
		p.text("}")
	}
}

func (p *printer) named(n *node, namespace string) {
	full := n.name.full()
	if p.known[full] {
		p.quoted(n.name.relative(namespace))
		return
	}
	p.known[full] = true
	kind := n.kind.String()
	if n.isError {
		kind = "error"
	}
	p.text(`{"type":"` + kind + `"`)
	p.member("name", n.name.simple)
	if n.name.space != namespace {
		p.member("namespace", n.name.space)
	}
	if n.doc != nil {
		p.member("doc", *n.doc)
	}
	switch n.kind {
	case recordKind:
		p.text(`,"fields":[`)
		for i, f := range n.fields {
			if i > 0 {
				p.text(",")
			}
			p.field(f, n.name.space)
		}
		p.text("]")
	case enum:
		p.text(`,"symbols":[`)
		p.list(n.symbols)
		if n.deflt != nil {
			p.member("default", *n.deflt)
		}
	default:
		p.text(`,"size":` + strconv.Itoa(n.size))
	}
	p.props(n.props)
	if len(n.aliases) > 0 {
		names := make([]string, len(n.aliases))
		for i, a := range n.aliases {
			names[i] = a.relative(n.name.space)
		}
		p.text(`,"aliases":[`)
		p.list(names)
	}
	p.text("}")
}

// list writes strings and the bracket that ends them.
func (p *printer) list(items []string) {
	for i, s := range items {
		if i > 0 {
			p.text(",")
		}
		p.quoted(s)
	}
	p.text("]")
}

func (p *printer) field(f *field, namespace string) {
	p.text(`{"name":`)
	p.quoted(f.name)
	p.text(`,"type":`)
	p.schema(f.typ, namespace)
	if f.doc != nil {
		p.member("doc", *f.doc)
	}
	if f.deflt != nil {
		p.text(`,"default":`)
		p.out = f.deflt.Append(p.out, jsontree.Doubles)
	}
	if f.order != "" {
		p.member("order", f.order)
	}
	if len(f.aliases) > 0 {
		p.text(`,"aliases":[`)
		p.list(f.aliases)
	}
	p.props(f.props)
	p.text("}")
}
