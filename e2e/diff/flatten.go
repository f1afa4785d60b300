package diff

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// own are fields that are each server's own: only whether they are set is compared.
var own = map[string]bool{
	"Host": true, "Port": true, "ClusterID": true, "TopicID": true, "MemberID": true, "LeaderID": true,
	"ProducerID": true, "LogAppendTime": true, "ErrorMessage": true, "LogDir": true, "Dir": true, "Size": true, "TotalBytes": true,
	"UsableBytes": true, "Coordinator": true, "FinalizedFeaturesEpoch": true, "LeaderEpoch": true, "SessionID": true,
	"LastTimestamp": true, "StartTimestamp": true, "CurrentLeader": true, "Controller": true, "ClusterAuthorizedOperations": true,
}

// flatten turns an answer into path -> value. List elements are named by what identifies them, not by their place.
func flatten(resp kmsg.Response) map[string]string {
	out := map[string]string{}
	walk(reflect.ValueOf(resp).Elem(), "", out)
	return out
}

func walk(v reflect.Value, path string, out map[string]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			out[path] = "null"
			return
		}
		walk(v.Elem(), path, out)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch {
			case !field.IsExported() || field.Name == "Version" || field.Name == "ThrottleMillis" || field.Type == reflect.TypeFor[kmsg.Tags]():
			case own[field.Name] && field.Type.Kind() != reflect.Struct && field.Type.Kind() != reflect.Slice:
				out[path+"."+field.Name] = presence(v.Field(i))
			default:
				walk(v.Field(i), path+"."+field.Name, out)
			}
		}
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			out[path] = fmt.Sprintf("%x", b)
			return
		}
		v = withoutOwnConfigs(v)
		out[path] = fmt.Sprintf("%d elements", v.Len())
		if v.IsNil() {
			out[path] = "null"
		}
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%s]", path, identity(v.Index(i), i)), out)
		}
	default:
		out[path] = fmt.Sprint(v.Interface())
	}
}

// ownConfigs begin the names of configs that Apache Kafka does not have, of which the second are Confluent's: they are shown
// besides Kafka's and not compared.
var ownConfigs = []string{"kelp.", "confluent."}

// withoutOwnConfigs leaves them out of a list of configs.
func withoutOwnConfigs(list reflect.Value) reflect.Value {
	kept := reflect.MakeSlice(list.Type(), 0, list.Len())
	if list.IsNil() || list.Type().Elem().Kind() != reflect.Struct {
		return list
	}
	for i := range list.Len() {
		name := list.Index(i).FieldByName("Name")
		if !name.IsValid() || name.Kind() != reflect.String || !isOwnConfig(name.String()) {
			kept = reflect.Append(kept, list.Index(i))
		}
	}
	return kept
}

func isOwnConfig(name string) bool {
	return slices.ContainsFunc(ownConfigs, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func presence(v reflect.Value) string {
	switch {
	case v.IsZero():
		return "zero"
	case v.CanInt() && v.Int() < 0:
		return fmt.Sprint(v.Int())
	}
	return "set"
}

func identity(v reflect.Value, i int) string {
	if v.Kind() != reflect.Struct {
		return fmt.Sprint(i)
	}
	if id := v.FieldByName("MemberID"); id.IsValid() && id.Kind() == reflect.String && len(id.String()) == 1 {
		return id.String() // the script chose it
	}
	for _, name := range []string{"Topic", "Partition", "Name", "ApiKey", "ResourceName", "Group", "NodeID", "TransactionalID"} {
		f := v.FieldByName(name)
		if f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.IsValid() && f.Kind() != reflect.Pointer && f.Kind() != reflect.Slice {
			return fmt.Sprint(f.Interface())
		}
	}
	return fmt.Sprint(i)
}
