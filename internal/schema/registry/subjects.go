package registry

import (
	"context"

	"kelp/internal/schema"
	"kelp/internal/statelog"
)

type (
	machine = schema.Machine
	input   = statelog.Input
	effects = statelog.Effects
)

// Subjects lists subjects with a prefix.
func (r *Registry) Subjects(ctx context.Context, prefix string, f schema.Filter) ([]string, error) {
	return see(ctx, r, func(m *machine) []string { return m.Subjects(prefix, f) })
}

// Versions lists the versions of a subject.
func (r *Registry) Versions(ctx context.Context, subject string, f schema.Filter) ([]*schema.Version, error) {
	subject = schema.Normal(subject)
	return read(ctx, r, func(m *machine) ([]*schema.Version, error) { return m.Versions(subject, f) })
}

// Listed is a version in a search.
type Listed struct {
	*schema.Version
	Aliases []string
}

// Search lists the versions of subjects with a prefix, with aliases if asked to.
func (r *Registry) Search(ctx context.Context, prefix string, f schema.Filter, latestOnly, aliases bool) ([]Listed, error) {
	return see(ctx, r, func(m *machine) []Listed {
		found := []Listed{}
		var known map[string][]string
		if aliases {
			known = m.Aliases()
		}
		for _, v := range m.Search(prefix, f, latestOnly) {
			found = append(found, Listed{v, known[v.Subject]})
		}
		return found
	})
}

// WithMetadata finds the newest version that has all these properties.
func (r *Registry) WithMetadata(ctx context.Context, subject string, properties map[string]string, deleted bool) (*schema.Version, error) {
	subject = schema.Normal(subject)
	return read(ctx, r, func(m *machine) (*schema.Version, error) { return m.WithMetadata(subject, properties, deleted) })
}

// Holders lists the versions that have an id.
func (r *Registry) Holders(ctx context.Context, id int32, subject string, deleted bool) ([]*schema.Version, error) {
	return read(ctx, r, func(m *machine) ([]*schema.Version, error) { return m.Holders(id, subject, deleted) })
}

// MaxID is the highest id of the context that a subject lies in.
func (r *Registry) MaxID(ctx context.Context, subject string) (int32, error) {
	return see(ctx, r, func(m *machine) int32 { return m.MaxID(schema.ParseName(subject).Context) })
}

// IDs lists the ids of a guid, by context.
func (r *Registry) IDs(ctx context.Context, g schema.GUID) ([]schema.ContextID, error) {
	return see(ctx, r, func(m *machine) []schema.ContextID { return m.IDs(g) })
}

// ReferencedBy lists the ids of the schemas that refer to a version.
func (r *Registry) ReferencedBy(ctx context.Context, subject string, number int32, deleted bool) ([]int32, error) {
	subject = schema.Normal(subject)
	return read(ctx, r, func(m *machine) ([]int32, error) { return m.ReferencedBy(subject, number, deleted) })
}

// Contexts lists all contexts.
func (r *Registry) Contexts(ctx context.Context) ([]string, error) {
	return see(ctx, r, (*machine).Contexts)
}

// DeleteContext forgets an empty context, given by the prefix of its subjects.
func (r *Registry) DeleteContext(ctx context.Context, prefix string) error {
	_, err := write[any](ctx, r, func(m *machine, in input) effects { return m.DeleteContext(in, prefix) })
	return err
}

// DeleteSubject deletes all versions of a subject, softly or for good, and gives their numbers.
func (r *Registry) DeleteSubject(ctx context.Context, subject string, permanent bool) ([]int32, error) {
	subject = schema.Normal(subject)
	return write[[]int32](ctx, r, func(m *machine, in input) effects { return m.DeleteSubject(in, subject, permanent) })
}

// DeleteVersion deletes one version, softly or for good, and gives its number.
func (r *Registry) DeleteVersion(ctx context.Context, subject string, number int32, permanent bool) (int32, error) {
	subject = schema.Normal(subject)
	return write[int32](ctx, r, func(m *machine, in input) effects { return m.DeleteVersion(in, subject, number, permanent) })
}

// Config gives the config of a subject, a context or, with an empty name, of all: what is in force
// there, or only what is set there.
func (r *Registry) Config(ctx context.Context, subject string, inForce bool) (schema.Config, error) {
	return read(ctx, r, func(m *machine) (schema.Config, error) {
		if inForce {
			return m.Config(subject), nil
		}
		return m.OwnConfig(subject)
	})
}

// SetConfig changes a config and gives what is set then.
func (r *Registry) SetConfig(ctx context.Context, subject string, u schema.ConfigUpdate) (schema.Config, error) {
	return write[schema.Config](ctx, r, func(m *machine, in input) effects { return m.SetConfig(in, subject, u) })
}

// DeleteConfig removes a config and gives what it was.
func (r *Registry) DeleteConfig(ctx context.Context, subject string) (schema.Config, error) {
	return write[schema.Config](ctx, r, func(m *machine, in input) effects { return m.DeleteConfig(in, subject) })
}

// Mode gives the mode of a subject, a context or all: the one in force, or only the one set there.
func (r *Registry) Mode(ctx context.Context, subject string, inForce bool) (schema.Mode, error) {
	return read(ctx, r, func(m *machine) (schema.Mode, error) {
		if inForce {
			return m.Mode(subject), nil
		}
		return m.OwnMode(subject)
	})
}

// SetMode changes a mode; an empty one removes it.
func (r *Registry) SetMode(ctx context.Context, subject string, mode schema.Mode, force bool) error {
	_, err := write[schema.Mode](ctx, r, func(m *machine, in input) effects { return m.SetMode(in, subject, mode, force) })
	return err
}

// DeleteMode removes a mode and gives what it was, empty when none was set.
func (r *Registry) DeleteMode(ctx context.Context, subject string, recursive bool) (schema.Mode, error) {
	return write[schema.Mode](ctx, r, func(m *machine, in input) effects { return m.DeleteMode(in, subject, recursive) })
}

// Alias gives what a subject stands for.
func (r *Registry) Alias(ctx context.Context, subject string) (string, error) {
	return see(ctx, r, func(m *machine) string { return m.Alias(subject) })
}
