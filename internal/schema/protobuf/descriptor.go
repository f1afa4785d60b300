package protobuf

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"kelp/internal/schema"
)

// defaultPath is the registry's name for a schema's own file.
const defaultPath = "default"

// linker builds descriptors from trees. It is as lenient as the registry: imports that are not
// there are left out (if something of theirs is used, its name does not resolve), and options that
// need a definition elsewhere are dropped.
type linker struct {
	types *table
	files *protoregistry.Files // linked so far
	base  *protoregistry.Files // built in
	ext   *protoregistry.Types // extensions that options may use
}

func newLinker(types *table) *linker {
	b := builtins()
	return &linker{types: types, files: &protoregistry.Files{}, base: b.files, ext: b.types}
}

// link makes and checks the descriptor of a file whose imports are linked.
func (l *linker) link(path string, f *file) (protoreflect.FileDescriptor, error) {
	fd, err := l.descriptor(path, f)
	if err != nil {
		return nil, err
	}
	d, err := protodesc.NewFile(fd, l)
	if err == nil {
		err = l.files.RegisterFile(d)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", schema.ErrInvalid, shorten(strings.TrimPrefix(err.Error(), "proto: ")))
	}
	return d, nil
}

// FindFileByPath makes the linker a protodesc.Resolver: files that were linked, then built-in ones.
func (l *linker) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if d, err := l.files.FindFileByPath(path); err == nil {
		return d, nil
	}
	return l.base.FindFileByPath(path)
}

// FindDescriptorByName looks where FindFileByPath looks.
func (l *linker) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := l.files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return l.base.FindDescriptorByName(name)
}

// descriptor builds a file's descriptor, type names resolved.
func (l *linker) descriptor(path string, f *file) (fd *descriptorpb.FileDescriptorProto, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case syntaxError:
			fd, err = nil, p.err
		default:
			panic(p)
		}
	}()
	b := &descriptorBuilder{file: f, scope: newScope(l.types, f.pkg), ext: l.ext}
	fd = &descriptorpb.FileDescriptorProto{Name: proto.String(path)}
	if f.pkg != "" {
		fd.Package = proto.String(f.pkg)
	}
	switch {
	case f.edition != "":
		fd.Syntax = proto.String("editions")
		fd.Edition = descriptorpb.Edition(descriptorpb.Edition_value["EDITION_"+f.edition]).Enum()
	case f.syntax != "":
		fd.Syntax = proto.String(f.syntax)
	}
	l.imports(fd, f)
	fd.MessageType, fd.EnumType = b.types(f.types)
	fd.Extension, fd.MessageType = b.extends(f.extends, fd.MessageType)
	for _, s := range f.services {
		fd.Service = append(fd.Service, b.service(s))
	}
	fd.Options = &descriptorpb.FileOptions{}
	if !b.setOptions(fd.Options, f.options) {
		fd.Options = nil
	}
	return fd, nil
}

func (l *linker) imports(fd *descriptorpb.FileDescriptorProto, f *file) {
	seen := map[string]bool{}
	add := func(paths []string, index *[]int32) {
		for _, path := range paths {
			if _, err := l.FindFileByPath(path); err != nil || seen[path] {
				continue
			}
			seen[path] = true
			if index != nil {
				*index = append(*index, int32(len(fd.Dependency)))
			}
			fd.Dependency = append(fd.Dependency, path)
		}
	}
	add(f.imports, nil)
	add(f.public, &fd.PublicDependency)
	add(f.weak, &fd.WeakDependency)
}
