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
// there are left out (if something of theirs is used, its name does not resolve), options that need
// a definition elsewhere are dropped, and proto3 may use enums of proto2.
type linker struct {
	types *table
	files map[string]protoreflect.FileDescriptor
	names map[protoreflect.FullName]protoreflect.Descriptor // of all linked files
	base  *protoregistry.Files                              // built in
	ext   *protoregistry.Types                              // extensions that options may use

	visible map[string]bool // files that the one being linked sees
	open    bool            // the one being linked has only open enums
}

func newLinker(types *table) *linker {
	b := builtins()
	l := emptyLinker(types)
	l.base, l.ext = b.files, b.types
	return l
}

func emptyLinker(types *table) *linker {
	return &linker{
		types: types, files: map[string]protoreflect.FileDescriptor{},
		names: map[protoreflect.FullName]protoreflect.Descriptor{},
	}
}

// link makes and checks the descriptor of a file whose imports are linked. self is its name in the
// table.
func (l *linker) link(path, self string, f *file) (protoreflect.FileDescriptor, error) {
	l.visible, l.open = map[string]bool{self: true}, f.proto3()
	for _, list := range [][]string{f.imports, f.public, f.weak} {
		for _, each := range list {
			l.see(each)
		}
	}
	fd, err := l.descriptor(path, f)
	if err != nil {
		return nil, err
	}
	d, err := protodesc.NewFile(fd, l)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", schema.ErrInvalid, shorten(strings.TrimPrefix(err.Error(), "proto: ")))
	}
	l.files[path] = d
	return d, l.register(d.Messages(), d.Enums())
}

// see makes a file visible, with what it imports publicly.
func (l *linker) see(path string) {
	d, err := l.FindFileByPath(path)
	if err != nil || l.visible[path] {
		return
	}
	l.visible[path] = true
	for i := range d.Imports().Len() {
		if each := d.Imports().Get(i); each.IsPublic {
			l.see(each.Path())
		}
	}
}

// register enters a file's types. Of the files that a schema imports, no two may have the same
// message or the same enum.
func (l *linker) register(messages protoreflect.MessageDescriptors, enums protoreflect.EnumDescriptors) error {
	add := func(d protoreflect.Descriptor) error {
		other := l.names[d.FullName()]
		_, wasEnum := other.(protoreflect.EnumDescriptor)
		if _, isEnum := d.(protoreflect.EnumDescriptor); other != nil && isEnum == wasEnum {
			return fmt.Errorf("%w: duplicate name: %s", schema.ErrInvalid, d.FullName())
		}
		l.names[d.FullName()] = d
		return nil
	}
	for i := range messages.Len() {
		m := messages.Get(i)
		if err := add(m); err != nil {
			return err
		}
		if err := l.register(m.Messages(), m.Enums()); err != nil {
			return err
		}
	}
	for i := range enums.Len() {
		if err := add(enums.Get(i)); err != nil {
			return err
		}
	}
	return nil
}

// FindFileByPath makes the linker a protodesc.Resolver: files that were linked, then built-in ones.
func (l *linker) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if d := l.files[path]; d != nil {
		return d, nil
	}
	return l.base.FindFileByPath(path)
}

// FindDescriptorByName looks in the files that the one being linked sees.
func (l *linker) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d := l.names[name]; d != nil && l.visible[d.ParentFile().Path()] {
		return l.opened(d), nil
	}
	d, err := l.base.FindDescriptorByName(name)
	if err != nil || !l.visible[d.ParentFile().Path()] {
		return nil, protoregistry.NotFound
	}
	return l.opened(d), nil
}

// message finds any linked or built-in message.
func (l *linker) message(name protoreflect.FullName) protoreflect.MessageDescriptor {
	if m, ok := l.names[name].(protoreflect.MessageDescriptor); ok {
		return m
	}
	d, _ := l.base.FindDescriptorByName(name)
	m, _ := d.(protoreflect.MessageDescriptor)
	return m
}

// opened shows the enums of a proto2 file as open ones to a proto3 file, which may not use others in
// Go's eyes; the registry and Java take them.
func (l *linker) opened(d protoreflect.Descriptor) protoreflect.Descriptor {
	if e, ok := d.(protoreflect.EnumDescriptor); ok && l.open {
		return openEnum{e}
	}
	return d
}

type openEnum struct{ protoreflect.EnumDescriptor }

// IsClosed is false.
func (openEnum) IsClosed() bool { return false }

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
	b.scope.visible = l.visible
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
