package validate

import (
	"fmt"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/envelope"
)

// side is the key or the value of a record.
type side bool

const (
	keySide   side = true
	valueSide side = false
)

func (s side) String() string {
	if s == keySide {
		return "key"
	}
	return "value"
}

// header is the record header that may carry the schema's guid.
func (s side) header() string {
	if s == keySide {
		return envelope.KeyHeader
	}
	return envelope.ValueHeader
}

// subject names the subject that a schema must belong to. name is the record's full name (Protobuf:
// of the message, JSON Schema: the title); ok is false where a strategy needs one and there is none.
func subject(strategy, context, topic string, s side, name string) (subject string, ok bool) {
	n := schema.Name{Context: schema.DefaultContext}
	if context != "" {
		n.Context = context
	}
	switch strategy {
	case cluster.RecordNameStrategy:
		n.Subject = name
	case cluster.TopicRecordNameStrategy:
		n.Subject = topic + "-" + name
	default:
		n.Subject = topic + "-" + s.String()
		return n.String(), true
	}
	return n.String(), name != ""
}

// schemaID is how a record names a schema.
type schemaID struct {
	hasGUID bool
	id      uint32
	guid    envelope.GUID
}

func (s schemaID) String() string {
	if s.hasGUID {
		return "guid " + s.guid.String()
	}
	return fmt.Sprintf("id %d", s.id)
}

// schemaKey names a schema among those of all registries.
type schemaKey struct {
	registry, context string
	schemaID
}

// useKey is a question: may this side of a topic use this schema? Of a Protobuf schema it is asked
// about one message where that matters, once the schema is known to be one.
type useKey struct {
	schema          schemaKey
	topic, strategy string
	side            side
	named           bool // message is set
	message         envelope.Indexes
}

// reason is why a record is bad, as metrics count it.
type reason string

const (
	unframed      reason = "unframed"
	unknownSchema reason = "unknown_schema"
	wrongSubject  reason = "wrong_subject"
	badPayload    reason = "bad_payload"
	tooMany       reason = "too_many_schemas"
	unchecked     reason = "unchecked"
)

// refusal is what is wrong with a record's schema, in words for its producer.
type refusal struct {
	reason reason
	words  string
}

func refuse(why reason, format string, args ...any) *refusal {
	words := fmt.Sprintf(format, args...)
	if len(words) > maxReasonBytes {
		words = words[:maxReasonBytes] + "..."
	}
	return &refusal{why, words}
}
