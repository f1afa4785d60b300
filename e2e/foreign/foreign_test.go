package foreign

import (
	"testing"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

func TestConfluentPython(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Open(t, "confluent", b.Addr), suite.Options{Name: "confluent", Codecs: suite.Codecs, Nulls: true})
}

func TestKafkaJS(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Open(t, "kafkajs", b.Addr), suite.Options{Name: "kafkajs", Codecs: KafkaJSCodecs, Nulls: true})
}

func TestJava(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Open(t, "java", b.Addr), suite.Options{Name: "java", Codecs: suite.Codecs, Nulls: true})
}
