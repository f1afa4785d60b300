package protobuf

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"kelp/internal/schema"
	"kelp/internal/schema/envelope"
	"kelp/internal/schema/record"
)

func codecOf(t testing.TB, s *Schema, indexes ...int) *codec {
	t.Helper()
	c, err := s.Codec(record.Options{MessageIndexes: indexes})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*codec)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// payloadOf takes off the envelope.
func payloadOf(t testing.TB, value []byte) ([]int, []byte) {
	t.Helper()
	e, err := envelope.Parse(value, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, p, err := e.Message()
	if err != nil {
		t.Fatal(err)
	}
	return x.Append(nil), p
}

func sameJSON(t testing.TB, a, b []byte) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// Every message decodes to the value that its producer wrote, and comes back byte for byte: by
// encoding it again, or because the codec says that it cannot and the payload is kept.
func TestMessagesOfRealSerializers(t *testing.T) {
	for _, v := range readVectors[envelopeCase](t, "envelope.json") {
		s := mustParse(t, v.Schema, v.References...)
		indexes, payload := payloadOf(t, unhex(t, v.Hex))
		c := codecOf(t, s, indexes...)
		if err := c.Validate(payload); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		got, err := c.AppendJSON(nil, payload)
		if err != nil || !sameJSON(t, got, v.Value) {
			t.Errorf("%s: %s, %v; want %s", v.Name, got, err, v.Value)
		}
		r, exact, err := record.Exact(c, payload)
		if err != nil || exact == (v.Name == "protobuf/edge/dup-scalar") {
			t.Errorf("%s: exact=%v, %v", v.Name, exact, err)
		}
		again, err := c.Encode(r)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if fromAgain, err := c.AppendJSON(nil, again); err != nil || !sameJSON(t, fromAgain, v.Value) {
			t.Errorf("%s: encoded again it is %s, %v; want %s", v.Name, fromAgain, err, v.Value)
		}
	}
}

func TestBadPayloadsAreRefused(t *testing.T) {
	type bad struct{ Name, Schema, Hex, Why string }
	for _, v := range readVectors[bad](t, "bad_payloads.json") {
		s := mustParse(t, v.Schema)
		e, err := envelope.Parse(unhex(t, v.Hex), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, payload, err := e.Message()
		if err != nil {
			if !errors.Is(err, envelope.ErrIndexes) {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		c := codecOf(t, s)
		if err := c.Validate(payload); !errors.Is(err, record.ErrPayload) {
			t.Errorf("%s (%s): validated: %v", v.Name, v.Why, err)
		}
		if r, err := c.Decode(payload); !errors.Is(err, record.ErrPayload) {
			t.Errorf("%s (%s): decoded to %v, %v", v.Name, v.Why, r, err)
		}
		if j, err := c.AppendJSON(nil, payload); !errors.Is(err, record.ErrPayload) {
			t.Errorf("%s (%s): as JSON %s, %v", v.Name, v.Why, j, err)
		}
	}
}

// richText has every kind of field in every position.
const richText = `syntax = "proto3";
package rich;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/any.proto";
import "confluent/type/decimal.proto";
message Rich {
  bool b = 1; int32 i32 = 2; int64 i64 = 3; uint32 u32 = 4; uint64 u64 = 5; sint32 s32 = 6; sint64 s64 = 7;
  fixed32 f32 = 8; fixed64 f64 = 9; sfixed32 sf32 = 10; sfixed64 sf64 = 11; float f = 12; double d = 13;
  string s = 14; bytes y = 15; Color c = 16;
  optional int32 oi = 20; optional string os = 21; optional Color oc = 22;
  repeated int32 ri = 30; repeated string rs = 31; repeated Color rc = 32; repeated double rd = 33; repeated bool rb = 34;
  repeated sint64 unpacked = 35 [packed = false]; repeated fixed32 rf = 36; repeated uint64 ru = 37;
  map<string, int32> mi = 40; map<int32, Inner> mm = 41; map<bool, Color> mc = 42; map<uint64, bytes> mb = 43;
  map<string, google.protobuf.Timestamp> mt = 44;
  Inner in = 50; repeated Inner rin = 51; Rich self = 52; repeated Tree trees = 53;
  oneof choice { string cs = 6000; Inner cin = 6001; int64 ci = 6002; google.protobuf.Timestamp ct = 6003; }
  google.protobuf.Timestamp t = 70; google.protobuf.Duration du = 71; google.protobuf.Struct st = 72;
  google.protobuf.Value va = 73; google.protobuf.ListValue li = 74; google.protobuf.Any any = 75;
  google.protobuf.StringValue ws = 76; google.protobuf.UInt64Value wu = 77; google.protobuf.BoolValue wb = 78;
  google.protobuf.DoubleValue wd = 79; google.protobuf.BytesValue wy = 80; repeated google.protobuf.Int32Value wr = 81;
  confluent.type.Decimal dec = 82; repeated google.protobuf.Timestamp rt = 83;
  int32 _key = 90; string _unknown = 91; int32 far = 5000;
}
message Inner { string name = 1; repeated int64 ns = 2; optional bool flag = 3; Leaf leaf = 4; }
message Leaf { double x = 1; }
message Tree { Tree left = 1; Tree right = 2; int32 v = 3; Ring ring = 4; }
message Ring { Chain chain = 1; }
message Chain { Ring ring = 1; string s = 2; }
enum Color { RED = 0; GREEN = 1; BLUE = -1; }
`

func TestRecordTypeOfEverything(t *testing.T) {
	c := codecOf(t, mustParse(t, richText))
	rt, err := c.RecordType()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*record.Field{}
	for _, f := range rt.Fields {
		byName[f.Name] = f
	}
	f := func(name string, want *record.Type, required bool) {
		t.Helper()
		got := byName[name]
		if got == nil || !proto.Equal(got.Type, want) || got.IsRequired != required || got.IsRepeated != (want.GetListType() != nil) {
			t.Errorf("%s is %v, want %v, required %v", name, got, want, required)
		}
		delete(byName, name)
	}
	scalar := record.Scalar
	f("b", scalar(record.ScalarType_BOOL), true)
	f("i32", scalar(record.ScalarType_INT32), true)
	f("u32", scalar(record.ScalarType_INT64), true)
	f("u64", scalar(record.ScalarType_DECIMAL), true)
	f("f32", scalar(record.ScalarType_INT64), true)
	f("sf32", scalar(record.ScalarType_INT32), true)
	f("c", scalar(record.ScalarType_STRING), true)
	f("oi", scalar(record.ScalarType_INT32), false)
	f("ri", record.List(scalar(record.ScalarType_INT32)), false)
	f("mi", record.Map(scalar(record.ScalarType_STRING), scalar(record.ScalarType_INT32), true), false)
	f("mt", record.Map(scalar(record.ScalarType_STRING), scalar(record.ScalarType_TIMESTAMP), true), false)
	f("self", scalar(record.ScalarType_BYTES), false)
	f("cs", scalar(record.ScalarType_STRING), false)
	f("t", scalar(record.ScalarType_TIMESTAMP), false)
	f("st", scalar(record.ScalarType_STRING), false)
	f("ws", scalar(record.ScalarType_STRING), false)
	f("wu", scalar(record.ScalarType_DECIMAL), false)
	f("wr", record.List(scalar(record.ScalarType_INT32)), false)
	f("dec", scalar(record.ScalarType_DECIMAL), false)
	f("__key", scalar(record.ScalarType_INT32), true)
	f("_unknown", scalar(record.ScalarType_STRING), true)
	f("__unknown", scalar(record.ScalarType_BYTES), false)
	tree := byName["trees"].Type.GetListType().ElementType.GetRecordType()
	if tree == nil || tree.Fields[0].Type.GetScalarType() != record.ScalarType_BYTES || tree.Fields[3].Type.GetRecordType() == nil {
		t.Errorf("a tree's branches must be opaque, its ring not: %v", tree)
	}
}

func TestRecordValuesOfEverything(t *testing.T) {
	s := mustParse(t, richText)
	c := codecOf(t, s)
	m := dynamicpb.NewMessage(c.shape.desc)
	text := `{"b":true,"i32":-5,"i64":"-9007199254740993","u32":4294967295,"u64":"18446744073709551615","s32":-7,"s64":"-8",
	"f32":9,"f64":"10","sf32":-11,"sf64":"-12","f":"NaN","d":-0.5,"s":"h\u00e9","y":"AP8=","c":"BLUE","oi":0,"os":"","oc":7,
	"ri":[1,0,-1],"rs":["","x"],"rc":["GREEN",5],"rd":[1.5,"Infinity"],"rb":[true,false],"unpacked":["1","-1"],"rf":[1,2],
	"ru":["0","18446744073709551615"],"mi":{"a":1},"mm":{"3":{"name":"n","ns":["1"]}},"mc":{"true":"GREEN"},
	"mb":{"18446744073709551615":"AQ=="},"mt":{"x":"2024-01-02T03:04:05.678Z"},
	"in":{"name":"x","flag":false,"leaf":{"x":2}},"rin":[{},{"ns":["1","2"]}],"self":{"s":"inner"},
	"trees":[{"left":{"v":1},"v":2,"ring":{"chain":{"ring":{},"s":"q"}}}],"cin":{"name":"c"},
	"t":"1969-12-31T23:59:59.000001Z","du":"3.5s","st":{"a":[1,null,{"b":"c"}]},"va":[1,"x"],"li":[true],
	"any":{"@type":"type.googleapis.com/rich.Leaf","x":3},"ws":"","wu":"18446744073709551615","wb":false,"wd":0,"wy":"",
	"wr":[0,1],"dec":{"value":"AQ==","precision":5,"scale":2},"rt":["2024-01-02T03:04:05.678Z"],"Key":1,"Unknown":"u","far":3}`
	if err := protojsonInto(c, text, m); err != nil {
		t.Fatal(err)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	payload = append(payload, unhex(t, "ea9c0f01ff")...) // unknown field 31133
	r, exact, err := record.Exact(c, payload)
	if err != nil || !exact {
		again, err2 := c.Encode(r)
		t.Fatalf("exact=%v, %v, %v\n%x\n%x", exact, err, err2, payload, again)
	}
	want := map[string]*record.Value{
		"b": record.Bool(true), "i32": record.Int32(-5), "i64": record.Int64(-9007199254740993), "u32": record.Int64(math.MaxUint32),
		"u64": record.Decimal(record.BigInt(unhex(t, "00ffffffffffffffff")), 20, 0), "d": record.Double(-0.5),
		"c": record.String("BLUE"), "oc": record.String("7"), "oi": record.Int32(0), "os": record.String(""),
		"rc": record.ListOf([]*record.Value{record.String("GREEN"), record.String("5")}),
		"mi": record.ListOf([]*record.Value{record.Entry(record.String("a"), record.Int32(1))}),
		"t":  record.Timestamp(-999999, true), "ws": record.String(""), "wb": record.Bool(false),
		"st": record.String(`{"a":[1,null,{"b":"c"}]}`), "va": record.String(`[1,"x"]`),
		"dec":       record.Decimal(big.NewInt(1), 5, 2),
		"self":      record.Bytes(append([]byte{14<<3 | 2, 5}, "inner"...)),
		"__key":     record.Int32(1),
		"_unknown":  record.String("u"),
		"__unknown": record.Bytes(unhex(t, "ea9c0f01ff")),
	}
	for name, v := range want {
		if !proto.Equal(r.Fields[name], v) {
			t.Errorf("%s is %v, want %v", name, r.Fields[name], v)
		}
	}
	for _, name := range []string{"cs", "ci", "ct"} {
		if r.Fields[name] != nil {
			t.Errorf("%s is set beside another member of the oneof", name)
		}
	}
	rt, _ := c.RecordType()
	if err := fits(r, rt); err != nil {
		t.Error(err)
	}
}

func protojsonInto(c *codec, text string, m proto.Message) error {
	return protojson.UnmarshalOptions{Resolver: c.types}.Unmarshal([]byte(text), m)
}

// fits checks that a value has only fields of its type, all that are required, and their kinds.
func fits(r *record.RecordValue, t *record.RecordType) error {
	names := map[string]bool{}
	for _, f := range t.Fields {
		names[f.Name] = true
		v := r.Fields[f.Name]
		if record.IsNull(v) {
			if f.IsRequired {
				return fmt.Errorf("%s is missing", f.Name)
			}
			continue
		}
		if err := kindFits(v, f.Type); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for name := range r.Fields {
		if !names[name] {
			return fmt.Errorf("%s is not in the type", name)
		}
	}
	return nil
}

func kindFits(v *record.Value, t *record.Type) error {
	switch k := t.Kind.(type) {
	case *record.Type_RecordType:
		if v.GetRecordValue() == nil {
			return fmt.Errorf("%v is no record", v)
		}
		return fits(v.GetRecordValue(), k.RecordType)
	case *record.Type_ListType:
		if v.GetListValue() == nil {
			return fmt.Errorf("%v is no list", v)
		}
		for _, each := range v.GetListValue().Values {
			if err := kindFits(each, k.ListType.ElementType); err != nil {
				return err
			}
		}
		return nil
	}
	kinds := map[record.ScalarType]any{
		record.ScalarType_BOOL: &record.Value_BoolValue{}, record.ScalarType_INT32: &record.Value_Int32Value{},
		record.ScalarType_INT64: &record.Value_Int64Value{}, record.ScalarType_FLOAT: &record.Value_FloatValue{},
		record.ScalarType_DOUBLE: &record.Value_DoubleValue{}, record.ScalarType_BYTES: &record.Value_BytesValue{},
		record.ScalarType_STRING: &record.Value_StringValue{}, record.ScalarType_TIMESTAMP: &record.Value_TimestampValue{},
		record.ScalarType_DECIMAL: &record.Value_DecimalValue{},
	}
	if reflect.TypeOf(v.Kind) != reflect.TypeOf(kinds[t.GetScalarType()]) {
		return fmt.Errorf("%v is no %v", v, t.GetScalarType())
	}
	return nil
}

// A schema and its codecs are used by everybody at once; descriptors and views are made on first use.
func TestConcurrentUse(t *testing.T) {
	s := mustParse(t, orderText)
	_, payload := orderPayload(t)
	first := codecOf(t, s)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			own, err := s.Codec(record.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			for _, c := range []record.Codec{first, own} {
				if _, exact, err := record.Exact(c, payload); err != nil || !exact {
					t.Errorf("exact=%v, %v", exact, err)
				}
				if _, err := c.AppendJSON(nil, payload); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.View("serialized"); err != nil {
				t.Error(err)
			}
			if d := s.ReadsFrom(s, schema.CompareOptions{}); len(d) > 0 {
				t.Error(d)
			}
		})
	}
	all.Wait()
}
