package jsonschema

import (
	"fmt"
	"strings"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/schematest"
)

// TestLargeTexts: large texts of the kinds that cost most are read and compared
// with themselves in time that grows with their size; with five times as many members too.
func TestLargeTexts(t *testing.T) {
	const modern = `"$schema":"https://json-schema.org/draft/2020-12/schema",`
	repeat := func(n int, format string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(parts, ",")
	}
	bodies := map[string]string{
		"properties": `"type":"object","properties":{` + repeat(5_000, `"p%d":{"type":"string"}`) + `}`,
		"unknown":    repeat(8_000, `"x-%d":1`),
		"references": `"type":"object","properties":{` + repeat(3_000, `"p%d":{"$ref":"#/$defs/a"}`) + `},"$defs":{"a":{"type":"string"}}`,
		"enum":       `"enum":[` + repeat(10_000, `"v%d"`) + `]`,
		"allOf":      `"allOf":[` + repeat(4_000, `{"title":"%d"}`) + `]`,
		"deep":       strings.Repeat(`"not":{`, 190) + strings.Repeat(`}`, 190),
	}
	for name, body := range bodies {
		for _, draft := range []string{"", modern} {
			text := "{" + draft + body + "}"
			if len(text) > schema.MaxTextBytes {
				t.Fatalf("%s has %d bytes", name, len(text))
			}
			s := mustParse(t, text)
			if name == "allOf" {
				continue // its comparison is given up: see TestLargeComparisonsEnd
			}
			if _, changes, ok := schematest.Incompatible(s.ReadsFrom(mustParse(t, text), schema.CompareOptions{})); !ok {
				t.Errorf("%s does not read itself: %v", name, changes[:min(3, len(changes))])
			}
		}
	}
}
