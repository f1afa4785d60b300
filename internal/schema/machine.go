package schema

import (
	"bytes"
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"kelp/internal/statelog"
)

// Machine is the registry's state: subjects with their versions, ids, config and modes of every
// context. It runs on a [statelog.Runner] over the partition of _schemas.
//
// Its methods that take an Input decide and emit records; the others only read. What they return
// never changes afterwards, so that it may leave the runner's goroutine. The machine neither
// parses nor compares texts: that is done outside, between two steps, and a [Plan] is refused
// when what it was made on has changed meanwhile.
type Machine struct {
	subjects map[string]*subject // by qualified name
	contexts map[string]*scope   // by name
	configs  map[string]*Config  // by subject or context prefix; empty: the default context
	modes    map[string]Mode     // likewise
	changes  uint64              // records applied to versions so far
	settings uint64              // records applied to configs and modes so far
	others   map[string]statelog.Record
	ignored  int
}

// subject is replaced, never changed, below its map entry.
type subject struct {
	versions []*Version // ascending, soft-deleted ones too
	changed  uint64     // Machine.changes at the last change
}

// scope is what ids mean in one context.
type scope struct {
	named   bool // has its own record
	maxID   int32
	byID    map[int32]*holders
	byGUID  map[GUID][]int32             // ascending; imports can give one schema several ids
	refs    map[target]map[ContextID]int // who refers to a version of this context, and how often
	subject int                          // subjects in it
}

// holders are the versions that have an id, in order of their registration.
type holders struct {
	content  *Content
	versions []*Version
}

// target is a version that others refer to.
type target struct {
	subject string
	version int32
}

// ContextID is an id in its context.
type ContextID struct {
	Context string `json:"context"`
	ID      int32  `json:"id"`
}

// New gives an empty registry.
func New() *Machine {
	return &Machine{
		subjects: map[string]*subject{}, contexts: map[string]*scope{},
		configs: map[string]*Config{}, modes: map[string]Mode{}, others: map[string]statelog.Record{},
	}
}

// maxOthers bounds the records of unknown kinds that are kept for those who know them.
const maxOthers = 100_000

// Apply folds in one record. What cannot be read, ours or another registry's, is passed over as
// Confluent's does: one bad record must not keep a registry from starting.
func (m *Machine) Apply(r statelog.Record) error {
	var k logKey
	m.fold(statelog.Record{Value: r.Key}, &k, func() { m.apply(k, r) }, func() {})
	return nil
}

func (m *Machine) apply(k logKey, r statelog.Record) {
	switch k.KeyType {
	case keySchema:
		m.applySchema(k, r)
	case keyConfig:
		m.settings++
		var v configValue
		m.fold(r, &v, func() { m.configs[k.subject()] = &v.Config }, func() { delete(m.configs, k.subject()) })
	case keyMode:
		m.settings++
		var v modeValue
		m.fold(r, &v, func() { m.modes[k.subject()] = v.Mode }, func() { delete(m.modes, k.subject()) })
	case keyContext:
		var v contextValue
		m.fold(r, &v, func() { m.scope(k.Context).named = true }, func() { m.scope(k.Context).named = false })
	case keyDeleteSubject:
		var v subjectValue
		m.fold(r, &v, func() { m.softDelete(v.Subject, v.Version) }, func() {})
	case keyClearSubject:
		var v subjectValue
		m.fold(r, &v, func() { m.clearDeleted(v.Subject) }, func() {})
	case keyNoop:
		var v noopValue
		m.fold(r, &v, func() {
			for context, id := range v.MaxIDs {
				m.scope(context).maxID = max(m.scope(context).maxID, id)
			}
		}, func() {})
	default:
		if r.Value == nil {
			delete(m.others, string(r.Key))
		} else if len(m.others) < maxOthers {
			m.others[string(r.Key)] = statelog.Record{Key: bytes.Clone(r.Key), Value: r.Value}
		}
	}
}

