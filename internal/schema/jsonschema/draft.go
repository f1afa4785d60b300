package jsonschema

import (
	"errors"
	"strings"

	"kelp/internal/schema/jsontree"
)

type draft uint8

const (
	draft4 draft = iota
	draft6
	draft7
	draft2019
	draft2020
)

var draftURLs = map[string]draft{
	"json-schema.org/draft-04/schema":      draft4,
	"json-schema.org/schema":               draft4,
	"json-schema.org/draft-06/schema":      draft6,
	"json-schema.org/draft-07/schema":      draft7,
	"json-schema.org/draft/2019-09/schema": draft2019,
	"json-schema.org/draft/2020-12/schema": draft2020,
}

// draftOf tells a schema's draft from its $schema; none or an unknown one is draft 7.
func draftOf(root *jsontree.Node) draft {
	u, ok := root.StringAt("$schema")
	if !ok {
		return draft7
	}
	if d, ok := draftURLs[bareURL(strings.TrimSuffix(u, "#"))]; ok {
		return d
	}
	return draft7
}

func bareURL(u string) string {
	if rest, ok := strings.CutPrefix(u, "http://"); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(u, "https://"); ok {
		return rest
	}
	return ""
}

// classicDraft finds a draft up to 7 by the beginning of its URL.
func classicDraft(u string) (draft, bool) {
	for prefix, d := range draftURLs {
		if d <= draft7 && strings.HasPrefix(bareURL(u), prefix) {
			return d, true
		}
	}
	return draft7, false
}

func (d draft) modern() bool { return d >= draft2019 }

func (d draft) idKeyword() string {
	if d == draft4 {
		return "id"
	}
	return "$id"
}

var (
	arrayKeywords4  = []string{"items", "additionalItems", "minItems", "maxItems", "uniqueItems"}
	arrayKeywords6  = append(arrayKeywords4[:5:5], "contains")
	objectKeywords4 = []string{
		"properties", "required", "minProperties", "maxProperties", "dependencies", "patternProperties", "additionalProperties",
	}
	objectKeywords6 = append(objectKeywords4[:7:7], "propertyNames")
)

func (d draft) arrayKeywords() []string {
	if d == draft4 {
		return arrayKeywords4
	}
	return arrayKeywords6
}

func (d draft) objectKeywords() []string {
	if d == draft4 {
		return objectKeywords4
	}
	return objectKeywords6
}

// classicFormats are the formats that the registry's loader knows, by the first draft that has them.
// Others leave no trace in the rule.
var classicFormats = map[string]draft{
	"date-time": draft4, "uri": draft4, "email": draft4, "ipv4": draft4, "ipv6": draft4, "hostname": draft4,
	"json-pointer": draft6, "uri-reference": draft6, "uri-template": draft6,
	"date": draft7, "time": draft7, "regex": draft7, "relative-json-pointer": draft7,
}

func (d draft) knowsFormat(name string) bool {
	since, known := classicFormats[name]
	return known && d >= since
}

// metaschema stands for a schema of schemas that a text refers to: it is the same rule wherever it
// is named, and its content does not take part in a comparison.
func metaschema(document string) (*rule, bool) {
	_, known := draftURLs[bareURL(document)]
	if !known && !strings.HasPrefix(bareURL(document), "json-schema.org/draft/") {
		return nil, false
	}
	return &rule{kind: anything, title: &document}, true
}

// document is a referenced schema.
type document struct {
	name string
	tree *jsontree.Node
}

// mergeDefinitions makes the entries of a document's "definitions" available under "$defs" too, so
// that a reference finds them under either name.
func mergeDefinitions(root *jsontree.Node) *jsontree.Node {
	from := root.Get("definitions")
	if from == nil || from.Kind != jsontree.Object || len(from.Members) == 0 {
		return root
	}
	to := root.Get("$defs")
	if to != nil && to.Kind != jsontree.Object {
		return root
	}
	merged := &jsontree.Node{Kind: jsontree.Object}
	if to != nil {
		merged.Members = append(merged.Members, to.Members...)
	}
	known := make(map[string]bool, len(merged.Members))
	for _, m := range merged.Members {
		known[m.Name] = true
	}
	for _, m := range from.Members {
		if !known[m.Name] {
			merged.Members = append(merged.Members, m)
		}
	}
	c := *root
	c.Members = append([]jsontree.Member{}, root.Members...)
	for i := range c.Members {
		if c.Members[i].Name == "$defs" {
			c.Members[i].Value = merged
			return &c
		}
	}
	c.Members = append(c.Members, jsontree.Member{Name: "$defs", Value: merged})
	return &c
}

// budget bounds the loading of one schema: references may lead to the same text by many names.
type budget struct {
	rules, depth int
}

// Limits of one schema with everything it refers to.
const (
	maxRules     = 300_000
	maxRuleDepth = 1_500
)

var (
	errTooManyRules = errors.New("the schema with its references is too large")
	errTooDeep      = errors.New("the schema with its references is nested too deep")
)

func (b *budget) enter() error {
	b.rules++
	b.depth++
	if b.rules > maxRules {
		return errTooManyRules
	}
	if b.depth > maxRuleDepth {
		return errTooDeep
	}
	return nil
}

func (b *budget) leave() { b.depth-- }

const maxBrief = 200

func brief(n *jsontree.Node) string { return shorten(n.Print(jsontree.Decimals)) }

func shorten(s string) string {
	if len(s) > maxBrief {
		return strings.ToValidUTF8(s[:maxBrief], "") + "…"
	}
	return s
}
