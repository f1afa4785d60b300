package schema

import (
	"maps"
	"slices"

	"kelp/internal/statelog"
)

// tombstones remove versions for good. When that removes the highest id of a context, the id is
// noted, so that it is never given out again after the log is compacted.
func (m *Machine) tombstones(gone []*Version) []statelog.Record {
	var records []statelog.Record
	highest := false
	for _, v := range gone {
		records = append(records, schemaTombstone(v.Subject, v.Number))
		highest = highest || v.ID == m.MaxID(ParseName(v.Subject).Context)
	}
	if highest {
		ids := map[string]int32{}
		for _, context := range slices.Sorted(maps.Keys(m.contexts)) {
			ids[context] = m.contexts[context].maxID
		}
		records = append(records, noopRecord(ids))
	}
	return records
}

// settingsTombstones remove the config and mode of a subject that is gone.
func (m *Machine) settingsTombstones(subject string) []statelog.Record {
	var records []statelog.Record
	if _, ok := m.modes[subject]; ok {
		records = append(records, modeRecord(subject, ""))
	}
	if m.configs[subject] != nil {
		records = append(records, configRecord(subject, nil))
	}
	return records
}

// DeleteSubject deletes all versions of a subject, softly first, then for good. The reply is the
// numbers of the versions, as []int32.
func (m *Machine) DeleteSubject(in statelog.Input, subject string, permanent bool) statelog.Effects {
	switch {
	case !m.hasSubject(subject, true):
		return failed(in, SubjectNotFound(subject))
	case !permanent && !m.hasSubject(subject, false):
		return failed(in, subjectSoftDeleted(subject))
	}
	if err := m.readOnly(subject); err != nil {
		return failed(in, err)
	}
	var gone []*Version
	numbers := []int32{}
	for _, v := range m.versions(subject) {
		if v.Deleted && !permanent {
			continue
		}
		if m.referredByOthers(v, permanent) {
			return failed(in, referenceExists(subject, v.Number))
		}
		if permanent && !v.Deleted {
			return failed(in, subjectNotSoftDeleted(subject))
		}
		gone, numbers = append(gone, v), append(numbers, v.Number)
	}
	if len(gone) == 0 {
		return answer(in, numbers)
	}
	if !permanent {
		return answer(in, numbers, deleteSubjectRecord(subject, gone[len(gone)-1].Number))
	}
	// The later first: a version may refer to an earlier one of its own subject.
	slices.Reverse(gone)
	return answer(in, numbers, append(m.tombstones(gone), m.settingsTombstones(subject)...)...)
}

// referredByOthers says whether another subject refers to a version.
func (m *Machine) referredByOthers(v *Version, deleted bool) bool {
	for _, from := range m.referrers(v.Subject, v.Number, deleted) {
		for _, o := range m.look(from.Context).byID[from.ID].versions {
			if o.Subject != v.Subject && (deleted || !o.Deleted) {
				return true
			}
		}
	}
	return false
}

// DeleteVersion deletes one version, softly first, then for good. The reply is its number, as int32.
func (m *Machine) DeleteVersion(in statelog.Input, subject string, number int32, permanent bool) statelog.Effects {
	v := m.version(subject, number, true)
	switch {
	case v == nil && !m.hasSubject(subject, true):
		return failed(in, SubjectNotFound(subject))
	case v == nil:
		return failed(in, VersionNotFound(number))
	case v.Deleted && !permanent:
		return failed(in, versionSoftDeleted(subject, number))
	}
	if err := m.readOnly(subject); err != nil {
		return failed(in, err)
	}
	if len(m.referrers(v.Subject, v.Number, permanent)) > 0 {
		return failed(in, referenceExists(v.Subject, v.Number))
	}
	if !permanent {
		deleted := *v
		deleted.Deleted = true
		return answer(in, v.Number, schemaRecord(&deleted))
	}
	if !v.Deleted {
		return failed(in, versionNotSoftDeleted(subject, v.Number))
	}
	records := m.tombstones([]*Version{v})
	if len(m.versions(subject)) == 1 {
		records = append(records, m.settingsTombstones(subject)...)
	}
	return answer(in, v.Number, records...)
}
