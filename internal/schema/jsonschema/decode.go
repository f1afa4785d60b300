package jsonschema

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/record"
)

// decoder makes record values of a validated document.
type decoder struct{ cells record.Cells }

func refused(n *jsontree.Node, want string) error {
	return fmt.Errorf("%w: %s where the record type has %s", record.ErrRefused, brief(n), want)
}

func (d *decoder) value(p *plan, n *jsontree.Node) (*record.Value, error) {
	if p.how == asText {
		return d.cells.String(n.Print(jsontree.Decimals)), nil
	}
	if n.Kind == jsontree.Null {
		if !p.nullable {
			return nil, refused(n, "no null")
		}
		return record.Null(), nil
	}
	switch p.how {
	case asBool:
		if n.Kind == jsontree.Bool {
			return d.cells.Bool(n.Bool), nil
		}
		return nil, refused(n, "a BOOL")
	case asInt64:
		return d.integer(n)
	case asDouble:
		if n.Kind == jsontree.Integer || n.Kind == jsontree.Fraction {
			if f, exact := exactDouble(n); exact {
				return d.cells.Double(f), nil
			}
			return nil, refused(n, "a DOUBLE, which does not have all its digits")
		}
		return nil, refused(n, "a DOUBLE")
	case asString:
		if n.Kind == jsontree.String {
			return d.cells.String(n.Text), nil
		}
		return nil, refused(n, "a STRING")
	case asList:
		return d.list(p, n)
	case asMap:
		return d.entries(p, n)
	case asRecord:
		return d.record(p, n)
	case asChoice:
		return d.choice(p, n)
	default:
		return nil, refused(n, "only null")
	}
}

// safeDigits is how many digits of any decimal number come back from a double.
const safeDigits = 15

// exactDouble gives the double that stands for a number, and whether it is that very number in decimal: what is written
// from it again has the same value. The rest would be changed in silence.
func exactDouble(n *jsontree.Node) (f float64, exact bool) {
	if f = n.Double(); math.IsInf(f, 0) {
		return f, false
	}
	if len(n.Text) <= safeDigits && !strings.ContainsAny(n.Text, "eE") {
		return f, true
	}
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	want := rational(n)
	return f, ok && want != nil && r.Cmp(want) == 0
}

// integer takes whole numbers in any spelling, such as 1.0 and 1e3.
func (d *decoder) integer(n *jsontree.Node) (*record.Value, error) {
	switch n.Kind {
	case jsontree.Integer:
		if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
			return d.cells.Int64(i), nil
		}
	case jsontree.Fraction:
		if r := rational(n); r != nil && r.IsInt() && r.Num().IsInt64() {
			return d.cells.Int64(r.Num().Int64()), nil
		}
	default:
	}
	return nil, refused(n, "an INT64")
}

func (d *decoder) list(p *plan, n *jsontree.Node) (*record.Value, error) {
	if n.Kind != jsontree.Array {
		return nil, refused(n, "a list")
	}
	out := make([]*record.Value, len(n.Items))
	for i, item := range n.Items {
		var err error
		if out[i], err = d.value(p.items, item); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
	}
	return d.cells.List(out), nil
}

func (d *decoder) entries(p *plan, n *jsontree.Node) (*record.Value, error) {
	if n.Kind != jsontree.Object {
		return nil, refused(n, "a map")
	}
	out := make([]*record.Value, len(n.Members))
	for i, m := range n.Members {
		v, err := d.value(p.items, m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		entry := map[string]*record.Value{record.MapKey: d.cells.String(m.Name)}
		if !record.IsNull(v) {
			entry[record.MapValue] = v
		}
		out[i] = d.cells.Nested(entry)
	}
	return d.cells.List(out), nil
}

func (d *decoder) record(p *plan, n *jsontree.Node) (*record.Value, error) {
	if n.Kind != jsontree.Object {
		return nil, refused(n, "a record")
	}
	out := make(map[string]*record.Value, len(n.Members))
	var extra []jsontree.Member
	for _, m := range n.Members {
		i, named := p.byName[m.Name]
		if !named {
			extra = append(extra, m)
			continue
		}
		v, err := d.value(p.fields[i].plan, m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		out[p.fields[i].name] = v
	}
	if extra != nil {
		if p.extra == "" {
			return nil, refused(&jsontree.Node{Kind: jsontree.Object, Members: extra}, "no other properties")
		}
		text := (&jsontree.Node{Kind: jsontree.Object, Members: extra}).Print(jsontree.Decimals)
		out[p.extra] = d.cells.String(text)
	}
	return d.cells.Nested(out), nil
}

func (d *decoder) choice(p *plan, n *jsontree.Node) (*record.Value, error) {
	var t types
	switch n.Kind {
	case jsontree.Bool:
		t = booleanType
	case jsontree.Integer:
		t = integerType
	case jsontree.Fraction:
		t = numberType
		if r := rational(n); r != nil && r.IsInt() {
			t = integerType
		}
	case jsontree.String:
		t = textType
	case jsontree.Array:
		t = listType
	default:
		t = recordType
	}
	for _, c := range p.choices {
		if c.types&t == 0 {
			continue
		}
		v, err := d.value(c.plan, n)
		if err != nil {
			return nil, err
		}
		return d.cells.Nested(map[string]*record.Value{c.name: v}), nil
	}
	return nil, refused(n, "none of its types")
}
