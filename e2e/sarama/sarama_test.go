package sarama

import (
	"strings"
	"testing"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// TestSuite runs every version against one broker.
func TestSuite(t *testing.T) {
	b := harness.Start(t)
	for i, v := range Versions(b.Kind) {
		t.Run(v.String(), func(t *testing.T) {
			name := "sarama-" + strings.ReplaceAll(v.String(), ".", "_")
			suite.Run(t, b, Client{Addr: b.Addr, Version: v, Async: i%2 == 1}, suite.Options{Name: name, Codecs: Codecs(v), Nulls: true})
		})
	}
}
