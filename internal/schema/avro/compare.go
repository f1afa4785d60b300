package avro

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema"
)

// The registry's names of differences.
const (
	nameMismatch       = "NAME_MISMATCH"
	fixedSizeMismatch  = "FIXED_SIZE_MISMATCH"
	missingSymbols     = "MISSING_ENUM_SYMBOLS"
	missingDefault     = "READER_FIELD_MISSING_DEFAULT_VALUE"
	typeMismatch       = "TYPE_MISMATCH"
	missingUnionBranch = "MISSING_UNION_BRANCH"
)

// ReadsFrom lists what keeps s from reading what writer wrote, then the warnings.
func (s *Schema) ReadsFrom(writer schema.Schema, _ schema.CompareOptions) []schema.Difference {
	w, ok := writer.(*Schema)
	if !ok {
		return []schema.Difference{{
			Message: "Incompatible because of different schema type",
			Reader:  string(s.Type()), Writer: string(writer.Type()),
			Why:    "readers of one format cannot read the bytes of another",
			Advice: "register the new format under another subject and topic",
		}}
	}
	c := &comparison{memo: map[nodePair]*outcome{}}
	out := c.compare("", s.root, w.root, nil)
	if c.clash != "" {
		return append([]schema.Difference{c.clashed()}, warnings(s.root, w.root)...)
	}
	list := make([]schema.Difference, 0, len(out.found))
	for _, f := range out.found {
		list = append(list, f.difference())
	}
	return append(list, warnings(s.root, w.root)...)
}

type nodePair struct{ reader, writer *node }

// outcome is what comparing one pair of nodes found. done is false while that goes on: a recursive
// schema that comes back to the pair takes it for compatible.
type outcome struct {
	done  bool
	found []finding
}

var noDifference = &outcome{done: true}

// finding is one difference before it is put in words.
type finding struct {
	typ            string
	path           []string
	message        string
	reader, writer *node
	field          *field // of the reader, for a missing default
}

// comparison is Avro's check of a reader against a writer. It follows the order and the paths of
// Apache Avro for Java: the result for a pair of nodes is kept with the path at which it was first
// seen, and the branches of unions start a path of their own.
type comparison struct {
	memo  map[nodePair]*outcome
	clash string // why the comparison was given up: that counts as incompatible
}

// Limits of one comparison. Shared types with many differences are listed again at every use, and
// large unions compare every branch with every other.
const (
	maxFound = 1_000
	maxPairs = 200_000
)

func join(found, more []finding) []finding {
	return append(found, more[:min(len(more), maxFound-min(len(found), maxFound))]...)
}

func (c *comparison) compare(token string, r, w *node, path []string) *outcome {
	if c.clash != "" {
		return noDifference
	}
	path = append(slices.Clip(path), token)
	pair := nodePair{r, w}
	if o := c.memo[pair]; o != nil {
		if !o.done {
			return noDifference
		}
		return o
	}
	if len(c.memo) >= maxPairs {
		c.clash = fmt.Sprintf("the schemas are too large to compare: more than %d pairs of types", maxPairs)
		return noDifference
	}
	o := &outcome{}
	c.memo[pair] = o
	o.found, o.done = c.calculate(r, w, path), true
	return o
}

// calculate compares a pair that was not seen before.
func (c *comparison) calculate(r, w *node, path []string) []finding {
	switch {
	case r.kind == w.kind:
		return c.sameKind(r, w, path)
	case w.kind == union:
		var found []finding
		for i, b := range w.types {
			found = join(found, c.compare(strconv.Itoa(i), r, b, path).found)
		}
		return found
	case r.kind == union:
		for _, b := range r.types {
			if len(c.compare("", b, w, nil).found) == 0 {
				return nil
			}
		}
		return []finding{{
			typ: missingUnionBranch, path: path, reader: r, writer: w,
			message: "reader union lacking writer type: " + w.kind.upper(),
		}}
	case promotes(w.kind, r.kind):
		return nil
	default:
		return []finding{{
			typ: typeMismatch, path: path, reader: r, writer: w,
			message: fmt.Sprintf("reader type: %s not compatible with writer type: %s", r.kind.upper(), w.kind.upper()),
		}}
	}
}

// promotes tells whether a reader of kind to reads what was written as from.
func promotes(from, to kind) bool {
	switch to {
	case long:
		return from == integer
	case float:
		return from == integer || from == long
	case double:
		return from == integer || from == long || from == float
	case bytesKind:
		return from == stringKind
	case stringKind:
		return from == bytesKind
	default:
		return false
	}
}

