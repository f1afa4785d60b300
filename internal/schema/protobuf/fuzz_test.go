package protobuf

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// compile is protoc's view of a text without imports of its own.
func compile(text string) (protoreflect.FileDescriptor, error) {
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: func(path string) (io.ReadCloser, error) {
				if path != defaultPath {
					return nil, errors.New("not there")
				}
				return io.NopCloser(strings.NewReader(text)), nil
			},
		}),
		Reporter: reporter.NewReporter(nil, nil),
	}
	files, err := c.Compile(context.Background(), defaultPath)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// checkText is what must hold for any text.
func checkText(t *testing.T, text string, dependencies ...schema.Dependency) {
	t.Helper()
	s, err := parse(schema.Source{Text: text, Dependencies: dependencies})
	if err != nil {
		if !errors.Is(err, schema.ErrInvalid) {
			t.Fatalf("%v", err)
		}
		return
	}
	again, err := parse(schema.Source{Text: s.Canonical(), Dependencies: dependencies})
	if err != nil {
		t.Fatalf("the canonical text does not parse: %v\n%q\n%q", err, text, s.Canonical())
	}
	if again.Canonical() != s.Canonical() || again.Normalized() != s.Normalized() {
		t.Fatalf("texts change:\n%q\n%q\n%q\n%q", s.Canonical(), again.Canonical(), s.Normalized(), again.Normalized())
	}
	normal, err := parse(schema.Source{Text: s.Normalized(), Dependencies: dependencies})
	if err != nil {
		t.Fatalf("the normalized text does not parse: %v\n%q\n%q", err, text, s.Normalized())
	}
	if normal.Normalized() != s.Normalized() {
		t.Fatalf("the normalized text changes:\n%q\n%q", s.Normalized(), normal.Normalized())
	}
	for _, r := range []*Schema{s, normal} {
		if changes, _ := breaking(r, s); len(changes) > 0 {
			t.Fatalf("a schema is incompatible with itself: %v\n%q", changes, text)
		}
	}
	if name, err := s.MessageName(nil); err == nil {
		if x, err := s.MessageIndexes(name); err != nil || len(x) != 1 || x[0] != 0 {
			t.Fatalf("indexes of %s: %v, %v", name, x, err)
		}
		c, err := s.Codec(record.Options{})
		if err != nil {
			t.Fatalf("no codec of %s: %v\n%q", name, err, text)
		}
		if _, err := c.RecordType(); err != nil && !errors.Is(err, record.ErrType) {
			t.Fatal(err)
		}
		_ = c.Validate([]byte(text))
	}
}

var moreTexts = []string{
	richText,
	plainText,
	`message M {
  optional group G = 1 { optional int32 a = 1; repeated G g = 2; }
  oneof o { group H = 3 { required int32 b = 1; } }
}`,
	`edition = "2023";
option features.field_presence = IMPLICIT;
message M { int32 a = 1 [features.field_presence = EXPLICIT]; reserved b, 5 to max; }`,
	`syntax = "proto2";
package a.b;
message M {
  extensions 100 to 200, 300 [verification = UNVERIFIED];
  optional string s = 1 [default = "a\"\n\001'", json_name = "x"];
  optional double d = 2 [default = -inf];
  optional bytes y = 3 [default = "\377\000"];
  optional E e = 4 [default = B];
}
enum E { option allow_alias = true; A = 1; B = 1; reserved 5, 7 to max, "C"; }
extend M { optional int32 x = 100; }
service S {
  option deprecated = true;
  rpc F (stream M) returns (.a.b.M) { option idempotency_level = IDEMPOTENT; }
  rpc G (M) returns (stream M);
}`,
	`syntax = "proto3";
import "confluent/meta.proto";
message M {
  option (confluent.message_meta).doc = "d";
  option (confluent.message_meta).tags = "t";
  int32 a = 1 [(confluent.field_meta) = { doc: "x", params: [ { key: "k", value: "v" } ], tags: ["PII"] }, deprecated = true];
}`,
	`syntax = "proto3";
import "nowhere.proto";
option (nowhere.o) = { a: 1 b { c: "d" } b <c: 'e'> [x.y]: INF l: [1, -2.5e3, true] };
message M { int32 a = 1 [(x.y).z.(w) = 1, (x.y).q = 0x10]; }`,
	`syntax = "proto3";
message M { message N { map<string, N> m = 1; M.N n = 2; } N a = 1; .M b = 2; M.N.O c = 3; }
message N { }`,
	`// c
/* c */ syntax = 'proto' "3"; ; message M { ; } enum E { Z = 0; }`,
	`syntax = "proto3";
message M { repeated E m = 1; message E { option map_entry = true; string key = 1; int64 value = 2; } }`,
}

func TestOddTexts(t *testing.T) {
	for _, text := range moreTexts {
		checkText(t, text)
	}
}

func FuzzText(f *testing.F) {
	for text := range allTexts(f) {
		f.Add(text)
	}
	for _, text := range moreTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 20_000 {
			return
		}
		checkText(t, text)
		// What protoc takes, we take, if it is UTF-8.
		if !utf8.ValidString(text) {
			return
		}
		if d, err := compile(text); err == nil && d.Messages().Len()+d.Enums().Len() > 0 {
			if _, err := parse(schema.Source{Text: text}); err != nil {
				t.Fatalf("protoc takes it: %v\n%q", err, text)
			}
		}
	})
}

