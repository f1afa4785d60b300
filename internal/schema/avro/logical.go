package avro

import (
	"math"
	"strconv"

	"kelp/internal/schema/jsontree"
)

func (n *node) prop(name string) *jsontree.Node {
	for i := range n.props {
		if n.props[i].Name == name {
			return n.props[i].Value
		}
	}
	return nil
}

// logicalOn says on which kinds a logical type stands; 0 size means any.
var logicalOn = map[string][]struct {
	kind kind
	size int
}{
	"uuid":                   {{stringKind, 0}, {fixed, 16}},
	"duration":               {{fixed, 12}},
	"big-decimal":            {{bytesKind, 0}},
	"date":                   {{integer, 0}},
	"time-millis":            {{integer, 0}},
	"time-micros":            {{long, 0}},
	"timestamp-millis":       {{long, 0}},
	"timestamp-micros":       {{long, 0}},
	"timestamp-nanos":        {{long, 0}},
	"local-timestamp-millis": {{long, 0}},
	"local-timestamp-micros": {{long, 0}},
	"local-timestamp-nanos":  {{long, 0}},
}

// logicalOf reads the logical type of a node. One that is unknown or not valid there is ignored, as
// the Avro specification asks: the property stays, the data is the plain type's.
func logicalOf(n *node) *logical {
	p := n.prop("logicalType")
	if p == nil || p.Kind != jsontree.String {
		return nil
	}
	if p.Text == "decimal" {
		return decimalOf(n)
	}
	for _, on := range logicalOn[p.Text] {
		if on.kind == n.kind && (on.size == 0 || on.size == n.size) {
			return &logical{name: p.Text}
		}
	}
	return nil
}

func decimalOf(n *node) *logical {
	if n.kind != bytesKind && n.kind != fixed {
		return nil
	}
	number := func(name string, absent int) (int, bool) {
		p := n.prop(name)
		if p == nil {
			return absent, absent >= 0
		}
		v, err := strconv.ParseInt(p.Text, 10, 32)
		return int(v), p.Kind == jsontree.Integer && err == nil
	}
	precision, ok := number("precision", -1)
	scale, ok2 := number("scale", 0)
	if !ok || !ok2 || precision <= 0 || scale < 0 || scale > precision {
		return nil
	}
	if n.kind == fixed && precision > int(math.Floor(math.Log10(2)*float64(8*n.size-1))) {
		return nil
	}
	return &logical{name: "decimal", precision: precision, scale: scale}
}
