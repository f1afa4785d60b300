package protobuf

import (
	"fmt"
	"slices"
	"strings"

	"kelp/internal/schema"
)

// The options of Confluent's that hold tags, and the member in them that does.
const (
	fieldMeta   = "confluent.field_meta"
	messageMeta = "confluent.message_meta"
	tagsMember  = "tags"
)

// Tagged is a message or a field of a text with tags. Its path has no package: "User.Address.zip".
type Tagged struct {
	Path   string
	Record bool
	Tags   []string
}

// FindTags lists the messages and fields of a text that have tags.
func FindTags(text string) ([]Tagged, error) {
	f, err := parseAny(text)
	if err != nil {
		return nil, err
	}
	var found []Tagged
	note := func(path string, record bool, options []*option) {
		name := fieldMeta
		if record {
			name = messageMeta
		}
		if tags := tagsIn(metaOf(options, name)); len(tags) > 0 {
			found = append(found, Tagged{path, record, tags})
		}
	}
	var visit func(types []typ, scope string)
	visit = func(types []typ, scope string) {
		for _, t := range types {
			m := t.message
			if m == nil {
				continue
			}
			path := scope + m.name
			note(path, true, m.options)
			for _, o := range m.oneofs {
				for _, each := range o.fields {
					note(path+"."+each.name, false, each.options)
				}
			}
			for _, each := range m.fields {
				note(path+"."+each.name, false, each.options)
			}
			visit(m.types, path+".")
		}
	}
	visit(f.types, "")
	return found, nil
}

// EditTags adds tags to the messages and fields of a text, then removes others, and gives the new canonical text. Each
// edited element has its tags in one option afterwards, whatever the spelling before. Errors wrap schema.ErrInvalid.
func EditTags(text string, add, remove []Tagged) (string, error) {
	f, err := parseAny(text)
	if err != nil {
		return "", err
	}
	for i, each := range slices.Concat(add, remove) {
		options, name, err := f.element(each)
		if err != nil {
			return "", err
		}
		meta := metaOf(*options, name)
		tags := tagsIn(meta)
		if i < len(add) {
			for _, tag := range each.Tags {
				if !slices.Contains(tags, tag) {
					tags = append(tags, tag)
				}
			}
		} else {
			tags = slices.DeleteFunc(tags, func(tag string) bool { return slices.Contains(each.Tags, tag) })
		}
		*options = withMeta(*options, name, withTags(meta, tags))
	}
	return guarded(func() string { return canonicalText(f) })
}

// element finds the options of what a path names: a message, a field of one, or one in a oneof, whose name the path may
// have before the field's.
func (f *file) element(e Tagged) (options *[]*option, meta string, err error) {
	names := strings.Split(strings.TrimPrefix(e.Path, "."), ".")
	types, last := f.types, len(names)-1
	if e.Record {
		last++
	}
	var m *message
	oneof := ""
	for i, name := range names[:last] {
		at := slices.IndexFunc(types, func(t typ) bool { return t.message != nil && t.message.name == name })
		switch {
		case at >= 0:
			m = types[at].message
			types = m.types
		case i == last-1 && m != nil && !e.Record:
			oneof = name
		default:
			return nil, "", fmt.Errorf("%w: No matching Message with name '%s' found in the schema", schema.ErrInvalid, name)
		}
	}
	if e.Record {
		return &m.options, messageMeta, nil
	}
	name := names[len(names)-1]
	if found := m.fieldAnywhere(oneof, name); found != nil {
		return &found.options, fieldMeta, nil
	}
	return nil, "", fmt.Errorf("%w: No matching Field with name '%s' found in the schema", schema.ErrInvalid, name)
}

// fieldAnywhere finds a field, in one oneof if that is named.
func (m *message) fieldAnywhere(oneof, name string) *field {
	if m == nil {
		return nil
	}
	if oneof == "" {
		return memberOf(m, name)
	}
	for _, o := range m.oneofs {
		if o.name == oneof {
			return memberOf(&message{fields: o.fields}, name)
		}
	}
	return nil
}

// metaOf merges what the options of that name set.
func metaOf(options []*option, name string) []pair {
	var all []pair
	for _, o := range options {
		if strings.TrimPrefix(o.name, ".") != name {
			continue
		}
		if v := asMap(o.value); v.kind == kindMap {
			all = (&printer{}).mergePairs(nil, all, v.pairs)
		}
	}
	return all
}

func tagsIn(meta []pair) []string {
	var tags []string
	for _, p := range meta {
		if p.key != tagsMember {
			continue
		}
		for _, v := range appendValue(nil, p.value) {
			if v.kind == kindString {
				tags = append(tags, v.text)
			}
		}
	}
	return tags
}

// withTags puts tags in the place of those before.
func withTags(meta []pair, tags []string) []pair {
	i := slices.IndexFunc(meta, func(p pair) bool { return p.key == tagsMember })
	if len(tags) == 0 {
		return slices.DeleteFunc(meta, func(p pair) bool { return p.key == tagsMember })
	}
	list := value{kind: kindList}
	for _, tag := range tags {
		list.list = append(list.list, value{kind: kindString, text: tag})
	}
	if i < 0 {
		return append(meta, pair{tagsMember, list})
	}
	meta[i].value = list
	return meta
}

// withMeta puts one option in the place of the first of that name, and drops the others.
func withMeta(options []*option, name string, meta []pair) []*option {
	var out []*option
	placed := len(meta) == 0
	for _, o := range options {
		switch {
		case strings.TrimPrefix(o.name, ".") != name:
			out = append(out, o)
		case !placed:
			placed = true
			out = append(out, &option{name: name, paren: true, value: value{kind: kindMap, pairs: meta}})
		}
	}
	if !placed {
		out = append(out, &option{name: name, paren: true, value: value{kind: kindMap, pairs: meta}})
	}
	return out
}
