package schema

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Filter says whether soft-deleted versions are wanted.
type Filter int

// The filters.
const (
	Active Filter = iota
	WithDeleted
	DeletedOnly
)

// FilterOf reads the two parameters that requests have; deletedOnly wins.
func FilterOf(deleted, deletedOnly bool) Filter {
	switch {
	case deletedOnly:
		return DeletedOnly
	case deleted:
		return WithDeleted
	}
	return Active
}

func (f Filter) takes(deleted bool) bool { return f == WithDeleted || deleted == (f == DeletedOnly) }

func compareVersions(a, b *Version) int {
	return cmp.Or(cmp.Compare(a.TimestampMs, b.TimestampMs), cmp.Compare(a.ID, b.ID), bySubject(a, b))
}

func bySubject(a, b *Version) int {
	return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Number, b.Number))
}

func (m *Machine) versions(subject string) []*Version {
	if s := m.subjects[subject]; s != nil {
		return s.versions
	}
	return nil
}

// hasSubject says whether a subject, or a context that stands in its place, has versions.
func (m *Machine) hasSubject(subject string, deleted bool) bool {
	for name := range m.within(subject) {
		for _, v := range m.subjects[name].versions {
			if deleted || !v.Deleted {
				return true
			}
		}
	}
	return false
}

