// Package jsonschema is the registry's JSON Schema format, drafts 4 to 2020-12: it parses and prints
// schema texts byte for byte as Confluent's registry does, says which changes break which readers,
// and decodes, validates and encodes documents.
//
// A text is read twice. For comparing it becomes a graph of rules ([Schema] holds its root), made
// as the registry makes it, with what that loses: the verdicts users live with come from there.
// For validating it is compiled by a library that follows the drafts.
//
// Invariants: nothing is read from outside the given texts, no network and no file; regular
// expressions run in linear time; loading and comparing have named limits; a Schema never changes
// after Parse.
package jsonschema

import (
	"errors"
	"fmt"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
)

// Format parses JSON Schemas.
type Format struct{}

// Type of the format.
func (Format) Type() schema.Type { return schema.JSON }

// Parse checks a text and the texts that it refers to.
func (Format) Parse(source schema.Source) (schema.Schema, error) { return Parse(source) }

// Schema is a parsed JSON Schema.
type Schema struct {
	root       *rule
	draft      draft
	tree       *jsontree.Node
	documents  []document
	canonical  string
	normalized string
}

// Parse checks a text and the texts that it refers to. Errors wrap schema.ErrInvalid.
func Parse(source schema.Source) (*Schema, error) {
	s, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", schema.ErrInvalid, err)
	}
	return s, nil
}

func parse(source schema.Source) (*Schema, error) {
	if len(source.Text) > schema.MaxTextBytes {
		return nil, fmt.Errorf("the text has more than %d bytes", schema.MaxTextBytes)
	}
	if len(source.Dependencies) > schema.MaxDependencies {
		return nil, fmt.Errorf("more than %d references", schema.MaxDependencies)
	}
	options := jsontree.Options{MaxDepth: schema.MaxDepth}
	tree, err := jsontree.Parse(source.Text, options)
	if err != nil {
		return nil, err
	}
	s := &Schema{tree: tree, draft: draftOf(tree), canonical: tree.Print(jsontree.Decimals)}
	s.normalized = tree.Sorted().Print(jsontree.Decimals)
	for _, d := range source.Dependencies {
		t, err := jsontree.Parse(d.Text, options)
		if err != nil {
			return nil, fmt.Errorf("reference %q: %w", d.Name, err)
		}
		s.documents = append(s.documents, document{d.Name, t})
	}
	if tree.Kind != jsontree.Object && tree.Kind != jsontree.Bool {
		return nil, errors.New("expected an object or a boolean at the root, found " + brief(tree))
	}
	s.root, err = s.load()
	return s, err
}

func (s *Schema) load() (*rule, error) {
	b := &budget{}
	if !s.draft.modern() || s.tree.Kind == jsontree.Bool {
		return loadClassic(s.tree, s.draft, s.documents, b)
	}
	c, err := loadModern(s.tree, s.documents, b)
	if err != nil {
		return nil, err
	}
	return translate(c, &budget{})
}

// Type of the schema.
func (s *Schema) Type() schema.Type { return schema.JSON }

// Canonical is the text that the registry keeps.
func (s *Schema) Canonical() string { return s.canonical }

// Normalized is the text under normalize=true: members in order of their names.
func (s *Schema) Normalized() string { return s.normalized }

// View is the canonical text: the registry knows no other view of this format.
func (s *Schema) View(string) (string, error) { return s.canonical, nil }

// Name is the title, which RecordNameStrategy uses.
func (s *Schema) Name() string {
	name, _ := s.tree.StringAt("title")
	return name
}

// Fields are the names of the properties at the root.
func (s *Schema) Fields() []string {
	var names []string
	if properties := s.tree.Get("properties"); properties != nil {
		for _, m := range properties.Members {
			names = append(names, m.Name)
		}
	}
	return names
}
