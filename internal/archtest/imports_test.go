// Package archtest holds the architecture as tests: which of our packages may import which, and
// the tidy rules that no linter checks.
package archtest

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "kelp/internal/"

// mayImport is the architecture: each package and the packages of ours it may import.
var mayImport = map[string][]string{
	"wire":                {},
	"storage":             {},
	"batch":               {},
	"vfs":                 {},
	"config":              {},
	"telemetry":           {},
	"storage/storagetest": {"storage"},
	"storage/memory":      {"storage"},
	"storage/embedded":    {"storage", "vfs"},
	"storage/seaweedfs":   {"storage", "seaweed"},
	"seaweed":             {"seaweed/filerpb", "seaweed/masterpb"},
	"seaweed/mq":          {"schema/record", "seaweed", "seaweed/filerpb", "seaweed/mqpb"},
	"seaweed/mqpb":        {"schema/record", "seaweed/filerpb"},
	"seaweed/filerpb":     {},
	"seaweedmq":           {"batch", "cluster", "schema", "schema/envelope", "schema/record", "seaweed", "seaweed/mq", "storage", "topic"},
	"seaweedmq/source":    {"batch", "cluster", "schema", "schema/envelope", "schema/record", "seaweed", "seaweed/mq", "storage"},
	"seaweed/masterpb":    {},
	"statelog":            {"storage", "batch"},
	"transfer":            {"storage", "batch"},
	"group":               {"group/assign", "statelog"},
	"group/assign":        {},
	"txn":                 {"statelog"},
	"cluster":             {"storage", "batch"},
	"topic":               {"storage", "batch", "cluster"},
	"validate":            {"topic", "batch", "cluster", "schema", "schema/envelope", "schema/record"},
	"api":                 {"topic", "group", "txn", "cluster", "statelog", "storage", "batch", "telemetry"},
	"server":              {"wire", "api", "telemetry"},
	"node": {
		"api", "batch", "cluster", "config", "group", "schema", "schema/avro", "schema/client", "schema/jsonschema", "schema/protobuf",
		"schema/registry", "schema/rest", "server", "statelog", "storage", "storage/embedded",
		"storage/memory", "storage/seaweedfs", "seaweed", "seaweed/mq", "seaweedmq", "telemetry", "topic", "txn", "validate", "vfs", "wire",
		"transfer", "seaweedmq/source",
	},
	"schema":            {"statelog", "schema/record"},
	"schema/record":     {},
	"schema/envelope":   {},
	"schema/jsontree":   {},
	"schema/avro":       {"schema", "schema/jsontree", "schema/record"},
	"schema/protobuf":   {"schema", "schema/record"},
	"schema/jsonschema": {"schema", "schema/jsontree", "schema/record"},
	"schema/schematest": {"schema", "schema/record"},
	"schema/registry":   {"schema", "statelog"},
	"schema/tags":       {"schema", "schema/jsontree", "schema/protobuf"},
	"schema/rest":       {"schema", "schema/registry", "schema/tags", "telemetry"},
	"schema/client":     {"schema"},
	"cli":               {"config"},
	"archtest":          {},
}

func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s: new package; add it to mayImport and to ARCHITECTURE.md", name)
		}
		for _, imp := range p.Imports {
			if dep, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(allowed, dep) {
				t.Errorf("%s must not import %s", name, dep)
			}
		}
	}
}
