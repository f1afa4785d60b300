package sarama

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// TestSuite runs every version against one broker. Apache Kafka 4 no longer answers what 0.11 to 2.0 ask for, so there
// the run starts at 2.1, the oldest version it supports.
func TestSuite(t *testing.T) {
	b := harness.Start(t)
	versions := []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.V1_0_0_0, sarama.V2_0_0_0, sarama.V2_1_0_0, sarama.MaxVersion}
	if b.Kind == harness.Kafka {
		versions = versions[3:]
	}
	for i, v := range versions {
		codecs := suite.Codecs
		if !v.IsAtLeast(sarama.V2_1_0_0) {
			codecs = codecs[:4] // zstd came with 2.1
		}
		t.Run(v.String(), func(t *testing.T) {
			name := "sarama-" + strings.ReplaceAll(v.String(), ".", "_")
			suite.Run(t, b, Client{Addr: b.Addr, Version: v, Async: i%2 == 1}, suite.Options{Name: name, Codecs: codecs, Nulls: true})
		})
	}
}