// fold reads a value into v and calls set, or calls unset for a tombstone.
func (m *Machine) fold(r statelog.Record, v any, set, unset func()) {
	switch {
	case r.Value == nil:
		unset()
	case json.Unmarshal(r.Value, v) != nil:
		m.ignored++
	default:
		set()
	}
}

func (m *Machine) applySchema(k logKey, r statelog.Record) {
	name, number := k.subject(), k.Version
	if r.Value == nil {
		m.put(name, number, nil)
		return
	}
	var v schemaValue
	if json.Unmarshal(r.Value, &v) != nil || number < 1 || v.ID < 0 {
		m.ignored++
		return
	}
	if v.SchemaType == "" {
		v.SchemaType = Avro
	}
	c := &Content{
		ID: v.ID, Type: v.SchemaType, Text: v.Schema, References: v.References, Metadata: v.Metadata, RuleSet: v.RuleSet,
		GUID: guidOf(v.Schema, v.References, v.Metadata, v.RuleSet),
	}
	if h := m.look(ParseName(name).Context).byID[v.ID]; h != nil {
		if h.content.Text != c.Text {
			m.ignored++ // an id that already stands for something else
			return
		}
		if h.content.same(c) {
			c = h.content // one copy of the text
		}
	}
	m.put(name, number, &Version{Content: c, Subject: name, Number: number, Deleted: v.Deleted, TimestampMs: r.TimestampMs})
}

func (m *Machine) scope(context string) *scope {
	s := m.contexts[context]
	if s == nil {
		s = &scope{byID: map[int32]*holders{}, byGUID: map[GUID][]int32{}, refs: map[target]map[ContextID]int{}}
		m.contexts[context] = s
	}
	return s
}

// look reads a context without making one.
func (m *Machine) look(context string) *scope {
	if s := m.contexts[context]; s != nil {
		return s
	}
	return &scope{}
}

// idOf gives the id of a guid; of several the highest, which was imported last.
func (s *scope) idOf(g GUID) (id int32, known bool) {
	ids := s.byGUID[g]
	if len(ids) == 0 {
		return 0, false
	}
	return ids[len(ids)-1], true
}

// put replaces a version of a subject, removes it when v is nil, or adds it.
func (m *Machine) put(name string, number int32, v *Version) {
	s := m.subjects[name]
	if s == nil {
		if v == nil {
			return
		}
		s = &subject{}
		m.subjects[name] = s
		m.scope(ParseName(name).Context).subject++
	}
	m.changes++
	s.changed = m.changes
	i, found := slices.BinarySearchFunc(s.versions, number, func(v *Version, n int32) int { return int(v.Number) - int(n) })
	versions := slices.Clone(s.versions)
	if found {
		m.forget(versions[i])
		versions = slices.Delete(versions, i, i+1)
	}
	if v != nil {
		versions = slices.Insert(versions, i, v)
		m.remember(v)
	}
	s.versions = versions
	if len(versions) == 0 {
		delete(m.subjects, name)
		m.scope(ParseName(name).Context).subject--
	}
}

func (m *Machine) remember(v *Version) {
	context := ParseName(v.Subject).Context
	s := m.scope(context)
	s.maxID = max(s.maxID, v.ID)
	h := s.byID[v.ID]
	if h == nil {
		h = &holders{content: v.Content}
		s.byID[v.ID] = h
		s.byGUID[h.content.GUID] = set(append(slices.Clone(s.byGUID[h.content.GUID]), v.ID))
	}
	h.versions = append(slices.Clone(h.versions), v)
	for _, r := range v.References {
		to := QualifiedBy(v.Subject, r.Subject)
		refs, t := m.scope(to.Context).refs, target{to.String(), r.Version}
		if refs[t] == nil {
			refs[t] = map[ContextID]int{}
		}
		refs[t][ContextID{context, v.ID}]++
	}
}

