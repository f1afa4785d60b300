// Package schema is the core of the schema registry: what a schema is, how formats plug in, and
// (in its further files) subjects, versions, ids, compatibility levels and their durable records.
//
// A [Format] turns text into a [Schema]; everything else here works on that interface, so that
// Avro, Protobuf and JSON Schema are one folder each and know nothing of subjects or HTTP.
//
// Invariants: the format of a text comes from the registered type, never from a guess. Parsing
// and comparing are pure, bounded in time and memory, and safe for hostile input.
package schema

import (
	"errors"
	"strings"
)

// Type is a schema type in the registry's words.
type Type string

// The types of the registry; an absent type means Avro.
const (
	Avro     Type = "AVRO"
	Protobuf Type = "PROTOBUF"
	JSON     Type = "JSON"
)

// Limits of a schema text, for every format.
const (
	MaxTextBytes    = 1 << 20 // of one text; more is "schema too large"
	MaxDepth        = 200     // of nesting in a text
	MaxDependencies = 1000    // texts that one schema reaches through references
)

// ErrInvalid is wrapped by every error that is the fault of a schema's text or references. Its
// message is fit for the person who wrote the schema.
var ErrInvalid = errors.New("invalid schema")

// Dependency is a referenced schema in the form that formats need: the name that the text uses for
// it (an Avro full name, a Protobuf import path, a JSON Schema URI) and its text.
type Dependency struct {
	Name string
	Text string
}

// Source is a schema text with everything it reaches through references, each dependency after
// those that it needs itself.
type Source struct {
	Text         string
	Dependencies []Dependency
	// Stored says that the text is registered already, maybe long ago: what earlier registries took is taken, such as
	// defaults in Avro that do not fit their type.
	Stored bool
}

// Format parses the texts of one schema type.
type Format interface {
	Type() Type
	// Parse checks a text and its dependencies. Errors wrap ErrInvalid.
	Parse(Source) (Schema, error)
}

// Schema is a parsed schema. It is immutable and safe for concurrent use.
type Schema interface {
	Type() Type
	// Canonical is the text that the registry stores and returns when nothing else is asked for.
	Canonical() string
	// Normalized is the text under normalize=true.
	Normalized() string
	// View is the text under format=name ("resolved", "serialized", "ignore_extensions", "" for
	// the canonical one); an unknown name gives the canonical text.
	View(name string) (string, error)
	// Name is the full name that RecordNameStrategy uses, empty when the schema has none.
	Name() string
	// Fields are the names at the top of what the schema describes: of the record, of all the messages that are not
	// nested, of the object's properties.
	Fields() []string
	// ReadsFrom lists what keeps this schema from reading everything that writer wrote, in the
	// registry's order; writer has the same Type. Warnings are among them.
	ReadsFrom(writer Schema, o CompareOptions) []Difference
}

// CompareOptions belong to the config of a subject, except OlderReader.
type CompareOptions struct {
	Lenient bool // compatibilityPolicy LENIENT (JSON Schema)
	// OlderReader says that the reader's schema is the older one. It changes no verdict, only which
	// warnings make sense: what was removed in one direction was added in the other.
	OlderReader bool
}

// Difference is one change between a reader's and a writer's schema.
type Difference struct {
	// Type is Confluent's name of the difference, such as READER_FIELD_MISSING_DEFAULT_VALUE; our
	// own name for a warning.
	Type string
	// Path is where, in the registry's form for the format; empty where it gives none.
	Path string
	// Warning marks a change that the registry lets pass although data or programs break.
	Warning bool
	// Message is the registry's sentence for it, with two %s for the words that name the reader's
	// and the writer's schema: see Sentence.
	Message string
	// Reader and Writer are the two sides at Path, shortened for people.
	Reader, Writer string
	// Why says what happens to whom: the reader that meets the writer's data.
	Why string
	// Advice is a concrete change that would do instead.
	Advice string
}

// Sentence is the message in the registry's words: the reader's schema is "new" under BACKWARD and
// "old" under FORWARD.
func (d Difference) Sentence(reader, writer string) string {
	if strings.Count(d.Message, "%s") != 2 {
		return d.Message
	}
	return strings.Replace(strings.Replace(d.Message, "%s", reader, 1), "%s", writer, 1)
}
