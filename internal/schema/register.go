package schema

import (
	"bytes"
	"errors"
	"math"
	"slices"

	"kelp/internal/statelog"
)

// Limits of the state.
const (
	maxSubjects = 1_000_000
	maxVersions = 100_000 // of one subject
	maxContexts = 10_000
)

// ErrStale answers a plan that was made on a state that has changed: make it again.
var ErrStale = errors.New("the subject or its config changed meanwhile")

// Snapshot is what a registration, look-up or comparison is worked out on, outside of the machine.
type Snapshot struct {
	Subject  string
	Versions []*Version // ascending, soft-deleted ones too
	Config   Config     // in force
	Mode     Mode       // in force

	changed, settings uint64
}

// Snapshot gives a subject as it is.
func (m *Machine) Snapshot(subject string) Snapshot {
	s := Snapshot{Subject: subject, Config: m.Config(subject), Mode: m.Mode(subject), settings: m.settings}
	if known := m.subjects[subject]; known != nil {
		s.Versions, s.changed = known.versions, known.changed
	}
	return s
}

// Snapshots gives a subject, and when it names no context its namesakes in the others.
func (m *Machine) Snapshots(subject string) []Snapshot {
	var places []Snapshot
	for name := range m.everywhere(subject) {
		if name == subject || m.subjects[name] != nil {
			places = append(places, m.Snapshot(name))
		}
	}
	return places
}

// Missing words that a subject does not have a schema, or is not there.
func (m *Machine) Missing(subject string, deleted bool) error {
	if !m.hasSubject(subject, deleted) {
		return SubjectNotFound(subject)
	}
	return UnknownSchema(nil)
}

// sameSettings says whether config and mode are in force as they were.
func (s *Snapshot) sameSettings(o *Snapshot) bool {
	return s.settings == o.settings || s.Mode == o.Mode && bytes.Equal(encode(s.Config), encode(o.Config))
}

// Latest gives the newest version that is not deleted.
func (s *Snapshot) Latest() *Version {
	for _, v := range slices.Backward(s.Versions) {
		if !v.Deleted {
			return v
		}
	}
	return nil
}

// Active lists the versions that are not deleted.
func (s *Snapshot) Active() []*Version {
	return slices.DeleteFunc(slices.Clone(s.Versions), func(v *Version) bool { return v.Deleted })
}

// Imports says whether schemas come with their ids and are not compared.
func (s *Snapshot) Imports() bool { return s.Mode.imports() }

// Fills says whether the config adds metadata or rules to what is registered.
func (s *Snapshot) Fills() bool { return s.Config.fills() }

// next is the number of the next version.
func (s *Snapshot) next() int32 {
	if n := len(s.Versions); n > 0 {
		return s.Versions[n-1].Number + 1
	}
	return 1
}

// MayRegister refuses a draft for the mode of its subject or for its name.
func (s *Snapshot) MayRegister(d *Draft) error {
	switch {
	case s.Mode.readOnly():
		return modeRefusal(s.Subject, "is in read-only mode")
	case d.ID >= 0 && !s.Mode.imports():
		return modeRefusal(s.Subject, "is not in import mode")
	case d.ID < 0 && s.Mode != ReadWrite:
		return modeRefusal(s.Subject, "is not in read-write mode")
	}
	return nil
}

// Fill completes a draft from the config and the version before it: the text when it has none,
// metadata and rules when it has none.
func (s *Snapshot) Fill(d Draft) (Draft, error) {
	previous := s.Latest()
	if blank(d.Text) {
		if previous == nil {
			return d, InvalidSchema("Empty schema")
		}
		d.Text, d.Type, d.References = previous.Text, previous.Type, previous.References
	}
	s.fillMetadata(&d, previous, true)
	return d, nil
}

// FillForLookup completes a draft as a registration would, but for the number of its version.
func (s *Snapshot) FillForLookup(d Draft) Draft {
	s.fillMetadata(&d, s.Latest(), false)
	return d
}