// matches gives the names of subjects with a prefix, sorted; [AnyContext] before it looks in all contexts.
func (m *Machine) matches(prefix string) []string {
	want := ParseName(prefix)
	var names []string
	for name := range m.subjects {
		n := ParseName(name)
		if (want.Context == anyContext || n.Context == want.Context) && strings.HasPrefix(n.Subject, want.Subject) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Subjects lists subjects with a prefix. A subject counts as deleted when all its versions are.
func (m *Machine) Subjects(prefix string, f Filter) []string {
	names := []string{}
	for _, name := range m.matches(prefix) {
		deleted := !slices.ContainsFunc(m.versions(name), func(v *Version) bool { return !v.Deleted })
		if f.takes(deleted) {
			names = append(names, name)
		}
	}
	return names
}

// Versions lists the versions of a subject.
func (m *Machine) Versions(subject string, f Filter) ([]*Version, error) {
	if !m.hasSubject(subject, f != Active) {
		return nil, SubjectNotFound(subject)
	}
	var found []*Version
	for _, v := range m.versions(subject) {
		if f.takes(v.Deleted) {
			found = append(found, v)
		}
	}
	return found, nil
}

// Search lists the versions of all subjects with a prefix, or the newest of each.
func (m *Machine) Search(prefix string, f Filter, latestOnly bool) []*Version {
	var found []*Version
	for _, name := range m.matches(prefix) {
		first := len(found)
		for _, v := range m.versions(name) {
			if f.takes(v.Deleted) {
				found = append(found, v)
			}
		}
		if n := len(found); latestOnly && n > first {
			found = append(found[:first], found[n-1])
		}
	}
	return found
}

// Aliases gives the subjects whose config makes them an alias, under what they stand for.
func (m *Machine) Aliases() map[string][]string {
	aliases := map[string][]string{}
	for _, subject := range slices.Sorted(maps.Keys(m.configs)) {
		if c := m.configs[subject]; c.Alias != "" {
			to := QualifiedBy(subject, c.Alias).String()
			aliases[to] = append(aliases[to], subject)
		}
	}
	return aliases
}

// Alias gives what a subject stands for: itself unless its config names another.
func (m *Machine) Alias(subject string) string {
	if c := m.configs[Normal(subject)]; c != nil && c.Alias != "" {
		return QualifiedBy(subject, c.Alias).String()
	}
	return subject
}

// version finds a version; nil when there is none to be seen.
func (m *Machine) version(subject string, number int32, deleted bool) *Version {
	versions := m.versions(subject)
	if number == Latest {
		for _, v := range slices.Backward(versions) {
			if !v.Deleted {
				return v
			}
		}
		return nil
	}
	i, found := slices.BinarySearchFunc(versions, number, func(v *Version, n int32) int { return cmp.Compare(v.Number, n) })
	if !found || versions[i].Deleted && !deleted {
		return nil
	}
	return versions[i]
}

// Version finds a version of a subject; an unqualified subject is looked for in every context.
func (m *Machine) Version(subject string, number int32, deleted bool) (*Version, error) {
	for name := range m.everywhere(subject) {
		if v := m.version(name, number, deleted); v != nil {
			return v, nil
		}
	}
	if !m.hasSubject(subject, deleted) {
		return nil, SubjectNotFound(subject)
	}
	return nil, VersionNotFound(number)
}

// everywhere yields a subject, and when it names no context its namesakes in the others.
func (m *Machine) everywhere(subject string) func(func(string) bool) {
	return func(yield func(string) bool) {
		if !yield(subject) || ParseName(subject).Context != DefaultContext {
			return
		}
		for _, c := range m.named() {
			if !yield(Name{c, ParseName(subject).Subject}.String()) {
				return
			}
		}
	}
}

// named lists the contexts beside the default one.
func (m *Machine) named() []string {
	var names []string
	for name, s := range m.contexts {
		if name != DefaultContext && (s.named || s.subject > 0) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Contexts lists all contexts.
func (m *Machine) Contexts() []string { return append([]string{DefaultContext}, m.named()...) }

// WithMetadata finds the newest version that has all these properties.
func (m *Machine) WithMetadata(subject string, properties map[string]string, deleted bool) (*Version, error) {
	for _, v := range slices.Backward(m.versions(subject)) {
		if v.Metadata == nil || v.Deleted && !deleted {
			continue
		}
		all := true
		for name, want := range properties {
			got, ok := v.Metadata.property(name)
			all = all && ok && got == want
		}
		if all {
			return v, nil
		}
	}
	if !m.hasSubject(subject, deleted) {
		return nil, SubjectNotFound(subject)
	}
	return nil, UnknownSchema(nil)
}

// holder gives one of the versions that have an id: of the subject if one is named, else the first
// that is not deleted.
func (s *scope) holder(id int32, subject string) *Version {
	h := s.byID[id]
	if h == nil {
		return nil
	}
	var best *Version
	for _, v := range h.versions {
		if ParseName(subject).Subject != "" && v.Subject != subject {
			continue
		}
		if best == nil || best.Deleted && !v.Deleted {
			best = v
		}
	}
	return best
}

// ByID finds the schema of an id. The subject picks the context; an unqualified one is looked for
// in every context, and when none has it the default context answers.
func (m *Machine) ByID(id int32, subject string) (*Version, error) {
	n := ParseName(subject)
	if v := m.look(n.Context).holder(id, n.String()); v != nil {
		return v, nil
	}
	if n.Subject != "" && n.Context == DefaultContext {
		for _, c := range m.named() {
			if v := m.look(c).holder(id, Name{c, n.Subject}.String()); v != nil {
				return v, nil
			}
		}
		if v := m.look(n.Context).holder(id, ""); v != nil {
			return v, nil
		}
	}
	return nil, UnknownSchema(id)
}

// MaxID is the highest id of a context so far.
func (m *Machine) MaxID(context string) int32 { return m.look(context).maxID }

// Holders lists the versions that have an id.
func (m *Machine) Holders(id int32, subject string, deleted bool) ([]*Version, error) {
	v, err := m.ByID(id, subject)
	if err != nil {
		return nil, UnknownSchema(nil)
	}
	var found []*Version
	for _, o := range m.look(ParseName(v.Subject).Context).byID[id].versions {
		if deleted || !o.Deleted {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, bySubject)
	return found, nil
}

// IDs lists the ids of a guid, by context.
func (m *Machine) IDs(g GUID) []ContextID {
	ids := []ContextID{}
	for _, c := range m.Contexts() {
		if id, ok := m.look(c).idOf(g); ok {
			ids = append(ids, ContextID{c, id})
		}
	}
	return ids
}

// ByGUID finds the schema of a guid.
func (m *Machine) ByGUID(g GUID) (*Version, error) {
	for _, id := range m.IDs(g) {
		if v := m.look(id.Context).holder(id.ID, ""); v != nil {
			return v, nil
		}
	}
	return nil, UnknownSchema(g)
}

// referrers lists the ids that refer to a version, those of soft-deleted versions only if asked for.
func (m *Machine) referrers(subject string, number int32, deleted bool) []ContextID {
	var ids []ContextID
	for from := range m.look(ParseName(subject).Context).refs[target{subject, number}] {
		h := m.look(from.Context).byID[from.ID]
		if deleted || h != nil && slices.ContainsFunc(h.versions, func(v *Version) bool { return !v.Deleted }) {
			ids = append(ids, from)
		}
	}
	slices.SortFunc(ids, func(a, b ContextID) int { return cmp.Or(cmp.Compare(a.Context, b.Context), cmp.Compare(a.ID, b.ID)) })
	return ids
}

// ReferencedBy lists the ids of the schemas that refer to a version.
func (m *Machine) ReferencedBy(subject string, number int32, deleted bool) ([]int32, error) {
	v, err := m.Version(subject, number, true)
	if err != nil {
		return nil, err
	}
	ids := []int32{}
	for _, from := range m.referrers(v.Subject, v.Number, deleted) {
		ids = append(ids, from.ID)
	}
	return ids, nil
}

// Resolve gives references with their versions settled, and everything they reach, each text
// after those that it needs. deleted says whether soft-deleted versions may be used, as those that
// are already registered do.
func (m *Machine) Resolve(subject string, references []Reference, deleted bool) ([]Reference, []Dependency, error) {
	r := resolver{m: m, deleted: deleted, seen: map[string]bool{}}
	settled, err := r.visit(subject, references, 0)
	return settled, r.found, err
}

type resolver struct {
	m       *Machine
	deleted bool
	seen    map[string]bool
	found   []Dependency
	bytes   int
}

// maxDependencyBytes bounds the texts that one schema reaches.
const maxDependencyBytes = 16 << 20

func (r *resolver) visit(subject string, references []Reference, depth int) ([]Reference, error) {
	if depth > MaxDepth || len(references) > MaxDependencies || len(r.found) > MaxDependencies || r.bytes > maxDependencyBytes {
		return nil, InvalidSchema("the references reach more than %d schemas, %d levels or %d bytes",
			MaxDependencies, MaxDepth, maxDependencyBytes)
	}
	settled := slices.Clone(references)
	for i, ref := range settled {
		if ref.Name == "" || ref.Subject == "" || ref.Version == 0 {
			return nil, InvalidSchema("Invalid reference: %s", ref)
		}
		name := QualifiedBy(subject, ref.Subject).String()
		v := r.m.version(name, ref.Version, r.deleted)
		if v == nil {
			return nil, InvalidSchema("No schema reference found for subject \"%s\" and version %d", name, ref.Version)
		}
		settled[i].Version = v.Number
		if r.seen[ref.Name] {
			continue
		}
		r.seen[ref.Name] = true
		if _, err := r.visit(name, v.References, depth+1); err != nil {
			return nil, err
		}
		r.found = append(r.found, Dependency{Name: ref.Name, Text: v.Text})
		r.bytes += len(v.Text)
	}
	return settled, nil
}
