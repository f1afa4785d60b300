package jsonschema

import (
	"math/big"
	"strconv"
	"unicode/utf8"

	library "github.com/santhosh-tekuri/jsonschema/v6"

	"kelp/internal/schema/jsontree"
)

// The library checks a document through many small objects and exact fractions. A quick schema answers for it where that
// is easy: it is made of the library's own compiled schema, works on the tree as it was read, and says "unsure" for
// whatever it does not know. Only documents of which it is sure that they are valid are taken without the library.

// verdict of a quick check.
type verdict int8

const (
	unsure verdict = iota
	valid
	invalid
)

// Limits of a quick check: what is beyond them is left to the library.
const (
	maxQuickDepth = 400
	maxQuickSteps = 1 << 20 // schemas that meet values
	maxQuickNames = 4096    // required names times members of one object
)

// quickType is a set of JSON types.
type quickType uint8

const (
	quickNull quickType = 1 << iota
	quickBool
	quickNumber
	quickInteger
	quickString
	quickArray
	quickObject
)

var quickTypes = map[string]quickType{
	"null": quickNull, "boolean": quickBool, "number": quickNumber, "integer": quickInteger,
	"string": quickString, "array": quickArray, "object": quickObject,
}

// quick is one schema. Pointers that are nil ask nothing.
type quick struct {
	s      *library.Schema // its bounds, patterns and format
	unsure bool            // there is a keyword that only the library checks
	answer verdict         // of a boolean schema, else unsure

	types quickType // none: any
	enum  *quickEnum
	ref   *quick
	alone bool // the reference hides what stands beside it

	properties map[string]*quick
	additional *quick
	closed     bool
	items      *quick
	tuple      []*quick
	rest       *quick
	full       bool // nothing after the tuple

	all, any, one []*quick
	not           *quick
	cond, yes, no *quick
}

// quickEnum holds the values of enum and const that are texts, booleans or null.
type quickEnum struct {
	texts map[string]bool
	words [3]bool // null, false, true
}

// newQuick builds a quick schema; references make circles.
func newQuick(s *library.Schema, known map[*library.Schema]*quick) *quick {
	if s == nil {
		return nil
	}
	if q := known[s]; q != nil {
		return q
	}
	q := &quick{s: s}
	known[s] = q
	if s.Bool != nil {
		q.answer = invalid
		if *s.Bool {
			q.answer = valid
		}
		return q
	}
	q.unsure = s.RecursiveRef != nil || s.DynamicRef != nil || s.PropertyNames != nil || len(s.PatternProperties) > 0 ||
		len(s.Dependencies) > 0 || len(s.DependentRequired) > 0 || len(s.DependentSchemas) > 0 || s.UnevaluatedProperties != nil ||
		s.UniqueItems || s.Contains != nil || s.UnevaluatedItems != nil || s.ContentEncoding != nil || s.ContentMediaType != nil ||
		s.ContentSchema != nil || len(s.Extensions) > 0
	if s.Types != nil {
		for _, name := range s.Types.ToStrings() {
			q.types |= quickTypes[name]
		}
	}
	q.addEnum(s)
	list := func(all []*library.Schema) (out []*quick) {
		for _, each := range all {
			out = append(out, newQuick(each, known))
		}
		return out
	}
	q.ref, q.alone = newQuick(s.Ref, known), s.DraftVersion < 2019
	q.all, q.any, q.one = list(s.AllOf), list(s.AnyOf), list(s.OneOf)
	q.not, q.cond, q.yes, q.no = newQuick(s.Not, known), newQuick(s.If, known), newQuick(s.Then, known), newQuick(s.Else, known)
	if len(s.Properties) > 0 {
		q.properties = make(map[string]*quick, len(s.Properties))
		for name, each := range s.Properties {
			q.properties[name] = newQuick(each, known)
		}
	}
	q.additional, q.closed = schemaOrBool(s.AdditionalProperties, known)
	if s.DraftVersion >= 2020 {
		q.tuple, q.rest = list(s.PrefixItems), newQuick(s.Items2020, known)
		return q
	}
	switch items := s.Items.(type) {
	case *library.Schema:
		q.items = newQuick(items, known)
	case []*library.Schema:
		q.tuple = list(items)
		q.rest, q.full = schemaOrBool(s.AdditionalItems, known)
	default:
		q.rest, q.full = schemaOrBool(s.AdditionalItems, known)
	}
	return q
}

// schemaOrBool reads a keyword that is a schema or a boolean; false stands for "nothing".
func schemaOrBool(v any, known map[*library.Schema]*quick) (q *quick, nothing bool) {
	switch v := v.(type) {
	case *library.Schema:
		return newQuick(v, known), false
	case bool:
		return nil, !v
	}
	return nil, false
}

