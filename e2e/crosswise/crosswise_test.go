// Package crosswise lets every client read what every other one wrote.
package crosswise

import (
	"testing"

	"kelp/e2e/foreign"
	"kelp/e2e/franz"
	"kelp/e2e/harness"
	"kelp/e2e/kafkago"
	saramaclient "kelp/e2e/sarama"
	"kelp/e2e/suite"
)

func TestCrosswise(t *testing.T) {
	b := harness.Start(t)
	peers := map[string]suite.Peer{
		"franz":     {Client: franz.Client{Addr: b.Addr}, Codecs: suite.Codecs, Nulls: true},
		"kafkago":   {Client: kafkago.Client{Addr: b.Addr}, Codecs: suite.Codecs},
		"confluent": {Client: foreign.Open(t, "confluent", b.Addr), Codecs: suite.Codecs, Nulls: true},
		"java":      {Client: foreign.Open(t, "java", b.Addr), Codecs: suite.Codecs, Nulls: true},
		"kafkajs":   {Client: foreign.Open(t, "kafkajs", b.Addr), Codecs: foreign.KafkaJSCodecs, Nulls: true},
	}
	for _, v := range saramaclient.Versions(b.Kind) {
		peers["sarama-"+v.String()] = suite.Peer{
			Client: saramaclient.Client{Addr: b.Addr, Version: v}, Codecs: saramaclient.Codecs(v), Nulls: true,
		}
	}
	suite.Crosswise(t, peers)
}
