package jsonschema

import (
	"fmt"
	"strings"
	"testing"

	"kelp/internal/schema/schematest"
)

// orderText and its payload of about 1 KiB stand for a common document.
const orderText = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order","type":"object","properties":{
"id":{"type":"integer","minimum":1},"customer":{"type":"string","maxLength":40},"at":{"type":"string","format":"date-time"},
"status":{"enum":["NEW","OPEN","DONE"]},"total":{"type":"number"},"paid":{"type":"boolean"},"note":{"type":["string","null"]},
"lines":{"type":"array","items":{"$ref":"#/definitions/line"}},"labels":{"type":"object","additionalProperties":{"type":"string"}},
"codes":{"type":"array","items":{"type":"integer"}},"address":{"type":"object","properties":{"street":{"type":"string"},
"city":{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},"required":["street","city"]}},
"required":["id","customer","lines"],"additionalProperties":false,"definitions":{"line":{"type":"object","properties":{
"sku":{"type":"string"},"quantity":{"type":"integer","minimum":0},"price":{"type":"number"}},"required":["sku"]}}}`

func orderPayload(t testing.TB) (*codec, []byte) {
	var lines, labels []string
	for i := range 11 {
		lines = append(lines, fmt.Sprintf(`{"sku":"SKU-%05d","quantity":%d,"price":%d.99}`, i*37, i+1, i*3))
	}
	for i := range 5 {
		labels = append(labels, fmt.Sprintf(`"label-%d":"value of label %d"`, i, i))
	}
	payload := `{"id":123456789012,"customer":"c-998877","at":"2026-01-02T03:04:05.678Z","status":"OPEN","total":1234.5,"paid":true,` +
		`"note":null,"lines":[` + strings.Join(lines, ",") + `],"labels":{` + strings.Join(labels, ",") +
		`},"codes":[1,2,3,4,5,6,7,8],"address":{"street":"Some Street 17","city":"Somewhere","zip":"12345"}}`
	if len(payload) < 900 || len(payload) > 1150 {
		t.Fatalf("the payload has %d bytes", len(payload))
	}
	return mustCodec(t, mustParse(t, orderText)), []byte(payload)
}

func BenchmarkPayload(b *testing.B) {
	k, payload := orderPayload(b)
	schematest.Benchmark(b, k, payload)
}

func BenchmarkSchema(b *testing.B) { schematest.BenchmarkText(b, Format{}, orderText) }
