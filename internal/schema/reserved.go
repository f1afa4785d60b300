package schema

import (
	"fmt"
	"slices"
	"strings"
)

// reservedProperty lists, separated by commas, the names that fields of a subject must not have (again).
const reservedProperty = "confluent:reserved"

// Types of findings about reserved fields, as the registry has them for JSON Schema.
const (
	reservedRemoved   = "RESERVED_PROPERTY_REMOVED"
	reservedConflicts = "RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY"
)

func (m *Metadata) reserved() []string {
	list, _ := m.property(reservedProperty)
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return set(names)
}

// reserve adds what validateFields finds: names that are no longer reserved although the version before reserved
// them, whatever its group, and fields that have a reserved name.
func (v *Verdict) reserve(next Compared, older []Compared) {
	mine := next.Metadata.reserved()
	add := func(number int32, d Difference) {
		v.Findings = append(v.Findings, Finding{Version: number, Direction: NewReadsOld, Difference: d})
		v.Messages = append(v.Messages, d.Message)
	}
	if len(older) > 0 {
		last := older[len(older)-1]
		for _, name := range last.Metadata.reserved() {
			if slices.Contains(mine, name) {
				continue
			}
			add(last.Number, Difference{
				Type: reservedRemoved, Path: name, Writer: name,
				Message: fmt.Sprintf("The new schema has reserved field %s removed from its metadata "+
					"which is present in the old schema's metadata.", name),
				Why:    "the name was kept free because old data may hold something else under it",
				Advice: fmt.Sprintf("keep %s in the metadata property %s", name, reservedProperty),
			})
		}
	}
	fields := next.Schema.Fields()
	for _, name := range mine {
		if !slices.Contains(fields, name) {
			continue
		}
		add(0, Difference{
			Type: reservedConflicts, Path: name, Reader: name,
			Message: fmt.Sprintf("The new schema has field that conflicts with the reserved field %s.", name),
			Why:     "the name is kept free because data may hold something else under it",
			Advice:  fmt.Sprintf("give the field another name than %s", name),
		})
	}
}

// CheckFields refuses what validateFields does not let a JSON Schema have: properties whose names begin with $$.
func CheckFields(s Schema, c *Config) error {
	if !c.validatesFields() || s.Type() != JSON {
		return nil
	}
	for _, name := range s.Fields() {
		if strings.HasPrefix(name, "$$") {
			return InvalidSchema("Invalid schema of type %s, details: #/properties/%s: Field names cannot start with $$ prefix", s.Type(), name)
		}
	}
	return nil
}