func (q *quick) addEnum(s *library.Schema) {
	if s.Enum != nil && s.Const != nil {
		q.unsure = true
		return
	}
	var values []any
	switch {
	case s.Enum != nil:
		values = s.Enum.Values
	case s.Const != nil:
		values = []any{*s.Const}
	default:
		return
	}
	q.enum = &quickEnum{texts: map[string]bool{}}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			q.enum.words[0] = true
		case bool:
			q.enum.words[1], q.enum.words[2] = q.enum.words[1] || !v, q.enum.words[2] || v
		case string:
			q.enum.texts[v] = true
		default:
			q.unsure = true
		}
	}
}

// quickCheck is one document on its way through a quick schema.
type quickCheck struct{ steps int }

func (c *quickCheck) check(q *quick, n *jsontree.Node, depth int) verdict {
	if q == nil {
		return c.anything(n)
	}
	if c.steps++; q.unsure || c.steps > maxQuickSteps || depth > maxQuickDepth {
		return unsure
	}
	if q.answer != unsure {
		return meet(q.answer, c.anything(n))
	}
	sure := q.typed(n)
	if sure != valid {
		return sure
	}
	if q.enum != nil {
		if sure = q.enum.has(n); sure != valid {
			return sure
		}
	}
	if q.s.Format != nil && n.Kind == jsontree.String && q.s.Format.Validate(n.Text) != nil {
		return invalid
	}
	if q.ref != nil {
		if sure = c.check(q.ref, n, depth+1); sure != valid || q.alone {
			return sure
		}
	}
	switch n.Kind {
	case jsontree.Object:
		sure = c.object(q, n, depth)
	case jsontree.Array:
		sure = c.array(q, n, depth)
	case jsontree.String:
		sure = q.text(n.Text)
	case jsontree.Integer, jsontree.Fraction:
		sure = q.number(n)
	default:
	}
	if sure != valid {
		return sure
	}
	return c.combined(q, n, depth)
}

// meet is valid if both are, invalid if one is.
func meet(a, b verdict) verdict {
	switch {
	case a == invalid || b == invalid:
		return invalid
	case a == unsure || b == unsure:
		return unsure
	}
	return valid
}

// anything takes every value but numbers that the library does not get, see plain.
func (c *quickCheck) anything(n *jsontree.Node) verdict {
	if c.steps++; c.steps > maxQuickSteps {
		return unsure
	}
	switch n.Kind {
	case jsontree.Fraction, jsontree.Integer:
		return boundedNumber(n)
	case jsontree.Array:
		for _, item := range n.Items {
			if c.anything(item) != valid {
				return unsure
			}
		}
	case jsontree.Object:
		for _, m := range n.Members {
			if c.anything(m.Value) != valid {
				return unsure
			}
		}
	default:
	}
	return valid
}

// boundedNumber leaves everything with an exponent to the library.
func boundedNumber(n *jsontree.Node) verdict {
	for i := range len(n.Text) {
		if n.Text[i] == 'e' || n.Text[i] == 'E' {
			return unsure
		}
	}
	return valid
}

func (q *quick) typed(n *jsontree.Node) verdict {
	if q.types == 0 {
		return valid
	}
	var t quickType
	switch n.Kind {
	case jsontree.Null:
		t = quickNull
	case jsontree.Bool:
		t = quickBool
	case jsontree.Integer:
		t = quickNumber | quickInteger
	case jsontree.Fraction:
		if q.types&quickNumber == 0 && q.types&quickInteger != 0 {
			return unsure // 1.0 is an integer
		}
		t = quickNumber
	case jsontree.String:
		t = quickString
	case jsontree.Array:
		t = quickArray
	default:
		t = quickObject
	}
	if q.types&t == 0 {
		return invalid
	}
	return valid
}

func (e *quickEnum) has(n *jsontree.Node) verdict {
	found := false
	switch n.Kind {
	case jsontree.Null:
		found = e.words[0]
	case jsontree.Bool:
		found = e.words[1] && !n.Bool || e.words[2] && n.Bool
	case jsontree.String:
		found = e.texts[n.Text]
	default: // no value of a schema that is not unsure is a number, a list or an object
	}
	if found {
		return valid
	}
	return invalid
}

