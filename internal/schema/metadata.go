package schema

import (
	"cmp"
	"crypto/md5" //nolint:gosec // the registry's guid is an MD5
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// versionProperty is the property in which the registry keeps a version's own number on request.
const versionProperty = "confluent:version"

// maxRules bounds the rules of one set, and the entries of metadata.
const maxRules = 1000

// Reference is one schema that another uses, by the name that its text gives it.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int32  `json:"version"`
}

func (r Reference) String() string {
	return fmt.Sprintf("{name='%s', subject='%s', version=%d}", r.Name, r.Subject, r.Version)
}

// Metadata is what a user keeps with a schema. Lists are kept sorted and without duplicates.
type Metadata struct {
	Tags       map[string][]string `json:"tags,omitempty"`
	Properties map[string]string   `json:"properties,omitempty"`
	Sensitive  []string            `json:"sensitive,omitempty"`
}

// UnmarshalJSON reads metadata into its one form.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	type plain Metadata
	if err := json.Unmarshal(b, (*plain)(m)); err != nil {
		return err
	}
	for k, v := range m.Tags {
		m.Tags[k] = set(v)
	}
	m.Sensitive = set(m.Sensitive)
	return nil
}

// set sorts a copy and drops repetitions.
func set[T cmp.Ordered](all []T) []T { return slices.Compact(slices.Sorted(slices.Values(all))) }

func (m *Metadata) equal(o *Metadata) bool {
	if m == nil || o == nil {
		return m == o
	}
	return maps.EqualFunc(m.Tags, o.Tags, slices.Equal) && maps.Equal(m.Properties, o.Properties) && slices.Equal(m.Sensitive, o.Sensitive)
}

// property gives a property, empty without metadata.
func (m *Metadata) property(name string) (string, bool) {
	if m == nil {
		return "", false
	}
	value, ok := m.Properties[name]
	return value, ok
}

// withVersion sets the version's own number.
func (m *Metadata) withVersion(number int32) *Metadata {
	c := Metadata{}
	if m != nil {
		c = *m
	}
	c.Properties = maps.Clone(c.Properties)
	if c.Properties == nil {
		c.Properties = map[string]string{}
	}
	c.Properties[versionProperty] = strconv.Itoa(int(number))
	return &c
}

// withoutVersion removes the version's own number.
func (m *Metadata) withoutVersion() *Metadata {
	if _, ok := m.property(versionProperty); !ok {
		return m
	}
	c := *m
	c.Properties = maps.Clone(c.Properties)
	delete(c.Properties, versionProperty)
	return &c
}

// mergeMetadata lays one over the other, entry by entry.
func mergeMetadata(under, over *Metadata) *Metadata {
	if under == nil || over == nil {
		if over == nil {
			return under
		}
		return over
	}
	c := &Metadata{Tags: maps.Clone(under.Tags), Properties: maps.Clone(under.Properties)}
	if c.Tags == nil {
		c.Tags = map[string][]string{}
	}
	if c.Properties == nil {
		c.Properties = map[string]string{}
	}
	maps.Copy(c.Tags, over.Tags)
	maps.Copy(c.Properties, over.Properties)
	c.Sensitive = set(append(slices.Clone(under.Sensitive), over.Sensitive...))
	return c
}

