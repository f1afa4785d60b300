// Package avro is the registry's Avro format: it parses and prints schema texts byte for byte as
// Confluent's registry does, says which changes break which readers, and decodes and encodes
// payloads.
//
// A text becomes a graph of nodes ([Schema]). The rules are those of Apache Avro for Java 1.12,
// because its behaviour is what every registry user has been living with: what it refuses, what
// it ignores, and the order in which it finds differences.
//
// Invariants: nothing is read from outside the given texts; recursion is bounded by
// schema.MaxDepth; a Schema never changes after Parse.
package avro

import (
	"fmt"

	"kelp/internal/schema"
)

// Format parses Avro schemas.
type Format struct{}

// Type of the format.
func (Format) Type() schema.Type { return schema.Avro }

// Parse checks a text and the texts that it refers to.
func (Format) Parse(source schema.Source) (schema.Schema, error) { return Parse(source) }

// Schema is a parsed Avro schema.
type Schema struct {
	root       *node
	known      []string // full names that dependencies define: named, not repeated, in the canonical text
	canonical  string
	normalized string
	resolved   string
}

// Parse checks a text and the texts that it refers to. Errors wrap schema.ErrInvalid.
func Parse(source schema.Source) (*Schema, error) {
	if len(source.Text) > schema.MaxTextBytes {
		return nil, fmt.Errorf("%w: the text has more than %d bytes", schema.ErrInvalid, schema.MaxTextBytes)
	}
	if len(source.Dependencies) > schema.MaxDependencies {
		return nil, fmt.Errorf("%w: more than %d references", schema.ErrInvalid, schema.MaxDependencies)
	}
	p := newParser()
	p.stored = source.Stored
	s := &Schema{}
	for _, d := range source.Dependencies {
		n, err := p.parse(d.Text)
		if err != nil {
			return nil, fmt.Errorf("%w: reference %q: %w", schema.ErrInvalid, d.Name, err)
		}
		s.known = append(s.known, n.fullName())
	}
	root, err := p.parse(source.Text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", schema.ErrInvalid, err)
	}
	s.root = root
	measure(root)
	if s.resolved, err = render(root, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", schema.ErrInvalid, err)
	}
	if s.canonical, err = render(root, s.known); err != nil {
		return nil, fmt.Errorf("%w: %w", schema.ErrInvalid, err)
	}
	if s.normalized, err = render(normalize(root), s.known); err != nil {
		return nil, fmt.Errorf("%w: %w", schema.ErrInvalid, err)
	}
	return s, nil
}

// Type of the schema.
func (s *Schema) Type() schema.Type { return schema.Avro }

// Canonical is the text that the registry keeps.
func (s *Schema) Canonical() string { return s.canonical }

// Normalized is the text under normalize=true.
func (s *Schema) Normalized() string { return s.normalized }

// View is the text under a format name: "resolved" has every referenced type in place.
func (s *Schema) View(name string) (string, error) {
	if name == "resolved" || name == "RESOLVED" {
		return s.resolved, nil
	}
	return s.canonical, nil
}

// Name is the full name of a record, empty for any other type.
func (s *Schema) Name() string {
	if s.root.kind == recordKind {
		return s.root.name.full()
	}
	return ""
}

// Fields are the names of the record's fields, none for any other type.
func (s *Schema) Fields() []string {
	var names []string
	for _, f := range s.root.fields {
		names = append(names, f.name)
	}
	return names
}
