package protobuf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// fields repeats a pattern with a number as long as the text has room.
func fields(pattern string, bytes int) string {
	var b strings.Builder
	for i := 1; b.Len() < bytes; i++ {
		n := i
		if n >= 19000 {
			n += 1000 // reserved by protobuf itself
		}
		fmt.Fprintf(&b, pattern, n)
	}
	return b.String()
}

// Texts that try to cost more than their size: each is taken or refused with a reason, quickly.
func TestHostileTexts(t *testing.T) {
	refused := func(why, text string) {
		t.Helper()
		if _, err := parse(schema.Source{Text: text}); !errors.Is(err, schema.ErrInvalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("want %q: %.200v", why, err)
		} else if len(err.Error()) > 2000 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
	taken := func(text string) *Schema {
		t.Helper()
		s, err := parse(schema.Source{Text: text})
		if err != nil {
			t.Errorf("%.300v", err)
		}
		return s
	}
	const p3 = "syntax = \"proto3\";\n"
	deep := func(n int) string {
		return p3 + strings.Repeat("message A { ", n) + strings.Repeat("}", n)
	}
	taken(deep(150))
	refused("deeper", deep(20_000))
	refused("deeper", p3+"message A { int32 a = 1 [(x) = "+strings.Repeat("{a:", 100_000))
	refused("deeper", p3+"message A { int32 a = 1 [(x) = "+strings.Repeat("[", 100_000))
	refused("parts", p3+"message A { int32 a = 1 [(x)"+strings.Repeat(".a", 100_000)+" = 1]; }")
	refused("bytes or", p3+"package "+strings.Repeat("a.", 100_000)+"b;")
	refused("bytes or", p3+"message A { "+strings.Repeat("a.", 100_000)+"b x = 1; }")
	refused("no name", p3+"message "+strings.Repeat("A", 500_000)+" {}")
	refused("bytes", p3+"message A {"+fields("int32 f%[1]d = %[1]d;", 2<<20)+"}")
	refused("end of file", p3+"message A {")
	refused("unterminated", p3+"message A { /* ")
	refused("unterminated", "syntax = \"proto3")
	refused("UTF-8", p3+"message A {} // \xff")
	refused("no message and no enum", p3)
	refused("could not resolve", p3+"message A { B b = 1; }")
	refused("already defined", p3+"message A {} enum A { X = 0; }")
	refused("", p3+"message A { int32 a = 1; int32 b = 1; }")
	refused("", p3+"message A { int32 a = 0; }")
	refused("", p3+"message A { int32 a = 99999999999999999999; }")
	refused("", p3+"enum A { X = 1; }")
	refused("", p3+"message A { reserved 1 to 5; int32 a = 3; }")

	big := taken(p3 + "message A {" + fields("repeated A f%[1]d = %[1]d;", 300_000) + "}")
	if big != nil {
		if d := big.ReadsFrom(big, schema.CompareOptions{}); len(d) > 0 {
			t.Errorf("%d differences", len(d))
		}
	}
	taken(p3 + fields("message M%d { int32 a = 1; }\n", 300_000))
	taken(p3 + "enum E { Z = 0;" + fields("V%[1]d = %[1]d;", 300_000) + "}")
	taken(p3 + "package " + strings.Repeat("p.", 60) + "q; message A { message B { message C {" +
		fields("A.B.C f%[1]d = %[1]d;", 300_000) + "}}}")
	taken(p3 + "message A { " + fields("map<string, A> f%[1]d = %[1]d;", 200_000) + "}")
}

// chain is n messages, each with two fields of the next: 2^n paths.
func chain(pkg string, n int, last string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "syntax = \"proto3\"; package %s;\n", pkg)
	for i := range n {
		fmt.Fprintf(&b, "message M%d { M%d a = 1; M%d b = 2; }\n", i, i+1, i+1)
	}
	fmt.Fprintf(&b, "message M%d { %s x = 1; }\n", n, last)
	return b.String()
}

// mesh is n messages that all contain each other: n! paths.
func mesh(n int, last string) string {
	var b strings.Builder
	b.WriteString("syntax = \"proto3\"; package q;\n")
	for i := range n {
		fmt.Fprintf(&b, "message M%d { ", i)
		for k := range n {
			fmt.Fprintf(&b, "M%d f%d = %d; ", k, k, k+1)
		}
		fmt.Fprintf(&b, "%s x = 1000; }\n", last)
	}
	return b.String()
}

