package schema

import (
	"maps"
	"slices"
	"strings"

	"kelp/internal/statelog"
)

// defaultLevel holds where nothing is configured.
const defaultLevel = Backward

// settingsKey is where the config and mode of a subject are kept: nothing stands for the default
// context, under which the global ones of old are kept too.
func settingsKey(subject string) string {
	n := ParseName(subject)
	if n.Context == DefaultContext && n.Subject == "" {
		return ""
	}
	return n.String()
}

// inScope looks a setting up: at the subject, at its context, at the global context.
func inScope[T any](settings map[string]T, subject string) (T, bool) {
	for _, key := range []string{settingsKey(subject), ParseName(subject).Prefix(), Name{Context: GlobalContext}.Prefix()} {
		if v, ok := settings[key]; ok {
			return v, true
		}
	}
	var none T
	return none, false
}

// own gives what is set at this very place; the default context and the global one have defaults.
func (m *Machine) own(subject string) *Config {
	key := settingsKey(subject)
	c := m.configs[key]
	if c == nil {
		if key != "" && key != (Name{Context: GlobalContext}).Prefix() {
			return nil
		}
		c = &Config{}
	}
	filled := *c
	if filled.CompatibilityLevel == "" {
		filled.CompatibilityLevel = defaultLevel
	}
	return &filled
}

// Config gives the config in force for a subject.
func (m *Machine) Config(subject string) Config {
	if c := m.own(subject); c != nil {
		if settingsKey(subject) == "" && m.configs[""] == nil {
			return m.inherited(subject)
		}
		return c.over(m.own(""))
	}
	return m.inherited(subject)
}

func (m *Machine) inherited(subject string) Config {
	c := Config{}
	if found, ok := inScope(m.configs, subject); ok {
		c = *found
	}
	if c.CompatibilityLevel == "" {
		c.CompatibilityLevel = defaultLevel
	}
	return c
}

// OwnConfig gives what is set for a subject itself.
func (m *Machine) OwnConfig(subject string) (Config, error) {
	c := m.own(subject)
	if c == nil {
		return Config{}, noSubjectConfig(subject)
	}
	return *c, nil
}

// Mode gives the mode in force for a subject.
func (m *Machine) Mode(subject string) Mode {
	if mode, ok := inScope(m.modes, subject); ok {
		return mode
	}
	return ReadWrite
}

// OwnMode gives the mode that is set for a subject itself.
func (m *Machine) OwnMode(subject string) (Mode, error) {
	key := settingsKey(subject)
	if mode, ok := m.modes[key]; ok {
		return mode, nil
	}
	if key == "" || key == (Name{Context: GlobalContext}).Prefix() {
		return ReadWrite, nil
	}
	return "", noSubjectMode(key)
}

// readOnly is the refusal to write a subject in its mode.
func (m *Machine) readOnly(subject string) error {
	if !m.Mode(subject).readOnly() {
		return nil
	}
	return modeRefusal(subject, "is in read-only mode")
}

func modeRefusal(subject, why string) error {
	shown := subject
	if shown == "" {
		shown = "null" // the registry's word for all subjects
	}
	return notPermitted("Subject %s in context %s %s", shown, ParseName(subject).Prefix(), why)
}

// answer is what a step replies, with the records that make it true.
func answer(in statelog.Input, response any, records ...statelog.Record) statelog.Effects {
	return statelog.Effects{Records: records, Replies: []statelog.Reply{{To: in.Ticket, Response: response}}}
}

func failed(in statelog.Input, err error) statelog.Effects {
	return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Err: err}}}
}

// SetConfig changes the config of a subject, a context or, with an empty name, of all; the reply
// is the Config that is set there now.
func (m *Machine) SetConfig(in statelog.Input, subject string, u ConfigUpdate) statelog.Effects {
	key := settingsKey(subject)
	if err := checkSubject(subject, true); err != nil {
		return failed(in, err)
	}
	if err := m.readOnly(key); err != nil {
		return failed(in, err)
	}
	old := Config{}
	if c := m.configs[key]; c != nil {
		old = *c
	}
	c, err := u.Apply(old)
	if err != nil {
		return failed(in, err)
	}
	return answer(in, c, configRecord(key, &c))
}

// DeleteConfig removes what is set for a subject; the reply is what was in force there.
func (m *Machine) DeleteConfig(in statelog.Input, subject string) statelog.Effects {
	key := settingsKey(subject)
	old := m.own(key)
	if old == nil {
		return failed(in, SubjectNotFound(subject))
	}
	if err := m.readOnly(key); err != nil {
		return failed(in, err)
	}
	return answer(in, *old, configRecord(key, nil))
}

// SetMode changes the mode of a subject, a context or all; an empty mode removes it. IMPORT needs
// a place without schemas unless it is forced, and clears away the soft-deleted ones there.
func (m *Machine) SetMode(in statelog.Input, subject string, mode Mode, force bool) statelog.Effects {
	key := settingsKey(subject)
	if err := checkSubject(subject, true); err != nil {
		return failed(in, err)
	}
	if mode == ForwardMode && key != (Name{Context: GlobalContext}).Prefix() {
		return failed(in, refuse(CodeInvalidMode, "Forward mode only supported on global level"))
	}
	var records []statelog.Record
	if mode == Import && m.Mode(key) != Import && !force {
		if m.hasSubject(key, false) {
			return failed(in, notPermitted("Cannot import since found existing subjects"))
		}
		var gone []*Version
		for name := range m.within(key) {
			gone = append(gone, m.versions(name)...)
		}
		slices.SortFunc(gone, bySubject)
		for _, v := range gone {
			if len(m.referrers(v.Subject, v.Number, true)) > 0 {
				return failed(in, referenceExists(v.Subject, v.Number))
			}
		}
		records = append(m.tombstones(gone), clearSubjectRecord(key))
	}
	return answer(in, mode, append(records, modeRecord(key, mode))...)
}

// DeleteMode removes the mode of a subject; recursively also those of a context's subjects. The
// reply is what was set, empty when nothing was.
func (m *Machine) DeleteMode(in statelog.Input, subject string, recursive bool) statelog.Effects {
	key := settingsKey(subject)
	old, err := m.OwnMode(key)
	if err != nil && !recursive {
		return failed(in, SubjectNotFound(subject))
	}
	records := []statelog.Record{modeRecord(key, "")}
	if n := ParseName(key); recursive && n.Subject == "" {
		for _, other := range slices.Sorted(maps.Keys(m.modes)) {
			if other != key && ParseName(other).Context == n.Context {
				records = append(records, modeRecord(other, ""))
			}
		}
	}
	return answer(in, old, records...)
}

// DeleteContext forgets an empty context.
func (m *Machine) DeleteContext(in statelog.Input, prefix string) statelog.Effects {
	context := ParseName(prefix).Context
	if m.hasSubject(Name{Context: context}.Prefix(), true) || context == DefaultContext && m.look(context).subject > 0 {
		return failed(in, contextNotEmpty(strings.TrimSpace(prefix)))
	}
	return answer(in, nil, contextRecord(context, false))
}
