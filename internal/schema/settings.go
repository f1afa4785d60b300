package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Level is how a new version must relate to those before it.
type Level string

// The levels. Those without Transitive look at the newest version only.
const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD"
	BackwardTransitive Level = "BACKWARD_TRANSITIVE"
	Forward            Level = "FORWARD"
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"
	Full               Level = "FULL"
	FullTransitive     Level = "FULL_TRANSITIVE"
)

// Levels are all levels, the weaker before the stronger.
var Levels = []Level{None, Backward, Forward, Full, BackwardTransitive, ForwardTransitive, FullTransitive}

// ParseLevel reads a level in any case.
func ParseLevel(s string) (Level, error) {
	l := Level(strings.ToUpper(s))
	if !slices.Contains(Levels, l) {
		return "", invalidLevel()
	}
	return l, nil
}

// Transitive says whether the level looks at all versions.
func (l Level) Transitive() bool { return strings.HasSuffix(string(l), "_TRANSITIVE") }

// backward and forward say which directions the level asks for.
func (l Level) backward() bool {
	return strings.HasPrefix(string(l), "BACKWARD") || strings.HasPrefix(string(l), "FULL")
}

func (l Level) forward() bool {
	return strings.HasPrefix(string(l), "FORWARD") || strings.HasPrefix(string(l), "FULL")
}

// Policies of comparing JSON Schemas.
const (
	Strict  = "STRICT"
	Lenient = "LENIENT"
)

// Mode is what may be done with a subject.
type Mode string

// The modes.
const (
	ReadWrite        Mode = "READWRITE"
	ReadOnly         Mode = "READONLY"
	ReadOnlyOverride Mode = "READONLY_OVERRIDE"
	Import           Mode = "IMPORT"
	ForwardMode      Mode = "FORWARD"
)

// ParseMode reads a mode in any case.
func ParseMode(s string) (Mode, error) {
	m := Mode(strings.ToUpper(s))
	if !slices.Contains([]Mode{ReadWrite, ReadOnly, ReadOnlyOverride, Import, ForwardMode}, m) {
		return "", invalidMode()
	}
	return m, nil
}

func (m Mode) readOnly() bool { return m == ReadOnly || m == ReadOnlyOverride }

// imports says whether schemas come with their ids and are not compared.
func (m Mode) imports() bool { return m == Import || m == ForwardMode }

// Config is what is set for a subject, a context or all of them. Absent members are inherited
// where the registry does so.
type Config struct {
	Alias               string    `json:"alias,omitempty"`
	AliasForDeks        string    `json:"aliasForDeks,omitempty"`
	Normalize           *bool     `json:"normalize,omitempty"`
	ValidateFields      *bool     `json:"validateFields,omitempty"`
	ValidateNewSchemas  *bool     `json:"validateNewSchemas,omitempty"`
	ValidateRules       *bool     `json:"validateRules,omitempty"`
	CompatibilityLevel  Level     `json:"compatibilityLevel,omitempty"`
	CompatibilityPolicy string    `json:"compatibilityPolicy,omitempty"`
	CompatibilityGroup  string    `json:"compatibilityGroup,omitempty"`
	DefaultMetadata     *Metadata `json:"defaultMetadata,omitempty"`
	OverrideMetadata    *Metadata `json:"overrideMetadata,omitempty"`
	DefaultRuleSet      *RuleSet  `json:"defaultRuleSet,omitempty"`
	OverrideRuleSet     *RuleSet  `json:"overrideRuleSet,omitempty"`
}

// fills says whether a config adds metadata or rules to what is registered.
func (c *Config) fills() bool {
	return c.DefaultMetadata != nil || c.OverrideMetadata != nil || c.DefaultRuleSet != nil || c.OverrideRuleSet != nil
}

func (c *Config) validatesFields() bool { return c.ValidateFields != nil && *c.ValidateFields }

// Options are the part of a config that formats need.
func (c *Config) Options() CompareOptions {
	return CompareOptions{Lenient: c.CompatibilityPolicy == Lenient}
}

// over lays a subject's config over the global one: only some members are inherited.
func (c Config) over(global *Config) Config {
	if global == nil {
		return c
	}
	inherit := func(to **bool, from *bool) {
		if *to == nil {
			*to = from
		}
	}
	inherit(&c.Normalize, global.Normalize)
	inherit(&c.ValidateFields, global.ValidateFields)
	inherit(&c.ValidateNewSchemas, global.ValidateNewSchemas)
	inherit(&c.ValidateRules, global.ValidateRules)
	if c.CompatibilityPolicy == "" {
		c.CompatibilityPolicy = global.CompatibilityPolicy
	}
	if c.CompatibilityGroup == "" {
		c.CompatibilityGroup = global.CompatibilityGroup
	}
	return c
}

// ConfigUpdate changes the members that it names: an explicit null clears one.
type ConfigUpdate map[string]json.RawMessage

// Apply gives the config after the update. The level is called compatibility in an update.
func (u ConfigUpdate) Apply(old Config) (Config, error) {
	members := map[string]json.RawMessage{}
	for name, value := range u {
		if name == "compatibility" {
			name = "compatibilityLevel"
		}
		members[name] = value
		if string(value) != "null" {
			continue
		}
		clearMember(&old, name)
		delete(members, name)
	}
	level := old.CompatibilityLevel
	changed, err := json.Marshal(members)
	if err != nil {
		return old, err
	}
	// Sets and maps must be replaced, not filled up.
	for name := range members {
		clearMember(&old, name)
	}
	if err := json.Unmarshal(changed, &old); err != nil {
		words := err.Error()
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			words = fmt.Sprintf("its member %s cannot be a JSON %s", kind.Field, kind.Value)
		}
		return old, refuse(http.StatusBadRequest, "the config cannot be read: %s", words)
	}
	if old.CompatibilityLevel != "" && old.CompatibilityLevel != level {
		if old.CompatibilityLevel, err = ParseLevel(string(old.CompatibilityLevel)); err != nil {
			return old, err
		}
	}
	if old.CompatibilityPolicy != "" {
		old.CompatibilityPolicy = strings.ToUpper(old.CompatibilityPolicy)
		if old.CompatibilityPolicy != Strict && old.CompatibilityPolicy != Lenient {
			return old, invalidPolicy()
		}
	}
	if err := old.DefaultRuleSet.Check(); err != nil {
		return old, err
	}
	return old, old.OverrideRuleSet.Check()
}

func clearMember(c *Config, name string) {
	switch name {
	case "alias":
		c.Alias = ""
	case "aliasForDeks":
		c.AliasForDeks = ""
	case "normalize":
		c.Normalize = nil
	case "validateFields":
		c.ValidateFields = nil
	case "validateNewSchemas":
		c.ValidateNewSchemas = nil
	case "validateRules":
		c.ValidateRules = nil
	case "compatibilityLevel":
		c.CompatibilityLevel = ""
	case "compatibilityPolicy":
		c.CompatibilityPolicy = ""
	case "compatibilityGroup":
		c.CompatibilityGroup = ""
	case "defaultMetadata":
		c.DefaultMetadata = nil
	case "overrideMetadata":
		c.OverrideMetadata = nil
	case "defaultRuleSet":
		c.DefaultRuleSet = nil
	case "overrideRuleSet":
		c.OverrideRuleSet = nil
	}
}
