package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// root is the repository, seen from bench.
const root = ".."

// codecTime is how long each operation of each format is measured.
const codecTime = "2s"

// measured is a line of go test's benchmarks.
var measured = regexp.MustCompile(`^BenchmarkPayload/(\w+)\s+\d+\s+([\d.]+) ns/op.*?([\d.]+) MB/s.*?(\d+) B/op\s+(\d+) allocs/op`)

// codecs runs the benchmarks of the formats' codecs on one core and prints them as a table.
func codecs() error {
	fmt.Printf("\nRecords of about 1 KiB on one core: a payload checked, made a record value, written back, printed as JSON.\n\n" +
		"| format | operation | records/s | MB/s | allocations | bytes |\n|---|---|---|---|---|---|\n")
	for _, format := range []string{"avro", "protobuf", "jsonschema"} {
		cmd := exec.CommandContext(context.Background(), "go", "test", "-run", "^$", "-bench", "^BenchmarkPayload$/^(validate|decode|encode|json)$",
			"-benchtime", codecTime, "-cpu", "1", "./"+filepath.Join("internal", "schema", format))
		cmd.Dir, cmd.Stderr = root, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", format, err, out)
		}
		found := 0
		for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
			m := measured.FindStringSubmatch(lines.Text())
			if m == nil {
				continue
			}
			ns, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return err
			}
			found++
			fmt.Printf("| %s | %s | %.0f | %s | %s | %s |\n", format, m[1], 1e9/ns, m[3], m[5], m[4])
		}
		if found == 0 {
			return fmt.Errorf("%s: no benchmark ran\n%s", format, out)
		}
	}
	return nil
}
