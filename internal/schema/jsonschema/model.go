package jsonschema

import (
	"regexp"

	"kelp/internal/schema/jsontree"
)

// kind is the class of a rule. A schema with keywords for several kinds is an "all of" of one rule
// per kind, as the registry sees it.
type kind uint8

const (
	anything kind = iota // the empty schema
	always               // true
	never                // false
	booleanKind
	nullKind
	stringKind
	numberKind
	objectKind
	arrayKind
	enumKind
	constKind
	combinedKind
	notKind
	conditionalKind
	referenceKind
)

var kindNames = [...]string{
	"empty", "true", "false", "boolean", "null", "string", "number", "object", "array", "enum", "const", "combined", "not",
	"conditional", "reference",
}

func (k kind) String() string { return kindNames[k] }

// takesAll tells whether a rule of this kind takes every value.
func (k kind) takesAll() bool { return k == anything || k == always }

type criterion uint8

const (
	allOf criterion = iota
	anyOf
	oneOf
)

var criterionNames = [...]string{"allOf", "anyOf", "oneOf"}

func (c criterion) String() string { return criterionNames[c] }

// rule is one node of the graph that is compared. The identity of a rule matters: recursion is
// found by it, and a definition that is used in place and through a reference is two rules.
type rule struct {
	kind        kind
	id          *string
	title       *string
	description *string
	deflt       *jsontree.Node
	extra       map[string]extra // keywords that no draft at hand knows, and some that the comparison asks for

	str  *stringRule
	num  *numberRule
	obj  *objectRule
	arr  *arrayRule
	comb *combinedRule

	values                     []*jsontree.Node // of enum; of const the one value
	not                        *rule
	ifRule, thenRule, elseRule *rule
	refText                    string
	ref                        *rule // what a reference refers to
}

// extra is an unknown keyword's value, or the rule of a known one that has no place of its own.
type extra struct {
	value *jsontree.Node
	rule  *rule
}

type stringRule struct {
	required             bool // the type keyword names the kind
	minLength, maxLength *int
	pattern              *string
	format               string
}

type numberRule struct {
	required, integer            bool
	minimum, maximum             *jsontree.Node
	exclusiveMin, exclusiveMax   *jsontree.Node
	exclMinStrict, exclMaxStrict bool // draft 4: the limits themselves are excluded
	multipleOf                   *jsontree.Node
}

type objectRule struct {
	required         bool
	properties       map[string]*rule
	order            []string // of the properties, in the text
	closed           bool     // additionalProperties is false
	additional       *rule
	requiredNames    []string
	minProps         *int
	maxProps         *int
	needs            map[string][]string // property dependencies
	dependentSchemas map[string]*rule
	patterns         []patternRule
	names            *rule
}

type patternRule struct {
	pattern string
	compile *regexp.Regexp // nil where RE2 has no form of it
	rule    *rule
}

type arrayRule struct {
	required   bool
	minItems   *int
	maxItems   *int
	unique     bool
	all        *rule
	items      []*rule
	tuple      bool // items were given one by one
	closed     bool // additionalItems is false
	additional *rule
	contains   *rule
}

type combinedRule struct {
	criterion criterion
	rules     []*rule
	generated bool // made from several keywords side by side, not written as a combination
	inline    bool // such a one of drafts 4 to 7, which prints as the keywords that it was made from
}

// copy is a rule of its own with the same parts: what building a rule again gives.
func (r *rule) copy() *rule {
	if r.kind == referenceKind {
		return r
	}
	c := *r
	return &c
}

func (o *objectRule) requires(name string) bool {
	for _, n := range o.requiredNames {
		if n == name {
			return true
		}
	}
	return false
}

// openObject tells whether an object takes properties that it does not name.
func (r *rule) openObject() bool {
	if r.obj.closed || r.obj.additional != nil || len(r.obj.patterns) > 0 {
		return false
	}
	u := r.unevaluated("unevaluatedProperties")
	return u == nil || u.kind.takesAll()
}

func (r *rule) openArray() bool {
	if r.arr.closedToMore() || r.arr.additional != nil {
		return false
	}
	u := r.unevaluated("unevaluatedItems")
	return u == nil || u.kind.takesAll()
}

// closedToMore: a list with one rule for all items has no additional ones to forbid.
func (a *arrayRule) closedToMore() bool { return a.closed && a.all == nil && a.additional == nil }

func (r *rule) unevaluated(keyword string) *rule { return r.extra[keyword].rule }