func FuzzDescriptor(f *testing.F) {
	for text := range allTexts(f) {
		if s, err := parse(schema.Source{Text: text}); err == nil {
			l, _ := s.linked()
			raw, _ := proto.Marshal(protodesc.ToFileDescriptorProto(l.desc))
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkText(t, base64.StdEncoding.EncodeToString(raw))
	})
}

func FuzzCompare(f *testing.F) {
	for _, c := range readVectors[compatCase](f, "compat_protobuf.json") {
		f.Add(c.Old, c.New)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 20_000 {
			return
		}
		x, errX := parse(schema.Source{Text: a})
		y, errY := parse(schema.Source{Text: b})
		if errX != nil || errY != nil {
			return
		}
		checkPair(t, x, y)
	})
}

// checkPair holds for any two schemas.
func checkPair(t *testing.T, reader, writer *Schema) {
	t.Helper()
	changes, _ := breaking(reader, writer)
	for _, d := range reader.ReadsFrom(writer, schema.CompareOptions{}) {
		if d.Why == "" || d.Advice == "" || d.Message == "" || d.Path == "" || d.Reader == "" && d.Writer == "" {
			t.Errorf("%s says too little: %+v", d.Type, d)
		}
	}
	// Spelling does not matter.
	for _, r := range []string{reader.Canonical(), reader.Normalized()} {
		for _, w := range []string{writer.Canonical(), writer.Normalized()} {
			again, _ := breaking(mustParse(t, r), mustParse(t, w))
			if strings.Join(again, ",") != strings.Join(changes, ",") {
				t.Errorf("%v became %v for\n%s\n%s", changes, again, r, w)
			}
		}
	}
}

// The plain schema has no message with a type of its own in records, so that nothing is narrowed.
const plainText = `syntax = "proto2";
message Plain {
  optional int32 a = 1; optional sint64 b = 2 [default = 7]; repeated string s = 3; optional bytes y = 4;
  repeated fixed64 p = 5 [packed = true]; repeated bool u = 6; optional Plain in = 7; repeated Sub subs = 8;
  optional E e = 9; repeated E es = 10; map<int32, Sub> m = 11; optional group G = 12 { optional uint64 g = 1; }
  oneof o { float f = 13; Sub os = 14; } optional Sub sub = 15; repeated sfixed32 sf = 16; optional uint32 u32 = 17;
}
message Sub { required int32 r = 1; optional Other other = 2; }
message Other { optional Other2 x = 1; }
message Other2 { optional double d = 1; }
enum E { A = 1; B = 2; }
`

func FuzzPayload(f *testing.F) {
	rich, plain := codecOf(f, mustParse(f, richText)), codecOf(f, mustParse(f, plainText))
	for _, v := range readVectors[envelopeCase](f, "envelope.json") {
		_, p := payloadOf(f, unhex(f, v.Hex))
		f.Add(p)
	}
	for _, seed := range []string{
		"7203c3a97a", "9a0100", "63080164", "3a0408013a00", "3a020801", "42020801", "42020801420412020a00", "5a0408011200",
		"4801480548ffffffffffffffffff01", "6d00000000720208017a0208017a00", "920500", "92050508ffffffff0f",
		"b20400b2040c08a5facdac061080eba5c302", "1b1c", "1b0b0c1c",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		checkPayload(t, rich, p, false)
		checkPayload(t, plain, p, true)
	})
}

func checkPayload(t *testing.T, c *codec, p []byte, exactMessage bool) {
	t.Helper()
	err := c.Validate(p)
	if errors.Is(err, record.ErrLimit) {
		return
	}
	m := dynamicpb.NewMessage(c.shape.desc)
	want := proto.UnmarshalOptions{Resolver: c.types}.Unmarshal(p, m)
	if (err == nil) != (want == nil) {
		t.Fatalf("validated: %v; protobuf says %v: %x", err, want, p)
	}
	r, derr := c.Decode(p)
	if err != nil {
		if derr == nil && !strings.Contains(want.Error(), "required") {
			t.Fatalf("decoded what is not valid (%v): %x", err, p)
		}
		return
	}
	if errors.Is(derr, record.ErrRefused) || errors.Is(derr, record.ErrLimit) {
		return
	}
	if derr != nil {
		t.Fatalf("valid, but %v: %x", derr, p)
	}
	rt, _ := c.RecordType()
	if err := fits(r, rt); err != nil {
		t.Fatalf("%v: %x", err, p)
	}
	again, err := c.Encode(r)
	if err != nil {
		t.Fatalf("cannot encode: %v: %x", err, p)
	}
	r2, err := c.Decode(again)
	if err != nil || !proto.Equal(r, r2) {
		t.Fatalf("%v\nbecame\n%v (%v): %x", r, r2, err, p)
	}
	if exactMessage {
		m2 := dynamicpb.NewMessage(c.shape.desc)
		if err := (proto.UnmarshalOptions{Resolver: c.types}).Unmarshal(again, m2); err != nil || !proto.Equal(m, m2) {
			t.Fatalf("%v\nbecame\n%v (%v): %x, %x", m, m2, err, p, again)
		}
	}
}
