package protobuf

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"kelp/internal/schema/record"
	"kelp/internal/schema/schematest"
)

// orderText and its payload of 1 KiB stand for a common record: ids, names, times, lines, a map.
const orderText = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Order {
  int64 id = 1; string customer = 2; google.protobuf.Timestamp at = 3; Status status = 4; repeated Line lines = 5;
  map<string, string> labels = 6; double total = 7; bool paid = 8; bytes token = 9; repeated int32 codes = 10;
  optional string note = 11; string currency = 12; uint32 region = 13; Address address = 14;
}
message Line { string sku = 1; int32 quantity = 2; double price = 3; string title = 4; }
message Address { string street = 1; string city = 2; string zip = 3; string country = 4; }
enum Status { NEW = 0; OPEN = 1; DONE = 2; }
`

func orderPayload(t testing.TB) (*codec, []byte) {
	c := codecOf(t, mustParse(t, orderText))
	var lines, labels []string
	for i := range 12 {
		lines = append(lines, fmt.Sprintf(`{"sku":"SKU-%05d","quantity":%d,"price":%d.99,"title":"A thing of the number %d"}`, i*37, i+1, i*3, i))
	}
	for i := range 6 {
		labels = append(labels, fmt.Sprintf(`"label-%d":"value of label %d"`, i, i))
	}
	m := dynamicpb.NewMessage(c.shape.desc)
	if err := protojsonInto(c, `{"id":"123456789012","customer":"c-998877","at":"2026-01-02T03:04:05.678Z","status":"OPEN","lines":[`+
		strings.Join(lines, ",")+`],"labels":{`+strings.Join(labels, ",")+`},"total":1234.5,"paid":true,
		"token":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","codes":[1,2,3,4,5,6,7,8],"note":"leave at the door","currency":"EUR",
		"region":17,"address":{"street":"Some Street 17","city":"Somewhere","zip":"12345","country":"DE"}}`, m); err != nil {
		t.Fatal(err)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(payload) < 900 || len(payload) > 1150 {
		t.Fatalf("the payload has %d bytes", len(payload))
	}
	return c, payload
}

func BenchmarkPayload(b *testing.B) {
	c, payload := orderPayload(b)
	schematest.Benchmark(b, c, payload)
	b.Run("dynamicpb", func(b *testing.B) { // what the walk of the wire format is instead of
		b.ReportAllocs()
		for b.Loop() {
			_ = proto.Unmarshal(payload, dynamicpb.NewMessage(c.shape.desc))
		}
	})
}

func BenchmarkSchema(b *testing.B) {
	schematest.BenchmarkText(b, Format{}, orderText)
	s := mustParse(b, orderText)
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, _ := s.Codec(record.Options{})
			_, _ = c.RecordType()
		}
	})
}
