package schema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"kelp/internal/statelog"
)

// Key types of the log, in Confluent's words.
const (
	keySchema        = "SCHEMA"
	keyConfig        = "CONFIG"
	keyMode          = "MODE"
	keyDeleteSubject = "DELETE_SUBJECT"
	keyClearSubject  = "CLEAR_SUBJECT"
	keyContext       = "CONTEXT"
	keyNoop          = "NOOP"
)

// tenant stands in the keys of contexts; a plain registry has only this one.
const tenant = "default"

// logKey is a key of the log. The order of its members is that of Confluent's registry, because
// compaction compares bytes.
type logKey struct {
	KeyType string  `json:"keytype"`
	Tenant  string  `json:"tenant,omitempty"`
	Context string  `json:"context,omitempty"`
	Subject *string `json:"subject,omitempty"`
	Version int32   `json:"version,omitempty"`
	Magic   int     `json:"magic"`
}

// subject gives the key's subject, empty for what holds for all.
func (k logKey) subject() string {
	if k.Subject == nil {
		return ""
	}
	return *k.Subject
}

type schemaValue struct {
	Subject    string      `json:"subject"`
	Version    int32       `json:"version"`
	ID         int32       `json:"id"`
	SchemaType Type        `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
	Metadata   *Metadata   `json:"metadata,omitempty"`
	RuleSet    *RuleSet    `json:"ruleSet,omitempty"`
	Schema     string      `json:"schema"`
	Deleted    bool        `json:"deleted"`
}

type configValue struct {
	Subject string `json:"subject,omitempty"`
	Config
}

type modeValue struct {
	Subject string `json:"subject,omitempty"`
	Mode    Mode   `json:"mode"`
}

type subjectValue struct {
	Subject string `json:"subject,omitempty"`
	Version int32  `json:"version,omitempty"` // the highest that DELETE_SUBJECT deletes
}

type contextValue struct {
	Tenant  string `json:"tenant"`
	Context string `json:"context"`
}

// noopValue keeps the highest ids of contexts over permanent deletes and compaction. Other
// registries ignore the value of this key.
type noopValue struct {
	MaxIDs map[string]int32 `json:"kelpMaxIds"`
}

// encode writes JSON as the other registries do: in one line, no character escaped for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("schema: a record that cannot be written: %v", err)) // plain data
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func subjectKey(kind, subject string) []byte {
	k := logKey{KeyType: kind}
	if subject != "" {
		k.Subject = &subject
	}
	return encode(k)
}

func schemaKey(subject string, version int32) []byte {
	return encode(logKey{KeyType: keySchema, Subject: &subject, Version: version, Magic: 1})
}

func schemaRecord(v *Version) statelog.Record {
	return statelog.Record{Key: schemaKey(v.Subject, v.Number), Value: encode(schemaValue{
		Subject: v.Subject, Version: v.Number, ID: v.ID, SchemaType: v.Type, References: v.References,
		Metadata: v.Metadata, RuleSet: v.RuleSet, Schema: v.Text, Deleted: v.Deleted,
	}), TimestampMs: v.TimestampMs}
}

func schemaTombstone(subject string, version int32) statelog.Record {
	return statelog.Record{Key: schemaKey(subject, version)}
}

func configRecord(subject string, c *Config) statelog.Record {
	r := statelog.Record{Key: subjectKey(keyConfig, subject)}
	if c != nil {
		r.Value = encode(configValue{Subject: subject, Config: *c})
	}
	return r
}

func modeRecord(subject string, m Mode) statelog.Record {
	r := statelog.Record{Key: subjectKey(keyMode, subject)}
	if m != "" {
		r.Value = encode(modeValue{Subject: subject, Mode: m})
	}
	return r
}

func deleteSubjectRecord(subject string, upTo int32) statelog.Record {
	return statelog.Record{Key: subjectKey(keyDeleteSubject, subject), Value: encode(subjectValue{Subject: subject, Version: upTo})}
}

func clearSubjectRecord(subject string) statelog.Record {
	return statelog.Record{Key: subjectKey(keyClearSubject, subject), Value: encode(subjectValue{Subject: subject})}
}

func contextRecord(context string, exists bool) statelog.Record {
	r := statelog.Record{Key: encode(logKey{KeyType: keyContext, Tenant: tenant, Context: context})}
	if exists {
		r.Value = encode(contextValue{Tenant: tenant, Context: context})
	}
	return r
}

func noopRecord(maxIDs map[string]int32) statelog.Record {
	return statelog.Record{Key: encode(logKey{KeyType: keyNoop}), Value: encode(noopValue{MaxIDs: maxIDs})}
}

// blank says whether a text is empty but for white space.
func blank(text string) bool { return len(bytes.TrimSpace([]byte(text))) == 0 }
