package tags

import (
	"fmt"
	"testing"

	"kelp/internal/schema"
)

func TestEdit(t *testing.T) {
	f := func(kind schema.Type, text, path, entity string, add, remove []string, want string) {
		t.Helper()
		e := Entity{path, entity}
		var adds, removes []Tagged
		if add != nil {
			adds = []Tagged{{e, add}}
		}
		if remove != nil {
			removes = []Tagged{{e, remove}}
		}
		got, err := Edit(kind, text, adds, removes)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	record := `{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":["null",` +
		`{"type":"record","name":"S","fields":[{"name":"y","type":"int"}]}]}]}`
	f(schema.Avro, record, "a.R.x", Field, []string{"PII"}, nil,
		`{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":["null",{"type":"record","name":"S",`+
			`"fields":[{"name":"y","type":"int"}]}],"confluent:tags":["PII"]}]}`)
	f(schema.Avro, record, "S.y", Field, []string{"A", "A", "B"}, []string{"B"},
		`{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":["null",{"type":"record","name":"S",`+
			`"fields":[{"name":"y","type":"int","confluent:tags":["A"]}]}]}]}`)
	f(schema.Avro, record, "a.R.z", Field, []string{"A"}, nil, "No matching path 'a.R.z' found in the schema")
	f(schema.JSON, `{"type":"object","properties":{"p":{"type":"array",`+
		`"items":{"type":"object","properties":{"q":{"confluent:tags":["A"]}}}}}}`,
		"object.p.array.object.q", Field, nil, []string{"A"},
		`{"type":"object","properties":{"p":{"type":"array","items":{"type":"object","properties":{"q":{}}}}}}`)
	f(schema.Protobuf, "", "M.x", Field, []string{"A"}, nil,
		"tags of PROTOBUF schemas are options of their fields and cannot be changed here; edit the text")
	f(schema.Avro, "{", "M.x", Field, []string{"A"}, nil, "Invalid schema of type AVRO, details: "+
		"JSON at byte 1: expected the name of a member")
}

func TestFind(t *testing.T) {
	text := `{"type":"object","confluent:tags":["T"],"anyOf":[{"properties":{"a":{"confluent:tags":["U","V"]}}}]}`
	found, err := Find(schema.JSON, text, []string{"*"})
	got := fmt.Sprint(found, err)
	if want := "[{{anyof.0.object.a sr_field} [U V]} {{object sr_record} [T]}] <nil>"; got != want {
		t.Errorf("got %s", got)
	}
}
