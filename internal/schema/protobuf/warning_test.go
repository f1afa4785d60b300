package protobuf

import (
	"slices"
	"strings"
	"testing"

	"kelp/internal/schema"
)

// What the registry lets pass although data or programs break: each warning once, in the direction
// that it is about.
func TestWarnings(t *testing.T) {
	f := func(older, newer string, newReads, oldReads string) {
		t.Helper()
		o, n := mustParse(t, older), mustParse(t, newer)
		said := func(reader, writer *Schema, c schema.CompareOptions) string {
			var all []string
			for _, d := range reader.ReadsFrom(writer, c) {
				if !d.Warning {
					t.Errorf("%s at %s breaks compatibility", d.Type, d.Path)
				}
				if d.Why == "" || d.Advice == "" || d.Message == "" || d.Reader == "" && d.Writer == "" {
					t.Errorf("%s says too little: %+v", d.Type, d)
				}
				all = append(all, d.Type+" "+d.Path)
			}
			slices.Sort(all)
			return strings.Join(all, ", ")
		}
		if got := said(n, o, schema.CompareOptions{}); got != newReads {
			t.Errorf("new reads old: %q, want %q", got, newReads)
		}
		if got := said(o, n, schema.CompareOptions{OlderReader: true}); got != oldReads {
			t.Errorf("old reads new: %q, want %q", got, oldReads)
		}
	}
	const p3, p2 = "syntax = \"proto3\"; ", "syntax = \"proto2\"; "
	m := func(fields string) string { return p3 + "message M { " + fields + " } enum E { Z = 0; A = 1; }" }
	both := func(older, newer, want string) { t.Helper(); f(older, newer, want, want) }

	f(m("int32 a = 1;"), m("int64 a = 1;"), "", "FIELD_NARROWED #/M/1")
	both(m("int32 a = 1;"), m("uint32 a = 1;"), "FIELD_NARROWED #/M/1")
	f(m("bool a = 1;"), m("E a = 1;"), "", "FIELD_NARROWED #/M/1")
	f(m("string a = 1;"), m("bytes a = 1;"), "", "BYTES_READ_AS_STRING #/M/1")
	both(m("int32 a = 1;"), m("int32 b = 1;"), "FIELD_NAME_CHANGED #/M/1")
	both(m("int32 a = 1;"), m("repeated int32 a = 1;"), "FIELD_CARDINALITY_CHANGED #/M/1")
	both(m("int32 a = 1;"), m("int32 a = 1 [json_name = \"x\"];"), "FIELD_JSON_NAME_CHANGED #/M/1")
	both(m("int32 a_b = 1;"), m("int32 a_b = 1 [json_name = \"aB\"];"), "")
	f(m("int32 a = 1; int32 b = 2;"), m("int32 a = 1;"), "FIELD_NUMBER_NOT_RESERVED #/M/2", "")
	f(m("int32 a = 1; int32 b = 2;"), m("int32 a = 1; reserved 2;"), "", "")
	f(m("int32 a = 1; reserved 4, 2 to 3;"), m("int32 a = 1; int32 b = 2;"), "RESERVED_NUMBER_REUSED #/M/2", "")
	both(m("int32 a = 1; int32 b = 2;"), m("int32 a = 1; int32 c = 2;"), "FIELD_NAME_CHANGED #/M/2")
	f(m("int32 a = 1;"), m("int32 a = 2;"), "FIELD_NUMBER_CHANGED #/M/1", "FIELD_NUMBER_CHANGED #/M/2")
	e := func(values string) string { return p3 + "message M { E e = 1; } enum E { Z = 0; " + values + " }" }
	f(e("A = 1;"), e(""), "ENUM_CONST_REMOVED #/E/1", "")
	both(e("A = 1;"), e("B = 1;"), "ENUM_CONST_CHANGED #/E/1")
	both(p3+"message A {} message B {}", p3+"message B {} message A {}", "MESSAGE_MOVED #/A, MESSAGE_MOVED #/B")
	both(p2+"message M { optional int32 a = 1 [default = 1]; }", p2+"message M { optional int32 a = 1 [default = 2]; }",
		"FIELD_DEFAULT_CHANGED #/M/1")
	f(p2+"message M { optional group G = 1 { optional int32 a = 1; } }", p2+"message M { optional int32 g = 1; }", "GROUP_CHANGED #/M/1", "")
	x := func(t string) string {
		return p2 + "message M { extensions 5; } extend M { optional " + t + " x = 5; }"
	}
	both(x("int32"), x("string"), "EXTENSION_CHANGED #/M/5")
}
