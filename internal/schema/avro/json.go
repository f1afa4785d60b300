package avro

import (
	"math"
	"strconv"

	"kelp/internal/schema/jsontree"
)

// AppendJSON writes Avro's JSON encoding: unions name their branch ({"long": 1}; null stays bare),
// bytes and fixed are strings of code points 0 to 255, logical types are their plain types.
func (c *codec) AppendJSON(dst, payload []byte) ([]byte, error) {
	w, err := newWalker(payload, c.limits)
	if err != nil {
		return nil, err
	}
	j := jsonWriter{walker: w, out: dst}
	if c.raw() {
		j.latin1(payload)
		return j.out, nil
	}
	if err := j.value(c.root, 0); err != nil {
		return nil, err
	}
	return j.out, j.end()
}

type jsonWriter struct {
	walker
	out []byte
}

func (j *jsonWriter) value(n *node, depth int) error {
	if err := j.deeper(depth); err != nil {
		return err
	}
	switch n.kind {
	case null:
		j.out = append(j.out, "null"...)
		return nil
	case array, mapKind:
		return j.collection(n, depth)
	case recordKind:
		return j.record(n, depth)
	case union:
		i, err := j.branch(n)
		if err != nil {
			return err
		}
		b := n.types[i]
		if b.kind == null {
			return j.value(b, depth+1)
		}
		j.out = append(jsontree.AppendString(append(j.out, '{'), b.fullName()), ':')
		if err := j.value(b, depth+1); err != nil {
			return err
		}
		j.out = append(j.out, '}')
		return nil
	default:
		return j.scalar(n)
	}
}

func (j *jsonWriter) record(n *node, depth int) error {
	if err := j.count(len(n.fields)); err != nil {
		return err
	}
	j.out = append(j.out, '{')
	for i, f := range n.fields {
		if i > 0 {
			j.out = append(j.out, ',')
		}
		j.out = append(jsontree.AppendString(j.out, f.name), ':')
		if err := j.value(f.typ, depth+1); err != nil {
			return j.in(f, err)
		}
	}
	j.out = append(j.out, '}')
	return nil
}

func (j *jsonWriter) collection(n *node, depth int) error {
	open, end := byte('['), byte(']')
	if n.kind == mapKind {
		open, end = '{', '}'
	}
	j.out = append(j.out, open)
	first := true
	err := j.blocks(n.elementLeast(), func() error {
		if !first {
			j.out = append(j.out, ',')
		}
		first = false
		if n.kind == mapKind {
			key, err := j.text()
			if err != nil {
				return err
			}
			j.out = append(jsontree.AppendString(j.out, string(key)), ':')
		}
		return j.value(n.items, depth+1)
	})
	j.out = append(j.out, end)
	return err
}

func (j *jsonWriter) scalar(n *node) (err error) {
	var b []byte
	switch n.kind {
	case boolean:
		var v bool
		v, err = j.boolean()
		j.out = strconv.AppendBool(j.out, v)
	case integer:
		var v int32
		v, err = j.int()
		j.out = strconv.AppendInt(j.out, int64(v), 10)
	case long:
		var v int64
		v, err = j.long()
		j.out = strconv.AppendInt(j.out, v, 10)
	case float:
		var v float32
		v, err = j.float()
		j.out = appendFloat(j.out, v)
	case double:
		var v float64
		v, err = j.double()
		j.out = jsontree.AppendDouble(j.out, v)
	case stringKind:
		b, err = j.text()
		j.out = jsontree.AppendString(j.out, string(b))
	case enum:
		var s string
		s, err = j.symbol(n)
		j.out = jsontree.AppendString(j.out, s)
	case fixed:
		b, err = j.take(int64(n.size), "fixed")
		j.latin1(b)
	default:
		b, err = j.bytes()
		j.latin1(b)
	}
	return err
}

// appendFloat prints the shortest decimal that is this float.
func appendFloat(dst []byte, f float32) []byte {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return jsontree.AppendDouble(dst, float64(f))
	}
	d, _ := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64) // always a number
	return jsontree.AppendDouble(dst, d)
}

// latin1 writes bytes as the string of code points of the same numbers.
func (j *jsonWriter) latin1(b []byte) {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	j.out = jsontree.AppendString(j.out, string(runes))
}
