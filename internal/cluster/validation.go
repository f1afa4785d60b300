package cluster

import (
	"fmt"
	"strings"
)

// Validation is what a topic asks of the schemas of its records: Confluent's configs and our own.
type Validation struct {
	Key, Value                 bool   // which sides are looked at
	KeyStrategy, ValueStrategy string // one of the strategies below
	// Context is the registry's context that holds the schemas, empty for the default one.
	Context    string
	Payload    bool // payloads are decoded too, not just the schema's id looked up
	Permissive bool // bad records are stored and marked
	FailOpen   bool // records are stored unchecked while the registry cannot be asked
}

// How the subject that a record's schema must belong to is named.
const (
	TopicNameStrategy       = "TopicNameStrategy"
	RecordNameStrategy      = "RecordNameStrategy"
	TopicRecordNameStrategy = "TopicRecordNameStrategy"
)

const (
	strategyPackage = "io.confluent.kafka.serializers.subject."
	defaultContext  = "default"
)

var (
	strategies     = []string{TopicNameStrategy, RecordNameStrategy, TopicRecordNameStrategy}
	strategyValues = oneOf(append(withPackage(strategies), strategies...)...)
)

func withPackage(names []string) []string {
	var all []string
	for _, n := range names {
		all = append(all, strategyPackage+n)
	}
	return all
}

// maxContextBytes bounds the name of a context.
const maxContextBytes = 255

func contextName(v string) error {
	if v == defaultContext || v == "." {
		return nil
	}
	if len(v) > maxContextBytes || len(v) < 2 || v[0] != '.' || strings.ContainsFunc(v, func(r rune) bool {
		return r <= ' ' || r == ':' || r == 0x7f
	}) {
		return fmt.Errorf("must be default or the name of a context, which begins with a dot and has no colon")
	}
	return nil
}

// validationKeys are those of schema validation. Confluent Server has the first group.
var validationKeys = []Key{
	{
		Name: "confluent.key.schema.validation", Kind: Boolean, Default: "false", check: oneOf("true", "false"),
		Doc: "Whether the keys of records must name a schema of the topic's subject.",
	},
	{
		Name: "confluent.key.subject.name.strategy", Kind: String, Default: strategyPackage + TopicNameStrategy, check: strategyValues,
		Doc: "Which subject a key's schema must belong to: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.",
	},
	{
		Name: "confluent.schema.validation.context.name", Kind: String, Default: defaultContext, check: contextName,
		Doc: "Context of the schema registry in which the schemas are looked up.",
	},
	{
		Name: "confluent.value.schema.validation", Kind: Boolean, Default: "false", check: oneOf("true", "false"),
		Doc: "Whether the values of records must name a schema of the topic's subject.",
	},
	{
		Name: "confluent.value.subject.name.strategy", Kind: String, Default: strategyPackage + TopicNameStrategy, check: strategyValues,
		Doc: "Which subject a value's schema must belong to: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.",
	},
	{
		Name: "kelp.schema.validation", Kind: String, Default: "id", check: oneOf("id", "payload"),
		Doc: "How far validation goes: id looks up the schema that a record names, payload also decodes the record with it.",
	},
	{
		Name: "kelp.schema.validation.mode", Kind: String, Default: "strict", check: oneOf("strict", "permissive"),
		Doc: "strict refuses a batch that has a bad record; permissive stores it, with the header kelp.schema.invalid on each bad record.",
	},
	{
		Name: "kelp.schema.validation.unavailable", Kind: String, Default: "fail-closed", check: oneOf("fail-closed", "fail-open"),
		Doc: "What becomes of records whose schema is not known here while the registry does not answer: fail-closed refuses them with an " +
			"error that producers retry (permissive mode marks them), fail-open stores them unchecked.",
	},
}

// validationOf reads what is in force, nil when nothing is validated.
func validationOf(text func(string) string) *Validation {
	v := &Validation{
		Key: text("confluent.key.schema.validation") == "true", Value: text("confluent.value.schema.validation") == "true",
	}
	if !v.Key && !v.Value {
		return nil
	}
	v.KeyStrategy = strings.TrimPrefix(text("confluent.key.subject.name.strategy"), strategyPackage)
	v.ValueStrategy = strings.TrimPrefix(text("confluent.value.subject.name.strategy"), strategyPackage)
	if c := text("confluent.schema.validation.context.name"); c != defaultContext && c != "." {
		v.Context = c
	}
	v.Payload = text("kelp.schema.validation") == "payload"
	v.Permissive = text("kelp.schema.validation.mode") == "permissive"
	v.FailOpen = text("kelp.schema.validation.unavailable") == "fail-open"
	return v
}