func (m *Machine) forget(v *Version) {
	context := ParseName(v.Subject).Context
	s := m.scope(context)
	h := s.byID[v.ID]
	h.versions = slices.DeleteFunc(slices.Clone(h.versions), func(o *Version) bool { return o == v })
	if len(h.versions) == 0 {
		delete(s.byID, v.ID)
		g := h.content.GUID
		s.byGUID[g] = slices.DeleteFunc(slices.Clone(s.byGUID[g]), func(id int32) bool { return id == v.ID })
		if len(s.byGUID[g]) == 0 {
			delete(s.byGUID, g)
		}
	}
	for _, r := range v.References {
		to := QualifiedBy(v.Subject, r.Subject)
		refs, t := m.scope(to.Context).refs, target{to.String(), r.Version}
		from := ContextID{context, v.ID}
		if refs[t][from]--; refs[t][from] <= 0 {
			delete(refs[t], from)
		}
		if len(refs[t]) == 0 {
			delete(refs, t)
		}
	}
}

// softDelete marks the versions of a subject up to a number.
func (m *Machine) softDelete(name string, upTo int32) {
	if s := m.subjects[name]; s != nil {
		for _, v := range s.versions {
			if v.Number <= upTo && !v.Deleted {
				gone := *v
				gone.Deleted = true
				m.put(name, v.Number, &gone)
			}
		}
	}
}

// clearDeleted removes the soft-deleted versions of a subject, of a context or of all.
func (m *Machine) clearDeleted(name string) {
	for other := range m.within(name) {
		for _, v := range m.subjects[other].versions {
			if v.Deleted {
				m.put(other, v.Number, nil)
			}
		}
	}
}

// within yields the subjects that a name covers: itself, those of its context if it is one, all
// for an empty name.
func (m *Machine) within(name string) iter.Seq[string] {
	n := ParseName(name)
	return func(yield func(string) bool) {
		if name != "" && n.Subject != "" {
			if m.subjects[name] != nil {
				yield(name)
			}
			return
		}
		for _, other := range slices.Collect(maps.Keys(m.subjects)) {
			covered := name == "" || n.Context == GlobalContext || ParseName(other).Context == n.Context
			if covered && m.subjects[other] != nil && !yield(other) {
				return
			}
		}
	}
}

// Loaded has nothing to set again: the registry keeps no timers.
func (m *Machine) Loaded(statelog.Input) statelog.Effects {
	return statelog.Effects{}
}

// Timeout never runs.
func (m *Machine) Timeout(statelog.Input, string) statelog.Effects { return statelog.Effects{} }

// Records rebuilds the state: contexts and the highest ids, versions so that what they refer to
// comes first where it can, then configs, modes and what other registries wrote.
func (m *Machine) Records() iter.Seq[statelog.Record] {
	return func(yield func(statelog.Record) bool) {
		var records []statelog.Record
		maxIDs := map[string]int32{}
		for _, c := range slices.Sorted(maps.Keys(m.contexts)) {
			maxIDs[c] = m.contexts[c].maxID
			if m.contexts[c].named {
				records = append(records, contextRecord(c, true))
			}
		}
		records = append(records, noopRecord(maxIDs))
		for _, v := range m.byRegistration() {
			records = append(records, schemaRecord(v))
		}
		for _, s := range slices.Sorted(maps.Keys(m.configs)) {
			records = append(records, configRecord(s, m.configs[s]))
		}
		for _, s := range slices.Sorted(maps.Keys(m.modes)) {
			records = append(records, modeRecord(s, m.modes[s]))
		}
		for _, k := range slices.Sorted(maps.Keys(m.others)) {
			records = append(records, m.others[k])
		}
		for _, r := range records {
			if !yield(r) {
				return
			}
		}
	}
}

// byRegistration sorts all versions by their time, then by id, subject and number.
func (m *Machine) byRegistration() []*Version {
	var all []*Version
	for _, s := range m.subjects {
		all = append(all, s.versions...)
	}
	slices.SortFunc(all, compareVersions)
	return all
}
