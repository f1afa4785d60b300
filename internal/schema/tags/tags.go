// Package tags finds and edits the tags that schema texts carry at their records and fields: members called
// confluent:tags in Avro and JSON Schema, the options confluent.message_meta and confluent.field_meta in Protobuf.
//
// Entities are named by paths as the registry names them: an Avro field by its record's full name and its own
// ("org.acme.User.email"), a Protobuf field without the package ("User.email"), a JSON property by the way to it
// ("object.user.object.email").
//
// Invariant: the time of an edit is bounded by the size of the text times [maxEdits].
package tags

import (
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/protobuf"
)

const member = "confluent:tags"

// maxEntities bounds the records and fields of one text.
const maxEntities = 100_000

// maxEdits bounds the entities that one request changes: each is looked for in the text.
const maxEdits = 1000

// Kinds of entities.
const (
	Record = "sr_record"
	Field  = "sr_field"
)

// Entity is a record or a field of a text.
type Entity struct {
	Path string `json:"entityPath"`
	Type string `json:"entityType"`
}

// Tagged is an entity with tags.
type Tagged struct {
	Entity Entity   `json:"schemaEntity"`
	Tags   []string `json:"tags"`
}

// Find lists the entities that have one of the wanted tags; "*" wants all.
func Find(t schema.Type, text string, wanted []string) ([]Tagged, error) {
	all, err := tagged(t, text)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(e Tagged) bool {
		match := slices.Contains(wanted, "*") || slices.ContainsFunc(e.Tags, func(tag string) bool { return slices.Contains(wanted, tag) })
		return len(e.Tags) == 0 || !match
	}), nil
}

// tagged lists all entities with what tags they have.
func tagged(t schema.Type, text string) ([]Tagged, error) {
	var all []Tagged
	if t == schema.Protobuf {
		found, err := protobuf.FindTags(text)
		for _, e := range found {
			all = append(all, Tagged{entityOf(e), e.Tags})
		}
		return all, refused(t, err)
	}
	w, err := walk(t, text)
	if err != nil {
		return nil, err
	}
	for _, e := range w.entities {
		all = append(all, Tagged{e.Entity, tagsOf(e.node)})
	}
	return all, nil
}

func entityOf(e protobuf.Tagged) Entity {
	if e.Record {
		return Entity{e.Path, Record}
	}
	return Entity{e.Path, Field}
}

// refused puts what a format has against a text or a path in the registry's terms.
func refused(t schema.Type, err error) error {
	if err == nil {
		return nil
	}
	words := strings.TrimPrefix(err.Error(), schema.ErrInvalid.Error()+": ")
	if strings.HasPrefix(words, "No matching") {
		return schema.InvalidSchema("%s", words)
	}
	return schema.InvalidSchema("Invalid schema of type %s, details: %s", t, words)
}

func editProtobuf(text string, add, remove []Tagged) (string, error) {
	convert := func(list []Tagged) []protobuf.Tagged {
		var out []protobuf.Tagged
		for _, e := range list {
			out = append(out, protobuf.Tagged{Path: e.Entity.Path, Record: e.Entity.Type == Record, Tags: e.Tags})
		}
		return out
	}
	text, err := protobuf.EditTags(text, convert(add), convert(remove))
	return text, refused(schema.Protobuf, err)
}

// Edit adds tags to a text, then removes others, and gives the new text.
func Edit(t schema.Type, text string, add, remove []Tagged) (string, error) {
	if len(add)+len(remove) > maxEdits {
		return "", schema.InvalidSchema("tags of more than %d records and fields cannot be changed at a time", maxEdits)
	}
	if len(text) > schema.MaxTextBytes {
		return "", schema.TooLarge()
	}
	if t == schema.Protobuf {
		return editProtobuf(text, add, remove)
	}
	w, err := walk(t, text)
	if err != nil {
		return "", err
	}
	edit := func(list []Tagged, change func(have, tags []string) []string) error {
		for _, each := range list {
			e := w.find(t, each.Entity)
			if e == nil {
				return schema.InvalidSchema("No matching path '%s' found in the schema", each.Entity.Path)
			}
			set(e, change(tagsOf(e), each.Tags))
		}
		return nil
	}
	err = edit(add, func(have, tags []string) []string {
		for _, tag := range tags {
			if !slices.Contains(have, tag) {
				have = append(have, tag)
			}
		}
		return have
	})
	if err == nil {
		err = edit(remove, func(have, tags []string) []string {
			return slices.DeleteFunc(have, func(tag string) bool { return slices.Contains(tags, tag) })
		})
	}
	if err != nil {
		return "", err
	}
	style := jsontree.Doubles
	if t == schema.JSON {
		style = jsontree.Decimals
	}
	return w.root.Print(style), nil
}

func tagsOf(n *jsontree.Node) []string {
	var tags []string
	if list := n.Get(member); list != nil {
		for _, item := range list.Items {
			if item.Kind == jsontree.String {
				tags = append(tags, item.Text)
			}
		}
	}
	return tags
}