func (s *Snapshot) fillMetadata(d *Draft, previous *Version, number bool) {
	metadata, rules := d.Metadata, d.RuleSet
	if previous != nil {
		if metadata == nil {
			metadata = previous.Metadata
		}
		if rules == nil {
			rules = previous.RuleSet
		}
	}
	c := s.Config
	metadata = mergeMetadata(mergeMetadata(c.DefaultMetadata, metadata), c.OverrideMetadata)
	rules = MergeRules(MergeRules(c.DefaultRuleSet, rules), c.OverrideRuleSet)
	if _, numbered := metadata.property(versionProperty); number && (d.Version != 0 || numbered) {
		metadata = metadata.withVersion(s.next())
	}
	d.Metadata, d.RuleSet = metadata, rules
}

// Plan is a registration worked out on a snapshot: checked and canonical.
type Plan struct {
	Snapshot Snapshot
	Content  Content // its ID is NoID unless it is imported
	Number   int32   // of the version; zero or less: the next one
}

// Content makes what would be registered of a draft with its canonical text and settled references.
func (d *Draft) Content(text string, references []Reference) Content {
	return Content{
		ID: d.ID, Type: d.Type, Text: text, References: references, Metadata: d.Metadata, RuleSet: d.RuleSet,
		GUID: guidOf(text, references, d.Metadata, d.RuleSet),
	}
}

// Register carries out a plan; the reply is the *Version, new or already there.
func (m *Machine) Register(in statelog.Input, p Plan) statelog.Effects {
	s, c := &p.Snapshot, p.Content
	if now := m.Snapshot(s.Subject); now.changed != s.changed || !now.sameSettings(s) || !m.refersWell(p) {
		return failed(in, ErrStale)
	}
	if err := m.limits(s); err != nil {
		return failed(in, err)
	}
	name := ParseName(s.Subject)
	if id, ok := m.look(name.Context).idOf(c.GUID); ok && (c.ID < 0 || c.ID == id) {
		if v := m.look(name.Context).holder(id, s.Subject); p.Number == 0 && v != nil && !v.Deleted {
			return answer(in, v)
		}
		c.ID = id
	}
	number := p.Number
	switch next := s.next(); {
	case number <= 0:
		number = next
	case number != next && !s.Mode.imports():
		return failed(in, InvalidSchema("Version is not one more than previous version"))
	}
	var records []statelog.Record
	if name.Context != DefaultContext && !m.look(name.Context).named {
		records = append(records, contextRecord(name.Context, true))
	}
	if c.ID >= 0 {
		if h := m.look(name.Context).byID[c.ID]; h != nil && !h.content.same(&c) {
			return failed(in, notPermitted("Overwrite new schema with id %d in context %s is not permitted.", c.ID, name.Prefix()))
		}
	} else {
		if m.MaxID(name.Context) == math.MaxInt32 {
			return failed(in, notPermitted("no schema id is left in context %s", name.Prefix()))
		}
		c.ID = m.MaxID(name.Context) + 1
	}
	for _, old := range s.Versions {
		replaced := old.Deleted && old.ID == c.ID && old.Number < number
		if replaced && len(m.referrers(old.Subject, old.Number, true)) == 0 {
			records = append(records, schemaTombstone(old.Subject, old.Number))
		}
	}
	v := &Version{Content: &c, Subject: s.Subject, Number: number, TimestampMs: in.Now.UnixMilli()}
	return answer(in, v, append(records, schemaRecord(v))...)
}

// refersWell says whether everything that a plan refers to is still there.
func (m *Machine) refersWell(p Plan) bool {
	for _, r := range p.Content.References {
		if m.version(QualifiedBy(p.Snapshot.Subject, r.Subject).String(), r.Version, p.Snapshot.Mode.imports()) == nil {
			return false
		}
	}
	return true
}

func (m *Machine) limits(s *Snapshot) error {
	switch {
	case s.Versions == nil && len(m.subjects) >= maxSubjects:
		return notPermitted("the registry has %d subjects, which is as many as it keeps", maxSubjects)
	case len(s.Versions) >= maxVersions || s.next() == math.MaxInt32:
		return notPermitted("the subject has %d versions, which is as many as it keeps", len(s.Versions))
	case len(m.contexts) >= maxContexts && m.contexts[ParseName(s.Subject).Context] == nil:
		return notPermitted("the registry has %d contexts, which is as many as it keeps", maxContexts)
	}
	return nil
}
