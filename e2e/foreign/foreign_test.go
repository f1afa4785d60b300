package foreign

import (
	"testing"

	"github.com/IBM/sarama"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
	"kelp/e2e/kafkago"
	saramaclient "kelp/e2e/sarama"
	"kelp/e2e/suite"
)

func TestConfluentPython(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Open(t, "confluent", b.Addr), suite.Options{Name: "confluent", Codecs: suite.Codecs, Nulls: true})
}

// TestKafkaJS: the library itself brings gzip; the other codecs are plug-ins of third parties.
func TestKafkaJS(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Open(t, "kafkajs", b.Addr), suite.Options{Name: "kafkajs", Codecs: suite.Codecs[:2], Nulls: true})
}

func TestJava(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Open(t, "java", b.Addr), suite.Options{Name: "java", Codecs: suite.Codecs, Nulls: true})
}

// TestCrosswise lets every client read what every other wrote.
func TestCrosswise(t *testing.T) {
	b := harness.Start(t)
	clients := map[string]suite.Client{
		"confluent": Open(t, "confluent", b.Addr), "kafkajs": Open(t, "kafkajs", b.Addr), "java": Open(t, "java", b.Addr),
		"franz": franz.Client{Addr: b.Addr}, "kafkago": kafkago.Client{Addr: b.Addr},
		"sarama":      saramaclient.Client{Addr: b.Addr, Version: sarama.MaxVersion},
		"sarama-0.11": saramaclient.Client{Addr: b.Addr, Version: sarama.V0_11_0_0},
	}
	records := suite.Edges(1_700_000_000_000)
	for writer, w := range clients {
		codec := "gzip"
		topic := "cross-" + writer
		if err := w.CreateTopic(suite.Context(t), topic, 1); err != nil {
			t.Fatal(err)
		}
		if err := w.Produce(suite.Context(t), topic, codec, records); err != nil {
			t.Fatalf("%s writes: %v", writer, err)
		}
		for reader, r := range clients {
			t.Run(writer+" to "+reader, func(t *testing.T) {
				got, err := r.Consume(suite.Context(t), topic, 0, 0, len(records))
				if err != nil {
					t.Fatal(err)
				}
				suite.Compare(t, records, got, false)
			})
		}
	}
}
