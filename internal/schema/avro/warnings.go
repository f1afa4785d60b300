package avro

import (
	"fmt"
	"strconv"

	"kelp/internal/schema"
)

// Our own names for changes that the registry lets pass.
const (
	warnDecimalScale     = "DECIMAL_SCALE_CHANGED"
	warnDecimalPrecision = "DECIMAL_PRECISION_CHANGED"
	warnTimeUnit         = "TIME_UNIT_CHANGED"
	warnLogicalType      = "LOGICAL_TYPE_CHANGED"
	warnNamespace        = "NAMESPACE_CHANGED"
	warnEnumDefault      = "ENUM_SYMBOLS_TURN_INTO_DEFAULT"
	warnPrecisionLoss    = "NUMBER_PROMOTION_LOSES_PRECISION"
	warnNotText          = "BYTES_READ_AS_STRING"
)

// warnings walks both schemas side by side and lists what reads without an error but not as it
// was meant.
func warnings(r, w *node) []schema.Difference {
	x := &warner{seen: map[nodePair]bool{}}
	x.walk(r, w, []string{""})
	return x.out
}

type warner struct {
	seen  map[nodePair]bool
	steps int
	out   []schema.Difference
}

// maxWarnings bounds the list, as maxFound does for differences.
const maxWarnings = 1000

func (x *warner) add(d schema.Difference, path []string) {
	if len(x.out) < maxWarnings {
		d.Path, d.Warning = pointer(path), true
		x.out = append(x.out, d)
	}
}

func with(path []string, tokens ...string) []string {
	return append(path[:len(path):len(path)], tokens...)
}

func (x *warner) walk(r, w *node, path []string) {
	if x.seen[nodePair{r, w}] || len(x.seen) > maxPairs {
		return
	}
	x.seen[nodePair{r, w}] = true
	switch {
	case r.kind == union || w.kind == union:
		x.unions(r, w, path)
		return
	case r.kind != w.kind:
		x.promotion(r, w, path)
		return
	}
	x.logical(r, w, path)
	switch r.kind {
	case array:
		x.walk(r.items, w.items, with(path, "items"))
	case mapKind:
		x.walk(r.items, w.items, with(path, "values"))
	case recordKind, enum, fixed:
		x.named(r, w, path)
	default:
	}
}

// unions pairs each written branch with the branch that would read it.
func (x *warner) unions(r, w *node, path []string) {
	branches := func(n *node) []*node {
		if n.kind == union {
			return n.types
		}
		return []*node{n}
	}
	for i, b := range branches(w) {
		at := path
		if w.kind == union {
			at = with(path, strconv.Itoa(i))
		}
		for _, rb := range branches(r) {
			if x.steps++; x.steps > maxPairs {
				return
			}
			if rb.kind == b.kind && (!rb.kind.named() || sameName(rb, b)) {
				x.walk(rb, b, at)
				break
			}
		}
	}
}

func (x *warner) named(r, w *node, path []string) {
	if !sameName(r, w) {
		return
	}
	if r.name.simple == w.name.simple && r.name.space != w.name.space {
		x.add(schema.Difference{
			Type: warnNamespace, Reader: r.name.full(), Writer: w.name.full(),
			Message: fmt.Sprintf("the full name changes from %s to %s", w.name.full(), r.name.full()),
			Why: "the registry compares names without namespaces, but readers with generated classes, RecordNameStrategy subjects " +
				"and unions of several records look for the full name",
			Advice: fmt.Sprintf(`keep the namespace, or add "aliases": [%q]`, w.name.full()),
		}, with(path, "namespace"))
	}
	if r.kind == enum {
		if missing := symbols(&node{ordinal: r.ordinal}, w, path); len(missing) > 0 && r.deflt != nil {
			x.add(schema.Difference{
				Type: warnEnumDefault, Reader: *r.deflt, Writer: missing[0].message,
				Message: fmt.Sprintf("the symbols %s are read as the default %s", missing[0].message, *r.deflt),
				Why:     "readers see the default in the place of symbols they do not know: the difference is lost on them",
				Advice:  "upgrade readers before writers use the new symbols",
			}, with(path, "symbols"))
		}
	}
	for i, f := range r.fields {
		if from, ok := writerField(w, f); ok && from != nil {
			x.walk(f.typ, from.typ, with(path, "fields", strconv.Itoa(i), "type"))
		}
	}
}

func (x *warner) promotion(r, w *node, path []string) {
	switch {
	case !promotes(w.kind, r.kind):
	case r.kind == float || r.kind == double && w.kind == long:
		x.add(schema.Difference{
			Type: warnPrecisionLoss, Reader: r.kind.String(), Writer: w.kind.String(),
			Message: fmt.Sprintf("%s is read as %s", w.kind, r.kind),
			Why:     "large numbers lose their last digits on the reading side",
			Advice:  "widen to double (from int) or keep long",
		}, path)
	case r.kind == stringKind:
		x.add(schema.Difference{
			Type: warnNotText, Reader: r.kind.String(), Writer: w.kind.String(),
			Message: "bytes are read as a string",
			Why:     "readers fail or see replacement characters where the bytes are no UTF-8 text",
			Advice:  "keep bytes unless all data is text",
		}, path)
	}
	x.logical(r, w, path)
}

var timeUnits = map[string]bool{
	"time-millis": true, "time-micros": true, "timestamp-millis": true, "timestamp-micros": true, "timestamp-nanos": true,
	"local-timestamp-millis": true, "local-timestamp-micros": true, "local-timestamp-nanos": true,
}

func (l *logical) String() string {
	switch {
	case l == nil:
		return "(none)"
	case l.name == "decimal":
		return fmt.Sprintf("decimal(%d, %d)", l.precision, l.scale)
	default:
		return l.name
	}
}

func (x *warner) logical(r, w *node, path []string) {
	a, b := r.logical, w.logical
	if a.String() == b.String() {
		return
	}
	d := schema.Difference{
		Type: warnLogicalType, Reader: a.String(), Writer: b.String(),
		Message: fmt.Sprintf("the logical type changes from %s to %s", b, a),
		Why:     "the registry ignores logical types: readers take the same bytes for a value of another meaning",
		Advice:  "add a new field with the new logical type and a default, and retire the old one",
	}
	switch {
	case a == nil || b == nil:
	case a.name == "decimal" && b.name == "decimal" && a.scale != b.scale:
		d.Type = warnDecimalScale
		d.Why = fmt.Sprintf("the bytes hold the number without its point: readers see it %s", shift(b.scale-a.scale))
	case a.name == "decimal" && b.name == "decimal":
		d.Type = warnDecimalPrecision
		d.Why = "readers that check the precision refuse numbers with more digits than they declare"
		d.Advice = "a larger precision on the reading side is safe: upgrade readers first"
		if a.precision > b.precision {
			d.Why = "numbers written under the smaller precision fit; nothing breaks in this direction, old readers may refuse new numbers"
		}
	case timeUnits[a.name] && timeUnits[b.name]:
		d.Type = warnTimeUnit
		d.Why = fmt.Sprintf("readers take %s for %s: times are wrong by the ratio of the units", b.name, a.name)
	}
	x.add(d, with(path, "logicalType"))
}

func shift(digits int) string {
	if digits > 0 {
		return fmt.Sprintf("10^%d times too large", digits)
	}
	return fmt.Sprintf("10^%d times too small", -digits)
}