// Rule is kept for the clients that run it; the registry does not.
type Rule struct {
	Name      string            `json:"name,omitempty"`
	Doc       string            `json:"doc,omitempty"`
	Kind      string            `json:"kind,omitempty"` // TRANSFORM, CONDITION
	Mode      string            `json:"mode,omitempty"` // UPGRADE, DOWNGRADE, UPDOWN, WRITE, READ, WRITEREAD
	Type      string            `json:"type,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Expr      string            `json:"expr,omitempty"`
	OnSuccess string            `json:"onSuccess,omitempty"`
	OnFailure string            `json:"onFailure,omitempty"`
	Disabled  bool              `json:"disabled"`
}

// UnmarshalJSON fills in what an absent member means.
func (r *Rule) UnmarshalJSON(b []byte) error {
	type plain Rule
	if err := json.Unmarshal(b, (*plain)(r)); err != nil {
		return err
	}
	r.Tags = set(r.Tags)
	if r.Kind == "" {
		r.Kind = "TRANSFORM"
	}
	if r.Mode == "" {
		r.Mode = "WRITEREAD"
	}
	return nil
}

// RuleSet is every rule of a schema.
type RuleSet struct {
	MigrationRules []Rule `json:"migrationRules,omitempty"`
	DomainRules    []Rule `json:"domainRules,omitempty"`
	EncodingRules  []Rule `json:"encodingRules,omitempty"`
	EnableAt       string `json:"enableAt,omitempty"`
}

func (s *RuleSet) lists() [3]*[]Rule {
	return [3]*[]Rule{&s.MigrationRules, &s.DomainRules, &s.EncodingRules}
}

func (s *RuleSet) equal(o *RuleSet) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.sum() == o.sum()
}

func (s *RuleSet) sum() [md5.Size]byte {
	b, _ := json.Marshal(s) // plain data
	return md5.Sum(b)       //nolint:gosec // compares, protects nothing
}

// HasType says whether a rule of that type is among them.
func (s *RuleSet) HasType(kind string) bool {
	if s == nil {
		return false
	}
	for _, list := range s.lists() {
		if slices.ContainsFunc(*list, func(r Rule) bool { return r.Type == kind }) {
			return true
		}
	}
	return false
}

// MergeRules lays one set over the other: a rule replaces that of the same name.
func MergeRules(under, over *RuleSet) *RuleSet {
	if under == nil || over == nil {
		if over == nil {
			return under
		}
		return over
	}
	c := &RuleSet{EnableAt: over.EnableAt}
	if c.EnableAt == "" {
		c.EnableAt = under.EnableAt
	}
	a, b, to := under.lists(), over.lists(), c.lists()
	for i := range to {
		for _, r := range *a[i] {
			if !slices.ContainsFunc(*b[i], func(n Rule) bool { return n.Name == r.Name }) {
				*to[i] = append(*to[i], r)
			}
		}
		*to[i] = append(*to[i], *b[i]...)
	}
	return c
}

// Without removes the rules of these names.
func (s *RuleSet) Without(names []string) *RuleSet {
	if s == nil || len(names) == 0 {
		return s
	}
	c := *s
	for _, list := range c.lists() {
		*list = slices.DeleteFunc(slices.Clone(*list), func(r Rule) bool { return slices.Contains(names, r.Name) })
	}
	return &c
}

// Check refuses rules that no client could run.
func (s *RuleSet) Check() error {
	if s == nil {
		return nil
	}
	modes := [3]struct{ words, refusal string }{
		{"UPGRADE DOWNGRADE UPDOWN", "Migration rules can only be UPGRADE, DOWNGRADE, UPDOWN"},
		{"WRITE READ WRITEREAD", "Domain rules can only be WRITE, READ, WRITEREAD"},
		{"WRITE READ WRITEREAD", "Encoding rules can only be WRITE, READ, WRITEREAD"},
	}
	names := map[string]bool{}
	for i, list := range s.lists() {
		for _, r := range *list {
			if names[r.Name] {
				return invalidRuleSet("Found rule with duplicate name '%s'", r.Name)
			}
			names[r.Name] = true
			if err := r.check(); err != nil {
				return err
			}
			if !slices.Contains(strings.Fields(modes[i].words), r.Mode) {
				return invalidRuleSet("%s", modes[i].refusal)
			}
		}
	}
	if len(names) > maxRules {
		return invalidRuleSet("a rule set has at most %d rules", maxRules)
	}
	return nil
}

func (r *Rule) check() error {
	letter := func(c rune) bool { return unicode.IsLetter(c) || c == '_' }
	other := func(c rune) bool { return !letter(c) && !unicode.IsDigit(c) && c != '-' }
	actions := r.OnSuccess + r.OnFailure
	switch {
	case r.Name == "":
		return invalidRuleSet("Missing rule name")
	case len(r.Name) > 256:
		return invalidRuleSet("Rule name too long")
	case !letter([]rune(r.Name)[0]):
		return invalidRuleSet("Illegal initial character in rule name: %s", r.Name)
	case strings.ContainsFunc(r.Name, other):
		return invalidRuleSet("Illegal character in rule name: %s", r.Name)
	case r.Kind != "TRANSFORM" && r.Kind != "CONDITION":
		return invalidRuleSet("Rule kind %s is neither TRANSFORM nor CONDITION", r.Kind)
	case r.Type == "":
		return invalidRuleSet("Missing rule type")
	case r.Mode != "WRITEREAD" && r.Mode != "UPDOWN" && strings.Contains(actions, ","):
		return invalidRuleSet("Multiple actions only valid with WRITEREAD and UPDOWN")
	}
	return nil
}

// GUID names a schema wherever it is registered: the MD5 of its text, references, metadata and rules.
type GUID [16]byte

func (g GUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
}

// ParseGUID reads a guid with or without dashes.
func ParseGUID(s string) (GUID, bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(GUID{}) {
		return GUID{}, false
	}
	return GUID(b), true
}

// guidOf is the registry's recipe. Parts are not delimited; that is Confluent's choice and must stay.
func guidOf(text string, references []Reference, m *Metadata, rules *RuleSet) GUID {
	h := md5.New() //nolint:gosec // the registry's guid is an MD5
	write(h, text)
	for _, r := range references {
		write(h, r.Name, r.Subject)
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(r.Version)))
	}
	if m != nil {
		h.Write([]byte{1})
		for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
			write(h, k)
			write(h, m.Tags[k]...)
		}
		writeMap(h, m.Properties)
		write(h, m.Sensitive...)
	}
	if rules != nil {
		h.Write([]byte{1})
		for _, list := range rules.lists() {
			for i := range *list {
				(*list)[i].write(h)
			}
		}
		write(h, rules.EnableAt)
	}
	return GUID(h.Sum(nil))
}

func (r *Rule) write(h hash.Hash) {
	write(h, r.Name, r.Doc, r.Kind, r.Mode, r.Type)
	write(h, r.Tags...)
	writeMap(h, r.Params)
	write(h, r.Expr, r.OnSuccess, r.OnFailure)
	if r.Disabled {
		h.Write([]byte{1})
	}
}

func write(h hash.Hash, words ...string) {
	for _, w := range words {
		h.Write([]byte(w))
	}
}

func writeMap(h hash.Hash, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		write(h, k, m[k])
	}
}
