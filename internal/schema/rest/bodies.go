package rest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"kelp/internal/schema"
	"kelp/internal/schema/tags"
)

// noContent, rawText are answers that are not JSON of ours.
type (
	noContent struct{}
	rawText   string
)

type errorBody struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// encode writes an answer as the registry does: compact, no character escaped for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("an answer that cannot be written: %v", err)) // plain data
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// text is a string member that, as in the registry, may be sent as a number or boolean.
type text string

// UnmarshalJSON reads any scalar.
func (t *text) UnmarshalJSON(b []byte) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*t = ""
	case string:
		*t = text(v)
	case json.Number, bool:
		*t = text(fmt.Sprint(v))
	default:
		return &json.UnmarshalTypeError{Value: "object or array"}
	}
	return nil
}

// draftBody is a schema in a request.
type draftBody struct {
	Schema              text               `json:"schema"`
	SchemaType          *text              `json:"schemaType"`
	References          []schema.Reference `json:"references"`
	Metadata            *schema.Metadata   `json:"metadata"`
	RuleSet             *schema.RuleSet    `json:"ruleSet"`
	ID                  *int32             `json:"id"`
	Version             *int32             `json:"version"`
	SchemaTagsToAdd     []tags.Tagged      `json:"schemaTagsToAdd"`
	SchemaTagsToRemove  []tags.Tagged      `json:"schemaTagsToRemove"`
	PropagateSchemaTags bool               `json:"propagateSchemaTags"`
}

func (b *draftBody) draft() schema.Draft {
	d := schema.Draft{
		Type: schema.Avro, Text: string(b.Schema), References: b.References, Metadata: b.Metadata, RuleSet: b.RuleSet, ID: schema.NoID,
	}
	if b.SchemaType != nil {
		d.Type = schema.Type(*b.SchemaType)
	}
	if b.ID != nil {
		d.ID = *b.ID
	}
	if b.Version != nil {
		d.Version = *b.Version
	}
	return d
}

// versionBody is a schema in an answer. Members that an operation does not show are left empty.
type versionBody struct {
	Subject    string             `json:"subject,omitempty"`
	Version    int32              `json:"version,omitempty"`
	ID         *int32             `json:"id,omitempty"`
	GUID       string             `json:"guid,omitempty"`
	SchemaType schema.Type        `json:"schemaType,omitempty"`
	References []schema.Reference `json:"references,omitempty"`
	Metadata   *schema.Metadata   `json:"metadata,omitempty"`
	RuleSet    *schema.RuleSet    `json:"ruleSet,omitempty"`
	Schema     string             `json:"schema"`
	SchemaTags []tags.Tagged      `json:"schemaTags,omitempty"`
	MaxID      *int32             `json:"maxId,omitempty"`
	Ts         int64              `json:"ts,omitempty"`
	Deleted    *bool              `json:"deleted,omitempty"`
	Aliases    []string           `json:"aliases,omitempty"`
}

// plain is a version without when and whether: what a registration and a look-up show.
func plain(v *schema.Version) versionBody {
	id := v.ID
	return versionBody{
		Subject: v.Subject, Version: v.Number, ID: &id, GUID: v.GUID.String(), SchemaType: v.Type, References: v.References,
		Metadata: v.Metadata, RuleSet: v.RuleSet, Schema: v.Text,
	}
}

// full is everything about a version.
func full(v *schema.Version) versionBody {
	b := plain(v)
	deleted := v.Deleted
	b.Ts, b.Deleted = v.TimestampMs, &deleted
	return b
}

// byID is what the look-up of an id shows.
func byID(v *schema.Version) versionBody {
	b := full(v)
	b.ID = nil
	return b
}

type subjectVersion struct {
	Subject string `json:"subject"`
	Version int32  `json:"version"`
}

type levelBody struct {
	Compatible  bool             `json:"is_compatible"`
	Messages    *[]string        `json:"messages,omitempty"`
	Differences []differenceBody `json:"differences,omitempty"`
	Migration   *migrationBody   `json:"migration,omitempty"`
}

// differenceBody is our own part of a verbose answer: each difference with its reason and advice.
type differenceBody struct {
	Version   int32            `json:"version,omitempty"`
	Direction schema.Direction `json:"direction"`
	Type      string           `json:"type"`
	Path      string           `json:"path,omitempty"`
	Warning   bool             `json:"warning,omitempty"`
	Message   string           `json:"message,omitempty"`
	Reader    string           `json:"reader,omitempty"`
	Writer    string           `json:"writer,omitempty"`
	Why       string           `json:"why,omitempty"`
	Advice    string           `json:"advice,omitempty"`
}

type migrationBody struct {
	Holds     []schema.Level `json:"holds"`
	Strongest schema.Level   `json:"strongest"`
	First     string         `json:"first"`
	Steps     []string       `json:"steps"`
}

// configUpdateBody echoes a config under the names of an update.
type configUpdateBody struct {
	Compatibility schema.Level `json:"compatibility,omitempty"`
	schema.Config
}

type modeBody struct {
	Mode schema.Mode `json:"mode,omitempty"`
}
