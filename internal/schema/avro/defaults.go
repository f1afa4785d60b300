package avro

import (
	"strconv"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
)

// validDefault tells whether a JSON value can be the default of a type. A union takes a value of
// any of its branches; a record's missing members take the defaults of its fields.
func validDefault(n *node, v *jsontree.Node, depth int) bool {
	if v == nil || depth > schema.MaxDepth {
		return false
	}
	switch n.kind {
	case stringKind, bytesKind, enum, fixed:
		return v.Kind == jsontree.String
	case integer:
		return fits(v, 32)
	case long:
		return fits(v, 64)
	case float, double:
		return v.Kind == jsontree.Integer || v.Kind == jsontree.Fraction
	case boolean:
		return v.Kind == jsontree.Bool
	case null:
		return v.Kind == jsontree.Null
	case array:
		if v.Kind != jsontree.Array {
			return false
		}
		for _, item := range v.Items {
			if !validDefault(n.items, item, depth+1) {
				return false
			}
		}
		return true
	case mapKind:
		if v.Kind != jsontree.Object {
			return false
		}
		for _, m := range v.Members {
			if !validDefault(n.items, m.Value, depth+1) {
				return false
			}
		}
		return true
	case union:
		for _, t := range n.types {
			if validDefault(t, v, depth+1) {
				return true
			}
		}
		return false
	case recordKind:
		return validRecordDefault(n, v, depth)
	default:
		return false
	}
}

func validRecordDefault(n *node, v *jsontree.Node, depth int) bool {
	if v.Kind != jsontree.Object {
		return false
	}
	for _, f := range n.fields {
		value := v.Get(f.name)
		if value == nil {
			value = f.deflt
		}
		if !validDefault(f.typ, value, depth+1) {
			return false
		}
	}
	return true
}

func fits(v *jsontree.Node, bits int) bool {
	if v.Kind != jsontree.Integer {
		return false
	}
	_, err := strconv.ParseInt(v.Text, 10, bits)
	return err == nil
}
