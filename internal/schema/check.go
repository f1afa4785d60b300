package schema

import (
	"fmt"
	"slices"
	"strings"
)

// maxShownText is how much of an older text a refusal repeats.
const maxShownText = 10 * 1024

// Compared is one version of a subject, parsed, with what a comparison must know of it.
type Compared struct {
	Number   int32 // zero for one that is not registered yet
	Schema   Schema
	Metadata *Metadata
}

// Direction says who reads whose data.
type Direction string

// The directions of a comparison.
const (
	NewReadsOld Direction = "new reads old" // what BACKWARD asks for: consumers are upgraded first
	OldReadsNew Direction = "old reads new" // what FORWARD asks for: producers are upgraded first
)

// Finding is one difference from one older version in one direction.
type Finding struct {
	Version   int32 // the older one
	Direction Direction
	Difference
}

// Verdict is what a comparison under a level found.
type Verdict struct {
	Compatible bool
	Level      Level
	// Findings are all differences in the directions and from the versions that the level names,
	// the newest version first; warnings are among them and break nothing.
	Findings []Finding
	// Messages are what the registry prints: the breaking differences from the first version that
	// has any.
	Messages []string
}

// differentType stands for the comparison of texts of two types.
const differentType = "Incompatible because of different schema type"

// Check compares a new schema with the versions of a subject, the oldest first, under its config.
func Check(next Compared, older []Compared, c *Config) Verdict {
	v := Verdict{Compatible: true, Level: c.CompatibilityLevel}
	if c.validatesFields() {
		v.reserve(next, older)
	}
	if c.CompatibilityGroup != "" {
		group, _ := next.Metadata.property(c.CompatibilityGroup)
		older = slices.DeleteFunc(slices.Clone(older), func(o Compared) bool {
			other, _ := o.Metadata.property(c.CompatibilityGroup)
			return other != group
		})
	}
	if v.Level == None {
		older = nil
	}
	if n := len(older); !v.Level.Transitive() && n > 1 {
		older = older[n-1:]
	}
	found := false
	for _, o := range slices.Backward(older) {
		findings := Compare(next, o, v.Level, c.Options())
		v.Findings = append(v.Findings, findings...)
		if messages := messagesOf(findings, v.Level, next, o); !found && len(messages) > 0 {
			found, v.Messages = true, append(v.Messages, messages...)
		}
	}
	if len(v.Messages) > 0 {
		v.Compatible = false
		v.Messages = append(v.Messages, fmt.Sprintf("{validateFields: '%t', compatibility: '%s'}", c.validatesFields(), v.Level))
	}
	return v
}

// Compare lists the differences of two schemas in the directions of a level.
func Compare(next, older Compared, l Level, o CompareOptions) []Finding {
	if next.Schema.Type() != older.Schema.Type() {
		return []Finding{{Version: older.Number, Direction: NewReadsOld, Difference: Difference{
			Type: "SCHEMA_TYPE_CHANGED", Message: differentType,
			Reader: string(next.Schema.Type()), Writer: string(older.Schema.Type()),
			Why:    "a reader of one type cannot read data of another",
			Advice: "register the new schema under another subject, such as that of a new topic",
		}}}
	}
	var findings []Finding
	add := func(d Direction, differences []Difference) {
		for _, each := range differences {
			findings = append(findings, Finding{Version: older.Number, Direction: d, Difference: each})
		}
	}
	// The registry reports what old readers miss before what new ones do.
	if l.forward() {
		reversed := o
		reversed.OlderReader = true
		add(OldReadsNew, older.Schema.ReadsFrom(next.Schema, reversed))
	}
	if l.backward() {
		add(NewReadsOld, next.Schema.ReadsFrom(older.Schema, o))
	}
	return findings
}

// messagesOf words findings as the registry does; the older schema follows those of the direction
// that is checked last.
func messagesOf(findings []Finding, l Level, next, older Compared) []string {
	var messages []string
	last := Direction("")
	for _, f := range findings {
		if f.Warning {
			continue
		}
		if f.Message == differentType {
			return []string{differentType}
		}
		messages = append(messages, f.Sentence(next.Schema.Type()))
		last = f.Direction
	}
	if last == "" || last == OldReadsNew && l.backward() {
		return messages
	}
	if older.Number > 0 {
		messages = append(messages, fmt.Sprintf("{oldSchemaVersion: %d}", older.Number))
	}
	text := older.Schema.Canonical()
	if len(text) > maxShownText {
		return append(messages, "{oldSchema: <truncated> '"+text[:maxShownText]+"...'}")
	}
	return append(messages, "{oldSchema: '"+text+"'}")
}

// Sentence is the registry's text for a finding.
func (f Finding) Sentence(t Type) string {
	text := f.Message
	if f.Type != "" && f.Type != reservedRemoved && f.Type != reservedConflicts && !strings.HasPrefix(text, "{errorType:") {
		text = wrapped(t, f.Difference)
	}
	reader, writer := "new", "old"
	if f.Direction == OldReadsNew {
		reader, writer = writer, reader
	}
	text = strings.Replace(text, "%s", reader, 1)
	return strings.ReplaceAll(text, "%s", writer)
}

// wrapped puts a bare description into the form that the registry has for each type; the odd
// quotes are Confluent's.
func wrapped(t Type, d Difference) string {
	switch t {
	case JSON:
		return fmt.Sprintf(`{errorType:"%s", description:"%s'}`, d.Type, d.Message)
	case Protobuf:
		return fmt.Sprintf(`{errorType:"%s", description:"%s"}`, d.Type, d.Message)
	case Avro:
	}
	return fmt.Sprintf(`{errorType:'%s', description:'%s', additionalInfo:'%s'}`, d.Type, d.Message, d.Writer)
}
