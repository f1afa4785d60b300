package protobuf

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// Format is Protobuf: .proto texts and base64 FileDescriptorProtos.
type Format struct{}

// Type is PROTOBUF.
func (Format) Type() schema.Type { return schema.Protobuf }

// Parse checks a schema: its text, the texts it refers to, and that they link.
func (Format) Parse(source schema.Source) (schema.Schema, error) {
	s, err := parse(source)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Schema is a parsed Protobuf schema.
type Schema struct {
	tree  *file
	types *table
	files map[string]*file // of the dependencies, by import path
	order []string         // of the dependencies: each after those that it imports

	// linked builds the descriptors again when something first needs them: they take several times the
	// memory of the trees, and most schemas are only stored and compared.
	linked func() (*links, error)

	canonical, normalized string
}

// links are the descriptors of a schema and of all files that it imports.
type links struct {
	*linker
	desc protoreflect.FileDescriptor
}

// maxTextBytes bounds a schema with all of its dependencies.
const maxTextBytes = 8 * schema.MaxTextBytes

func parse(source schema.Source) (*Schema, error) {
	if len(source.Dependencies) > schema.MaxDependencies {
		return nil, fmt.Errorf("%w: more than %d references", schema.ErrInvalid, schema.MaxDependencies)
	}
	size := len(source.Text)
	for _, d := range source.Dependencies {
		if size += len(d.Text); size > maxTextBytes {
			return nil, fmt.Errorf("%w: the schema and its references have more than %d bytes", schema.ErrInvalid, maxTextBytes)
		}
	}
	s := &Schema{types: newTable(), files: make(map[string]*file, len(source.Dependencies))}
	var err error
	if s.tree, err = parseAny(source.Text); err != nil {
		return nil, err
	}
	for _, d := range source.Dependencies {
		f, err := parseAny(d.Text)
		if err != nil {
			return nil, fmt.Errorf("reference %q: %w", shorten(d.Name), err)
		}
		s.files[d.Name] = f
		s.order = append(s.order, d.Name)
	}
	s.declare()
	if _, err := s.link(); err != nil {
		return nil, err
	}
	s.linked = sync.OnceValues(s.link)
	if len(s.tree.types) == 0 && s.effective() == s.tree {
		return nil, fmt.Errorf("%w: the schema has no message and no enum", schema.ErrInvalid)
	}
	if s.canonical = canonicalText(s.tree); !utf8.ValidString(s.canonical) {
		return nil, fmt.Errorf("%w: a name or option in the descriptor is not UTF-8", schema.ErrInvalid)
	}
	s.normalized, err = guarded(func() string { return normalizedText(s.tree, s.types) })
	return s, err
}

// parseAny takes a text or, if it is none, a descriptor in base64. The error is that of the text.
func parseAny(text string) (*file, error) {
	f, err := parseText(text)
	if err == nil {
		return f, nil
	}
	if len(text) <= schema.MaxTextBytes {
		if f, err := parseBase64(text); err == nil {
			return f, nil
		}
	}
	return nil, err
}

// guarded turns a name that does not resolve into an error.
func guarded(f func() string) (text string, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case syntaxError:
			err = p.err
		default:
			panic(p)
		}
	}()
	return f(), nil
}

// declare fills the table of names, with all dependencies as the registry does.
func (s *Schema) declare() {
	seen := map[string]bool{}
	addImports(s.types, s.tree, builtins().trees, seen)
	for _, name := range s.order {
		addImports(s.types, s.files[name], builtins().trees, seen)
		s.types.add(name, s.files[name])
	}
	s.types.add("", s.tree)
}

// link builds the descriptors of the schema and of the dependencies that it imports.
func (s *Schema) link() (*links, error) {
	l := newLinker(s.types)
	imported := map[string]bool{}
	s.reach(s.tree, imported)
	for _, name := range s.order {
		if !imported[name] {
			continue
		}
		if _, err := l.link(name, name, s.files[name]); err != nil {
			return nil, fmt.Errorf("reference %q: %w", shorten(name), err)
		}
	}
	desc, err := l.link(defaultPath, "", s.tree)
	if err != nil {
		return nil, err
	}
	return &links{l, desc}, nil
}

// reach finds the dependencies that a file imports, directly or not.
func (s *Schema) reach(f *file, seen map[string]bool) {
	for _, list := range [][]string{f.imports, f.public, f.weak} {
		for _, path := range list {
			if next := s.files[path]; next != nil && !seen[path] {
				seen[path] = true
				s.reach(next, seen)
			}
		}
	}
}

// Type is PROTOBUF.
func (s *Schema) Type() schema.Type { return schema.Protobuf }

// Canonical is the registry's text: comments gone, declarations by kind.
func (s *Schema) Canonical() string { return s.canonical }

// Normalized is the canonical text with sorted fields and options and full names.
func (s *Schema) Normalized() string { return s.normalized }

// View knows "serialized" (a FileDescriptorProto in base64) and "ignore_extensions".
func (s *Schema) View(name string) (string, error) {
	switch strings.ToLower(name) {
	case "serialized":
		l, err := s.linked()
		if err != nil {
			return "", err
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(l.desc))
		if err != nil {
			return "", err
		}
		return base64.StdEncoding.EncodeToString(raw), nil
	case "ignore_extensions":
		return bareText(s.tree), nil
	}
	return s.canonical, nil
}

// Name is the full name of the first message, or of the first enum if there is none.
func (s *Schema) Name() string {
	f := s.effective()
	name := ""
	for _, t := range f.types {
		if t.message != nil {
			name = t.name()
			break
		}
		if name == "" {
			name = t.name()
		}
	}
	return qualifiedName(f.pkg, name)
}

// Fields are the names of the fields of all messages that are not nested; as in the registry, those of oneofs and
// groups are not among them.
func (s *Schema) Fields() []string {
	var names []string
	for _, t := range s.effective().types {
		if t.message == nil {
			continue
		}
		for _, f := range t.message.fields {
			names = append(names, f.name)
		}
	}
	return names
}

func qualifiedName(pkg, name string) string {
	if pkg == "" {
		return name
	}
	return pkg + "." + name
}

// effective is the tree whose messages the schema is about: its own, unless it is an empty file
// around a single public import.
func (s *Schema) effective() *file {
	f := s.tree
	if !s.wraps() {
		return f
	}
	leaf := s.files[f.public[0]]
	if leaf == nil {
		leaf = builtins().trees[f.public[0]]
	}
	if leaf == nil || len(leaf.types) == 0 {
		return f
	}
	return leaf
}

func (s *Schema) wraps() bool {
	f := s.tree
	return len(f.types)+len(f.imports)+len(f.services)+len(f.extends) == 0 && len(f.public) == 1
}

// message is the descriptor of a message by its path below the package.
func (s *Schema) message(names []string) (protoreflect.MessageDescriptor, *links, error) {
	l, err := s.linked()
	if err != nil {
		return nil, nil, err
	}
	d := l.desc
	if s.effective() != s.tree {
		if d, err = l.FindFileByPath(s.tree.public[0]); err != nil {
			return nil, nil, err
		}
	}
	messages := d.Messages()
	var m protoreflect.MessageDescriptor
	for _, n := range names {
		if m = messages.ByName(protoreflect.Name(n)); m == nil {
			return nil, nil, fmt.Errorf("%w: %s", record.ErrMessage, strings.Join(names, "."))
		}
		messages = m.Messages()
	}
	return m, l, nil
}
