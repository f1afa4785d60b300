package protobuf

import (
	"embed"
	"io/fs"
	"sync"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Imports that need no reference: protobuf's own come with the Go module, google/type and
// Confluent's are restated in builtin/ (names, numbers and types; nobody's text).
//
//go:embed builtin
var builtinTexts embed.FS

type builtinSet struct {
	trees map[string]*file
	files *protoregistry.Files
	types *protoregistry.Types // of the extensions in Confluent's meta.proto
}

// builtins are made on first use: a process without Protobuf schemas does not pay for them.
var builtins = sync.OnceValue(func() *builtinSet {
	s := &builtinSet{trees: map[string]*file{}, files: &protoregistry.Files{}, types: &protoregistry.Types{}}
	for _, d := range []protoreflect.FileDescriptor{
		descriptorpb.File_google_protobuf_descriptor_proto, anypb.File_google_protobuf_any_proto,
		sourcecontextpb.File_google_protobuf_source_context_proto, typepb.File_google_protobuf_type_proto,
		apipb.File_google_protobuf_api_proto, durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto, fieldmaskpb.File_google_protobuf_field_mask_proto,
		structpb.File_google_protobuf_struct_proto, timestamppb.File_google_protobuf_timestamp_proto,
		wrapperspb.File_google_protobuf_wrappers_proto,
	} {
		tree, err := fromDescriptor(protodesc.ToFileDescriptorProto(d))
		s.must(err)
		s.trees[d.Path()] = tree
		s.must(s.files.RegisterFile(d))
	}
	// Files in the order of their paths: none imports a later one.
	s.must(fs.WalkDir(builtinTexts, "builtin", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := builtinTexts.ReadFile(path)
		s.must(err)
		return s.add(path[len("builtin/"):], string(text))
	}))
	meta, err := s.files.FindFileByPath("confluent/meta.proto")
	s.must(err)
	for i := range meta.Extensions().Len() {
		s.must(s.types.RegisterExtension(dynamicpb.NewExtensionType(meta.Extensions().Get(i))))
	}
	return s
})

func (s *builtinSet) must(err error) {
	if err != nil {
		panic(err) // our own files do not parse: a test finds that
	}
}

func (s *builtinSet) add(path, text string) error {
	f, err := parseText(text)
	if err != nil {
		return err
	}
	s.trees[path] = f
	t := newTable()
	addImports(t, f, s.trees, map[string]bool{})
	t.add(path, f)
	l := emptyLinker(t)
	l.base, l.ext = s.files, s.types
	d, err := l.link(path, path, f)
	if err != nil {
		return err
	}
	return s.files.RegisterFile(d)
}

// addImports enters the files that f reaches through imports.
func addImports(t *table, f *file, trees map[string]*file, seen map[string]bool) {
	for _, list := range [][]string{f.imports, f.public, f.weak} {
		for _, path := range list {
			if tree := trees[path]; tree != nil && !seen[path] {
				seen[path] = true
				addImports(t, tree, trees, seen)
				t.add(path, tree)
			}
		}
	}
}