func (c *comparison) unions(r, w *node, path []string) []finding {
	var found []finding
	for i, b := range w.types {
		if c.clash != "" {
			return nil
		}
		if len(c.compare("", r, b, nil).found) > 0 {
			found = append(found, finding{
				typ: missingUnionBranch, path: append(slices.Clip(path), strconv.Itoa(i)),
				reader: r, writer: w, message: "reader union lacking writer type: " + b.kind.upper(),
			})
		}
	}
	return found
}

func (c *comparison) sameKind(r, w *node, path []string) []finding {
	switch r.kind {
	case array:
		return c.compare("items", r.items, w.items, path).found
	case mapKind:
		return c.compare("values", r.items, w.items, path).found
	case fixed:
		found := names(r, w, path)
		if r.size != w.size {
			found = append(found, finding{
				typ: fixedSizeMismatch, path: append(slices.Clip(path), "size"), reader: r, writer: w,
				message: fmt.Sprintf("expected: %d, found: %d", w.size, r.size),
			})
		}
		return found
	case enum:
		return append(names(r, w, path), symbols(r, w, path)...)
	case recordKind:
		return append(names(r, w, path), c.fields(r, w, path)...)
	case union:
		return c.unions(r, w, path)
	default:
		return nil
	}
}

// sameName compares as Avro does: without namespaces, or by an alias of the reader.
func sameName(r, w *node) bool {
	if r.name.simple == w.name.simple {
		return true
	}
	for _, a := range r.aliases {
		full := a.full()
		if a.space == "" && r.name.space != "" {
			full = "." + a.simple
		}
		if full == w.name.full() {
			return true
		}
	}
	return false
}

func names(r, w *node, path []string) []finding {
	if sameName(r, w) {
		return nil
	}
	return []finding{{
		typ: nameMismatch, path: append(slices.Clip(path), "name"), reader: r, writer: w,
		message: "expected: " + w.name.full(),
	}}
}

func symbols(r, w *node, path []string) []finding {
	var missing []string
	for _, s := range w.symbols {
		if _, ok := r.ordinal[s]; !ok {
			missing = append(missing, s)
		}
	}
	if missing == nil || r.deflt != nil {
		return nil
	}
	slices.Sort(missing)
	return []finding{{
		typ: missingSymbols, path: append(slices.Clip(path), "symbols"), reader: r, writer: w,
		message: "[" + strings.Join(missing, ", ") + "]",
	}}
}

func (c *comparison) fields(r, w *node, path []string) []finding {
	var found []finding
	path = append(slices.Clip(path), "fields")
	for i, f := range r.fields {
		at := append(slices.Clip(path), strconv.Itoa(i))
		from, ok := writerField(w, f)
		if !ok {
			c.clash = fmt.Sprintf("Reader record field %s type:%s pos:%d matches multiple fields in writer record schema %s",
				f.name, f.typ.kind.upper(), i, shorten(text(w)))
			return nil
		}
		switch {
		case from != nil:
			found = join(found, c.compare("type", f.typ, from.typ, at).found)
		case f.deflt != nil:
		case f.typ.kind == enum && f.typ.deflt != nil:
			// An enum's default is no default of the field: Avro compares the enum with the whole record.
			found = join(found, c.compare("type", f.typ, w, at).found)
		default:
			found = append(found, finding{typ: missingDefault, path: at, message: f.name, reader: r, writer: w, field: f})
		}
		if c.clash != "" {
			return nil
		}
	}
	return found
}

// writerField finds the writer's field by the name or an alias of the reader's; false when
// several answer.
func writerField(w *node, f *field) (*field, bool) {
	from := w.field(f.name)
	for _, a := range f.aliases {
		other := w.field(a)
		if other == nil {
			continue
		}
		if from != nil {
			return nil, false
		}
		from = other
	}
	return from, true
}

// pointer is a path as a JSON pointer, without the mark of its root.
func pointer(path []string) string {
	escaped := make([]string, 0, len(path))
	for _, p := range path[1:] {
		escaped = append(escaped, strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	return "/" + strings.Join(escaped, "/")
}

// text prints a type for people and messages.
func text(n *node) string {
	s, err := render(n, nil)
	if err != nil {
		return n.fullName()
	}
	return s
}