func (c *quickCheck) object(q *quick, n *jsontree.Node, depth int) verdict {
	s := q.s
	if s.MinProperties != nil && len(n.Members) < *s.MinProperties || s.MaxProperties != nil && len(n.Members) > *s.MaxProperties {
		return invalid
	}
	if len(s.Required)*len(n.Members) > maxQuickNames {
		return unsure
	}
	for _, name := range s.Required {
		if n.Get(name) == nil {
			return invalid
		}
	}
	sure := valid
	for _, m := range n.Members {
		p, named := q.properties[m.Name]
		if !named {
			if q.closed {
				return invalid
			}
			p = q.additional
		}
		if sure = meet(sure, c.check(p, m.Value, depth+1)); sure == invalid {
			return invalid
		}
	}
	return sure
}

func (c *quickCheck) array(q *quick, n *jsontree.Node, depth int) verdict {
	s := q.s
	if s.MinItems != nil && len(n.Items) < *s.MinItems || s.MaxItems != nil && len(n.Items) > *s.MaxItems {
		return invalid
	}
	if q.items == nil && q.full && len(n.Items) > len(q.tuple) {
		return invalid
	}
	sure := valid
	for i, item := range n.Items {
		p := q.items
		switch {
		case p != nil:
		case i < len(q.tuple):
			p = q.tuple[i]
		default:
			p = q.rest
		}
		if sure = meet(sure, c.check(p, item, depth+1)); sure == invalid {
			return invalid
		}
	}
	return sure
}

func (q *quick) text(text string) verdict {
	s := q.s
	if s.MinLength != nil || s.MaxLength != nil {
		runes := utf8.RuneCountInString(text)
		if s.MinLength != nil && runes < *s.MinLength || s.MaxLength != nil && runes > *s.MaxLength {
			return invalid
		}
	}
	if s.Pattern != nil && !s.Pattern.MatchString(text) {
		return invalid
	}
	return valid
}

func (q *quick) number(n *jsontree.Node) verdict {
	s := q.s
	if boundedNumber(n) != valid || s.MultipleOf != nil {
		return unsure
	}
	for _, bound := range []struct {
		limit   *big.Rat
		refuses func(compared int) bool
	}{
		{s.Minimum, func(c int) bool { return c < 0 }},
		{s.Maximum, func(c int) bool { return c > 0 }},
		{s.ExclusiveMinimum, func(c int) bool { return c <= 0 }},
		{s.ExclusiveMaximum, func(c int) bool { return c >= 0 }},
	} {
		if bound.limit == nil {
			continue
		}
		compared, ok := compareNumber(n, bound.limit)
		if !ok {
			return unsure
		}
		if bound.refuses(compared) {
			return invalid
		}
	}
	return valid
}

// compareNumber compares exactly.
func compareNumber(n *jsontree.Node, limit *big.Rat) (compared int, ok bool) {
	if n.Kind == jsontree.Integer && limit.IsInt() && limit.Num().IsInt64() {
		if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
			switch l := limit.Num().Int64(); {
			case i < l:
				return -1, true
			case i > l:
				return 1, true
			}
			return 0, true
		}
	}
	r := rational(n)
	if r == nil {
		return 0, false
	}
	return r.Cmp(limit), true
}

// combined checks what applies to the same value.
func (c *quickCheck) combined(q *quick, n *jsontree.Node, depth int) verdict {
	sure := valid
	for _, each := range q.all {
		if sure = meet(sure, c.check(each, n, depth+1)); sure == invalid {
			return invalid
		}
	}
	if len(q.any) > 0 {
		sure = meet(sure, c.anyOf(q.any, n, depth))
	}
	if len(q.one) > 0 {
		sure = meet(sure, c.oneOf(q.one, n, depth))
	}
	if q.not != nil {
		sure = meet(sure, [...]verdict{unsure: unsure, valid: invalid, invalid: valid}[c.check(q.not, n, depth+1)])
	}
	if q.cond == nil {
		return sure
	}
	switch c.check(q.cond, n, depth+1) {
	case valid:
		return meet(sure, c.check(q.yes, n, depth+1))
	case invalid:
		return meet(sure, c.check(q.no, n, depth+1))
	default:
		return unsure
	}
}

func (c *quickCheck) anyOf(alternatives []*quick, n *jsontree.Node, depth int) verdict {
	sure := invalid
	for _, each := range alternatives {
		switch c.check(each, n, depth+1) {
		case valid:
			return valid
		case unsure:
			sure = unsure
		default:
		}
	}
	return sure
}

func (c *quickCheck) oneOf(alternatives []*quick, n *jsontree.Node, depth int) verdict {
	matching, sure := 0, valid
	for _, each := range alternatives {
		switch c.check(each, n, depth+1) {
		case valid:
			matching++
		case unsure:
			sure = unsure
		default:
		}
	}
	switch {
	case matching > 1:
		return invalid
	case sure == unsure:
		return unsure
	case matching == 1:
		return valid
	}
	return invalid
}
