package group

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// show writes what a message says: its fields that are not at their zero value.
func show(all Topics, message any) string {
	return showField(all, "", reflect.Indirect(reflect.ValueOf(message)))
}

func showField(all Topics, name string, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []byte:
		return showBytes(name, x)
	case [16]byte:
		if t, ok := all.ByID(x); ok {
			return t.Name
		}
		return fmt.Sprintf("%x", x)
	case int16:
		if strings.HasSuffix(name, "ErrorCode") {
			return errorName(x)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return showField(all, name, v.Elem())
	case reflect.Slice:
		var each []string
		for i := range v.Len() {
			each = append(each, showField(all, name, v.Index(i)))
		}
		return "[" + strings.Join(each, " ") + "]"
	case reflect.Struct:
		var fields []string
		for i := range v.NumField() {
			f, of := v.Type().Field(i), v.Field(i)
			skip := f.Name == "Version" || f.Name == "UnknownTags" || f.Name == "AuthorizedOperations"
			if skip || of.IsZero() || of.Kind() == reflect.Slice && of.Len() == 0 {
				continue
			}
			fields = append(fields, f.Name+"="+showField(all, f.Name, of))
		}
		return "{" + strings.Join(fields, " ") + "}"
	default:
		return fmt.Sprint(v.Interface())
	}
}

func showBytes(name string, b []byte) string {
	switch name {
	case "MemberAssignment", "Assignment":
		a := kmsg.NewConsumerMemberAssignment()
		if len(b) == 0 || a.ReadFrom(b) != nil {
			break
		}
		of := []string{}
		for _, t := range a.Topics {
			of = append(of, fmt.Sprintf("%s:%s", t.Topic, strings.Join(strings.Fields(strings.Trim(fmt.Sprint(t.Partitions), "[]")), ",")))
		}
		return "<" + strings.Join(of, ";") + ">"
	case "ProtocolMetadata", "Subscription":
		m := kmsg.NewConsumerMemberMetadata()
		if m.ReadFrom(b) == nil && len(m.Topics) > 0 {
			return "<" + strings.Join(m.Topics, ",") + ">"
		}
	}
	return fmt.Sprintf("%q", b)
}

// testTopics is a cluster that is never changed but replaced.
type testTopics struct{ byName map[string]Topic }

// with gives these topics their numbers of partitions; 0 takes one away.
func (t *testTopics) with(counts map[string]string) *testTopics {
	next := &testTopics{byName: maps.Clone(t.byName)}
	if next.byName == nil {
		next.byName = map[string]Topic{}
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		n := number(counts[name])
		if n == 0 {
			delete(next.byName, name)
			continue
		}
		topic := next.byName[name]
		if topic.Partitions == 0 {
			copy(topic.ID[:], name)
			topic.ID[15] = 1
			topic.Name = name
		}
		topic.Partitions = n
		next.byName[name] = topic
	}
	return next
}

func (t *testTopics) ByName(name string) (Topic, bool) {
	topic, ok := t.byName[name]
	return topic, ok
}

func (t *testTopics) ByID(id [16]byte) (Topic, bool) {
	for _, topic := range t.byName {
		if topic.ID == id {
			return topic, true
		}
	}
	return Topic{}, false
}

func (t *testTopics) Names() iter.Seq[string] { return maps.Keys(t.byName) }
