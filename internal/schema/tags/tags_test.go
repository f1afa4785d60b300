package tags

import (
	"fmt"
	"strings"
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

// TestEditProtobuf compares without white space.
func TestEditProtobuf(t *testing.T) {
	f := func(text, path, entity string, add, remove []string, want string) {
		t.Helper()
		e := Entity{path, entity}
		got, err := Edit(schema.Protobuf, text, []Tagged{{e, add}}, []Tagged{{e, remove}})
		if err != nil {
			got = err.Error()
		}
		if strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(want), "") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	add, none := []string{"A", "B"}, []string(nil)
	f("package p; message M { optional int32 x = 1 [deprecated = true]; }", ".M.x", Field, add, []string{"B"},
		`package p; message M { optional int32 x = 1 [deprecated = true, (confluent.field_meta) = {tags: ["A"]}]; }`)
	f(`message M { message N { oneof o { int32 x = 1 [(confluent.field_meta).tags = "A", (.confluent.field_meta).doc = "d"]; } } }`,
		"M.N.o.x", Field, add, none,
		`message M { message N { oneof o { int32 x = 1 [(confluent.field_meta) = {tags: ["A", "B"], doc: "d"}]; } } }`)
	f(`message M { option (confluent.message_meta).tags = "A"; optional int32 x = 1; }`, "M", Record, none, add,
		`message M { optional int32 x = 1; }`)
	plain := "message M { optional int32 x = 1; }"
	f(plain, "N.x", Field, add, none, "No matching Message with name 'N' found in the schema")
	f(plain, "M.y", Field, add, none, "No matching Field with name 'y' found in the schema")
	f("message", "M.y", Field, add, none, "Invalid schema of type PROTOBUF, details: syntax error at 1:8: unexpected end of file")
}

func TestFindInProtobuf(t *testing.T) {
	text := `package p; message M { option (confluent.message_meta) = {tags: ["T"]};
		optional int32 a = 1 [(confluent.field_meta).tags = "U"];
		oneof o { int32 b = 2 [(confluent.field_meta).tags = "V"]; }
		message N { optional int32 c = 1 [(confluent.field_meta) = {tags: ["U", "W"]}]; } }`
	for wanted, want := range map[string]string{
		"*": "[{{M sr_record} [T]} {{M.b sr_field} [V]} {{M.a sr_field} [U]} {{M.N.c sr_field} [U W]}] <nil>",
		"U": "[{{M.a sr_field} [U]} {{M.N.c sr_field} [U W]}] <nil>",
	} {
		found, err := Find(schema.Protobuf, text, []string{wanted})
		if got := fmt.Sprint(found, err); got != want {
			t.Errorf("got %s", got)
		}
	}
}

func TestEditsAreBounded(t *testing.T) {
	if _, err := Edit(schema.Avro, "{}", make([]Tagged, maxEdits), make([]Tagged, 1)); err == nil {
		t.Error("too many edits are taken")
	}
}
