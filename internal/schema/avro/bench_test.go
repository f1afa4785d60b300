package avro

import (
	"encoding/json"
	"fmt"
	"testing"

	"kelp/internal/schema/record"
	"kelp/internal/schema/schematest"
)

// orderText and its payload of about 1 KiB stand for a common record: ids, names, times, lines, a map.
const orderText = `{"type":"record","name":"Order","namespace":"shop","fields":[
{"name":"id","type":"long"},{"name":"customer","type":"string"},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","OPEN","DONE"]}},
{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
 {"name":"sku","type":"string"},{"name":"quantity","type":"int"},{"name":"price","type":"double"},{"name":"title","type":"string"}]}}},
{"name":"labels","type":{"type":"map","values":"string"}},{"name":"total","type":"double"},{"name":"paid","type":"boolean"},
{"name":"token","type":"bytes"},{"name":"codes","type":{"type":"array","items":"int"}},
{"name":"note","type":["null","string"],"default":null},{"name":"currency","type":"string"},{"name":"region","type":"int"},
{"name":"address","type":{"type":"record","name":"Address","fields":[{"name":"street","type":"string"},{"name":"city","type":"string"},
 {"name":"zip","type":"string"},{"name":"country","type":"string"}]}}]}`

func orderPayload(t testing.TB) (*codec, []byte) {
	k := mustCodec(t, mustParse(t, orderText))
	str, list := record.String, record.ListOf
	rec := func(pairs ...any) *record.Value {
		f := map[string]*record.Value{}
		for i := 0; i < len(pairs); i += 2 {
			f[pairs[i].(string)] = pairs[i+1].(*record.Value)
		}
		return record.Nested(&record.RecordValue{Fields: f})
	}
	var lines, labels, codes []*record.Value
	for i := range 16 {
		lines = append(lines, rec("sku", str(fmt.Sprintf("SKU-%05d", i*37)), "quantity", record.Int32(int32(i+1)),
			"price", record.Double(float64(i*3)+.99), "title", str(fmt.Sprintf("A thing of the number %d", i))))
	}
	for i := range 6 {
		labels = append(labels, record.Entry(str(fmt.Sprintf("label-%d", i)), str(fmt.Sprintf("value of label %d", i))))
	}
	for i := range 8 {
		codes = append(codes, record.Int32(int32(i)))
	}
	payload, err := k.Encode(rec("id", record.Int64(123456789012), "customer", str("c-998877"),
		"at", record.Timestamp(1767323045678000, true), "status", str("OPEN"), "lines", list(lines), "labels", list(labels),
		"total", record.Double(1234.5), "paid", record.Bool(true), "token", record.Bytes(make([]byte, 32)), "codes", list(codes),
		"note", str("leave at the door"), "currency", str("EUR"), "region", record.Int32(17),
		"address", rec("street", str("Some Street 17"), "city", str("Somewhere"), "zip", str("12345"), "country", str("DE"))).GetRecordValue())
	if err != nil {
		t.Fatal(err)
	}
	if len(payload) < 900 || len(payload) > 1150 {
		t.Fatalf("the payload has %d bytes", len(payload))
	}
	return k, payload
}

func BenchmarkPayload(b *testing.B) {
	k, payload := orderPayload(b)
	schematest.Benchmark(b, k, payload)
}

func BenchmarkSchema(b *testing.B) { schematest.BenchmarkText(b, Format{}, orderText) }

func TestValidationAllocatesNothing(t *testing.T) {
	k, payload := orderPayload(t)
	if n := testing.AllocsPerRun(100, func() { _ = k.Validate(payload) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
	if out, err := k.AppendJSON(nil, payload); err != nil || !json.Valid(out) {
		t.Errorf("%s, %v", out, err)
	}
}