func TestManyPathsAreComparedInBoundedTime(t *testing.T) {
	f := func(imported func(last string) string) {
		t.Helper()
		of := func(last string) *Schema {
			return mustParse(t, "syntax = \"proto3\"; import \"x.proto\"; message R { q.M0 m = 1; }",
				reference{Name: "x.proto", Schema: imported(last)})
		}
		same, longer, other := of("int32"), of("int64"), of("string")
		if changes, _ := breaking(longer, same); len(changes) > 0 {
			t.Errorf("compatible, but %d changes", len(changes))
		}
		if changes, _ := breaking(other, same); len(changes) == 0 || len(changes) > maxDifferences {
			t.Errorf("incompatible, but %d changes", len(changes))
		}
	}
	f(func(last string) string { return chain("q", 60, last) })
	f(func(last string) string { return mesh(60, last) })
	f(func(last string) string { return mesh(120, last) })
}

func TestRecordTypesAreBounded(t *testing.T) {
	for _, text := range []string{chain("q", 60, "int32"), mesh(30, "int32"), chain("q", 150, "int32")} {
		c, err := mustParse(t, text).Codec(record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RecordType(); !errors.Is(err, record.ErrType) {
			t.Errorf("%v", err)
		}
		if _, err := c.Decode(nil); !errors.Is(err, record.ErrType) {
			t.Errorf("%v", err)
		}
		if err := c.Validate([]byte{10, 2, 10, 0}); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestHostilePayloads(t *testing.T) {
	s := mustParse(t, richText)
	c, err := s.Codec(record.Options{Limits: record.Limits{Values: 10_000, Bytes: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, p []byte, want error) {
		t.Helper()
		if err := c.Validate(p); !errors.Is(err, want) {
			t.Errorf("%s: validated: %v", what, err)
		}
		if _, err := c.Decode(p); !errors.Is(err, want) {
			t.Errorf("%s: decoded: %v", what, err)
		}
		if _, err := c.AppendJSON(nil, p); !errors.Is(err, want) {
			t.Errorf("%s: as JSON: %v", what, err)
		}
	}
	// Each level is a group, which takes two bytes.
	refused("open groups", bytes.Repeat([]byte{0xc3, 0x3e}, 400_000), record.ErrLimit)
	refused("groups", append(bytes.Repeat([]byte{0xc3, 0x3e}, 500), bytes.Repeat([]byte{0xc4, 0x3e}, 500)...), record.ErrLimit)
	refused("values", bytes.Repeat([]byte{16, 1}, 10_001), record.ErrLimit)
	packed := protowire.AppendBytes(protowire.AppendTag(nil, 30, protowire.BytesType), bytes.Repeat([]byte{1}, 10_001))
	refused("packed values", packed, record.ErrLimit)
	refused("bytes", make([]byte, 1<<20+1), record.ErrLimit)
	refused("field 0", []byte{0, 1}, record.ErrPayload)
	refused("end of nothing", []byte{0xc4, 0x3e}, record.ErrPayload)
	refused("other end", []byte{0xc3, 0x3e, 0xcc, 0x3e}, record.ErrPayload)
	refused("11 bytes", append(append([]byte{16}, bytes.Repeat([]byte{0xff}, 10)...), 1), record.ErrPayload)
	refused("packed fixed", []byte{0xa2, 2, 3, 1, 2, 3}, record.ErrPayload) // rf: 3 bytes of fixed32
	nested := []byte{}
	for range 150 {
		nested = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), nested)
	}
	tree := protowire.AppendBytes(protowire.AppendTag(nil, 53, protowire.BytesType), nested)
	if err := c.Validate(tree); !errors.Is(err, record.ErrLimit) {
		t.Errorf("deep messages: %v", err)
	}
	// Split messages are put together at a price.
	piece := protowire.AppendBytes(protowire.AppendTag(nil, 50, protowire.BytesType), protowire.AppendBytes(
		protowire.AppendTag(nil, 1, protowire.BytesType), bytes.Repeat([]byte("x"), 50_000)))
	if _, err := c.Decode(bytes.Repeat(piece, 10)); !errors.Is(err, record.ErrLimit) {
		t.Errorf("split messages: %v", err)
	}
	c, err = s.Codec(record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Decode(append(bytes.Clone(piece), piece...))
	if err != nil || len(r.Fields["in"].GetRecordValue().GetFields()["name"].GetStringValue()) != 50_000 {
		t.Errorf("a message in two pieces: %v", err)
	}
}