func set(n *jsontree.Node, tags []string) {
	i := slices.IndexFunc(n.Members, func(m jsontree.Member) bool { return m.Name == member })
	if len(tags) == 0 {
		if i >= 0 {
			n.Members = slices.Delete(n.Members, i, i+1)
		}
		return
	}
	list := &jsontree.Node{Kind: jsontree.Array}
	for _, tag := range tags {
		list.Items = append(list.Items, jsontree.NewString(tag))
	}
	if i < 0 {
		n.Members = append(n.Members, jsontree.Member{Name: member})
		i = len(n.Members) - 1
	}
	n.Members[i].Value = list
}

// walker collects the entities of a text.
type walker struct {
	root     *jsontree.Node
	entities []entity
}

type entity struct {
	Entity
	node *jsontree.Node
}

func walk(t schema.Type, text string) (*walker, error) {
	if len(text) > schema.MaxTextBytes {
		return nil, schema.TooLarge()
	}
	root, err := jsontree.Parse(text, jsontree.Options{MaxDepth: schema.MaxDepth, Comments: t == schema.Avro})
	if err != nil {
		return nil, schema.InvalidSchema("Invalid schema of type %s, details: %v", t, err)
	}
	w := &walker{root: root}
	if t == schema.Avro {
		w.avro(root, "")
	} else {
		w.json(root, "", false)
	}
	return w, nil
}

// find gives the object of an entity. An Avro path may leave the namespace out.
func (w *walker) find(t schema.Type, want Entity) *jsontree.Node {
	path := strings.TrimPrefix(want.Path, ".")
	for _, e := range w.entities {
		suffix := t == schema.Avro && strings.HasSuffix(e.Path, "."+path)
		if e.Type == want.Type && (e.Path == path || suffix) && e.node.Kind == jsontree.Object {
			return e.node
		}
	}
	return nil
}

func (w *walker) add(path, kind string, n *jsontree.Node) bool {
	if len(w.entities) >= maxEntities {
		return false
	}
	w.entities = append(w.entities, entity{Entity{path, kind}, n})
	return true
}

func (w *walker) avro(n *jsontree.Node, namespace string) {
	for _, branch := range n.Items {
		w.avro(branch, namespace)
	}
	if n.Kind != jsontree.Object {
		return
	}
	if own, ok := n.StringAt("namespace"); ok {
		namespace = own
	}
	kind, _ := n.StringAt("type")
	switch kind {
	case "record", "error":
		name, _ := n.StringAt("name")
		if !strings.Contains(name, ".") && namespace != "" {
			name = namespace + "." + name
		} else if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
			namespace = name[:dot]
		}
		if fields := n.Get("fields"); fields != nil && w.add(name, Record, n) {
			for _, f := range fields.Items {
				field, _ := f.StringAt("name")
				if t := f.Get("type"); t != nil && w.add(name+"."+field, Field, f) {
					w.avro(t, namespace)
				}
			}
		}
	case "array":
		w.child(n, "items", namespace)
	case "map":
		w.child(n, "values", namespace)
	default:
		w.child(n, "type", namespace)
	}
}

func (w *walker) child(n *jsontree.Node, name, namespace string) {
	if c := n.Get(name); c != nil {
		w.avro(c, namespace)
	}
}

func (w *walker) json(n *jsontree.Node, scope string, inField bool) {
	if n == nil || n.Kind != jsontree.Object {
		return
	}
	for _, criterion := range []string{"allOf", "anyOf", "oneOf"} {
		if list := n.Get(criterion); list != nil {
			for i, branch := range list.Items {
				w.json(branch, scope+strings.ToLower(criterion)+"."+strconv.Itoa(i)+".", false)
			}
		}
	}
	for _, condition := range []string{"if", "then", "else"} {
		w.json(n.Get(condition), scope+"conditional."+condition+".", false)
	}
	w.json(n.Get("not"), scope+"not.", false)
	w.json(n.Get("items"), scope+"array.", false)
	properties := n.Get("properties")
	kind, _ := n.StringAt("type")
	path := scope + "object"
	if properties == nil && kind != "object" {
		w.definitions(n, path)
		return
	}
	if !inField && !w.add(path, Record, n) {
		return
	}
	if properties != nil {
		for _, p := range properties.Members {
			if !w.add(path+"."+p.Name, Field, p.Value) {
				return
			}
			w.json(p.Value, path+"."+p.Name+".", true)
		}
	}
	w.definitions(n, path)
}

func (w *walker) definitions(n *jsontree.Node, path string) {
	for _, group := range []string{"definitions", "$defs"} {
		if list := n.Get(group); list != nil {
			for _, d := range list.Members {
				w.json(d.Value, path+"."+group+"."+d.Name+".", false)
			}
		}
	}
}
