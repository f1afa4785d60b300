package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kelp/internal/schema"
	"kelp/internal/statelog"
)

// draft is a draft on its way: parsed, with its references settled.
type draft struct {
	schema.Draft
	parsed     schema.Schema
	references []schema.Reference
	content    schema.Content
}

// Register makes a draft a version of a subject, or finds the version that it already is.
func (r *Registry) Register(ctx context.Context, subject string, d schema.Draft, normalize bool) (*schema.Version, error) {
	return r.RegisterForced(ctx, subject, d, normalize, false)
}

// RegisterForced is Register that, when forced, does not compare the draft with its predecessors.
func (r *Registry) RegisterForced(ctx context.Context, subject string, d schema.Draft, normalize, force bool) (*schema.Version, error) {
	if err := schema.CheckSubject(subject); err != nil {
		return nil, err
	}
	if err := d.RuleSet.Check(); err != nil {
		return nil, err
	}
	subject = schema.Normal(subject)
	for range maxAttempts {
		v, err := r.tryRegister(ctx, subject, d, normalize, force)
		if !errors.Is(err, schema.ErrStale) {
			return v, err
		}
	}
	return nil, &schema.Error{
		Code: schema.CodeStore, Message: fmt.Sprintf("the subject changed %d times while the schema was checked", maxAttempts),
	}
}

func (r *Registry) tryRegister(ctx context.Context, subject string, d schema.Draft, normalize, force bool) (*schema.Version, error) {
	s, err := see(ctx, r, func(m *schema.Machine) schema.Snapshot { return m.Snapshot(subject) })
	if err != nil {
		return nil, err
	}
	normalize = normalize || s.Config.Normalize != nil && *s.Config.Normalize
	if v, err := r.registered(ctx, &s, d, normalize); v != nil || err != nil {
		return v, err
	}
	leave, err := r.queues.enter(ctx, subject)
	if err != nil {
		return nil, err
	}
	answer, err := r.submit(ctx, subject, d, normalize, force)
	leave()
	if err != nil {
		return nil, err
	}
	return answer(ctx)
}

// registered finds what a draft already is, which is answered in every mode.
func (r *Registry) registered(ctx context.Context, s *schema.Snapshot, d schema.Draft, normalize bool) (*schema.Version, error) {
	if s.Latest() == nil || strings.TrimSpace(d.Text) == "" || s.Fills() {
		return nil, nil
	}
	c, err := r.canonical(ctx, s, d, normalize, false)
	if err != nil {
		return nil, err
	}
	v, err := r.find(ctx, s, c, false)
	if v == nil || err != nil {
		return nil, err
	}
	same := d.ID < 0 || d.ID == v.ID
	if same && (d.Version == 0 || d.Version == schema.Latest && v == s.Latest() || d.Version == v.Number && d.ID == v.ID) {
		return v, nil
	}
	return nil, nil
}

// submit works out a plan and hands it over; what it returns waits for the outcome. The turn of
// the subject ends with the handing over: a later snapshot already sees it.
func (r *Registry) submit(ctx context.Context, subject string, d schema.Draft, normalize, force bool,
) (func(context.Context) (*schema.Version, error), error) {
	s, err := see(ctx, r, func(m *schema.Machine) schema.Snapshot { return m.Snapshot(subject) })
	if err != nil {
		return nil, err
	}
	if err := s.MayRegister(&d); err != nil {
		return nil, err
	}
	imports := s.Imports()
	if !imports {
		if d, err = s.Fill(d); err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(d.Text) == "" {
		return nil, schema.InvalidSchema("Empty schema")
	}
	c, err := r.canonical(ctx, &s, d, normalize, !imports)
	if err != nil {
		return nil, err
	}
	if d.Version == 0 {
		v, err := r.find(ctx, &s, c, false)
		if err != nil {
			return nil, err
		}
		if v != nil && (d.ID < 0 || d.ID == v.ID) {
			return func(context.Context) (*schema.Version, error) { return v, nil }, nil
		}
	}
	if !imports && !force {
		verdict, err := r.compare(ctx, s.Config, c, s.Active())
		if err != nil {
			return nil, err
		}
		if !verdict.Compatible {
			return nil, schema.Incompatible(subject, "["+strings.Join(verdict.Messages, ", ")+"]")
		}
	}
	plan := schema.Plan{Snapshot: s, Content: c.content, Number: d.Version}
	answer := r.steps.Submit(func(m *schema.Machine, in statelog.Input) statelog.Effects { return m.Register(in, plan) })
	return func(ctx context.Context) (*schema.Version, error) {
		v, err := answer.Wait(ctx)
		if err != nil {
			return nil, failure(err)
		}
		return v.(*schema.Version), nil
	}, nil
}

// canonical parses a draft and brings it into the form that is registered. What is new may not
// refer to soft-deleted versions.
func (r *Registry) canonical(ctx context.Context, s *schema.Snapshot, d schema.Draft, normalize, isNew bool) (draft, error) {
	if d.Type == "" {
		d.Type = schema.Avro
	}
	c := draft{Draft: d}
	if r.formats[d.Type] == nil {
		return c, schema.InvalidSchema("Invalid schema type %s", d.Type)
	}
	source := schema.Source{Text: d.Text}
	if len(d.References) > 0 {
		type resolved struct {
			references   []schema.Reference
			dependencies []schema.Dependency
		}
		found, err := read(ctx, r, func(m *schema.Machine) (resolved, error) {
			references, dependencies, err := m.Resolve(s.Subject, d.References, !isNew)
			return resolved{references, dependencies}, err
		})
		if err != nil {
			return c, schema.InvalidSchema("Invalid schema of type %s, details: %v", d.Type, err)
		}
		c.references, source.Dependencies = found.references, found.dependencies
	}
	parsed, err := r.parse(ctx, d.Type, source)
	if err != nil {
		return c, err
	}
	if isNew {
		if err := schema.CheckFields(parsed, &s.Config); err != nil {
			return c, err
		}
	}
	c.parsed = parsed
	text := parsed.Canonical()
	if normalize && !s.Imports() {
		text = parsed.Normalized()
	}
	c.content = c.Content(text, c.references)
	return c, nil
}

// find looks for the version of a subject that a draft is: the same content, or the same but for
// what does not count (the version's own number in its metadata; for Avro the order of properties
// and whether references are written out).
func (r *Registry) find(ctx context.Context, s *schema.Snapshot, c draft, deleted bool) (*schema.Version, error) {
	for _, v := range slices.Backward(s.Versions) {
		if v.GUID == c.content.GUID && v.Type == c.content.Type && (deleted || !v.Deleted) {
			return v, nil
		}
	}
	for _, v := range slices.Backward(s.Versions) {
		if v.Deleted && !deleted || !c.content.Resembles(v) {
			continue
		}
		same, err := r.equivalent(ctx, c, v)
		if err != nil || same {
			return v, err
		}
	}
	return nil, nil
}

func (r *Registry) equivalent(ctx context.Context, c draft, v *schema.Version) (bool, error) {
	inline := len(c.references) == 0 && len(v.References) > 0
	if !inline && !slices.Equal(c.references, v.References) {
		return false, nil
	}
	if c.content.Text == v.Text {
		return true, nil
	}
	if c.Type != schema.Avro || !inline && len(c.content.Text) != len(v.Text) {
		return false, nil // two orders of the same properties are equally long
	}
	parsed, err := r.parseVersion(ctx, v)
	if err != nil {
		return false, nil //nolint:nilerr // what cannot be parsed today is no other's equal
	}
	if !inline {
		return parsed.Normalized() == c.parsed.Normalized(), nil
	}
	mine, err := c.parsed.View("resolved")
	if err != nil {
		return false, nil //nolint:nilerr // as above
	}
	theirs, err := parsed.View("resolved")
	return err == nil && mine == theirs, nil
}

// compare checks a draft against versions under a config.
func (r *Registry) compare(ctx context.Context, config schema.Config, c draft, versions []*schema.Version) (schema.Verdict, error) {
	next := schema.Compared{Schema: c.parsed, Metadata: c.Metadata}
	var older []schema.Compared
	if config.CompatibilityLevel != schema.None {
		if n := len(versions); n > 1 && !config.CompatibilityLevel.Transitive() && config.CompatibilityGroup == "" {
			versions = versions[n-1:]
		}
		var err error
		if older, err = r.compared(ctx, versions); err != nil {
			return schema.Verdict{}, err
		}
	} else if n := len(versions); n > 0 {
		older = []schema.Compared{{Number: versions[n-1].Number, Metadata: versions[n-1].Metadata}} // for reserved fields
	}
	var verdict schema.Verdict
	err := r.work(ctx, func() error {
		verdict = schema.Check(next, older, &config)
		return nil
	})
	return verdict, err
}

func (r *Registry) compared(ctx context.Context, versions []*schema.Version) ([]schema.Compared, error) {
	var all []schema.Compared
	for _, v := range versions {
		parsed, err := r.parseVersion(ctx, v)
		if err != nil {
			return nil, err
		}
		all = append(all, schema.Compared{Number: v.Number, Schema: parsed, Metadata: v.Metadata})
	}
	return all, nil
}

// Lookup finds the version of a subject that a draft is, not counting deleted ones.
func (r *Registry) Lookup(ctx context.Context, subject string, d schema.Draft, normalize bool) (*schema.Version, error) {
	return r.LookupDeleted(ctx, subject, d, normalize, false)
}

// LookupDeleted is Lookup that sees soft-deleted versions too if asked to.
func (r *Registry) LookupDeleted(ctx context.Context, subject string, d schema.Draft, normalize, deleted bool) (*schema.Version, error) {
	subject = schema.Normal(subject)
	d.ID = schema.NoID
	places, err := see(ctx, r, func(m *schema.Machine) []schema.Snapshot { return m.Snapshots(subject) })
	if err != nil {
		return nil, err
	}
	for i := range places {
		v, err := r.lookup(ctx, &places[i], d, normalize, deleted)
		if v != nil || err != nil && i == 0 {
			return v, err
		}
	}
	return read(ctx, r, func(m *schema.Machine) (*schema.Version, error) { return nil, m.Missing(subject, deleted) })
}

func (r *Registry) lookup(ctx context.Context, s *schema.Snapshot, d schema.Draft, normalize, deleted bool) (*schema.Version, error) {
	normalize = normalize || s.Config.Normalize != nil && *s.Config.Normalize
	if strings.TrimSpace(d.Text) == "" {
		return nil, nil
	}
	// As the registry does, a draft without metadata is also tried with what a registration adds.
	filled := s.FillForLookup(d)
	for _, each := range []schema.Draft{d, filled} {
		c, err := r.canonical(ctx, s, each, normalize, false)
		if err != nil {
			return nil, err
		}
		if v, err := r.find(ctx, s, c, deleted); v != nil || err != nil {
			return v, err
		}
		if s.Latest() == nil {
			break
		}
	}
	return nil, nil
}

// Check compares a draft with one version of a subject, or, when number is zero, with all that its
// level names.
func (r *Registry) Check(ctx context.Context, subject string, number int32, d schema.Draft) (schema.Verdict, error) {
	v, _, err := r.CheckPlanned(ctx, subject, number, d, CheckOptions{})
	return v, err
}

// maxPlanned is how many of the newest versions a migration plan looks at.
const maxPlanned = 50

// CheckOptions say more about a comparison.
type CheckOptions struct {
	Normalize bool // bring the draft into its normal form first
	Plan      bool // say how the change can be carried out, when all versions are compared
}

// CheckPlanned is Check that also plans how the change can be carried out.
func (r *Registry) CheckPlanned(ctx context.Context, subject string, number int32, d schema.Draft, o CheckOptions,
) (schema.Verdict, *schema.Migration, error) {
	subject = schema.Normal(subject)
	s, err := see(ctx, r, func(m *schema.Machine) schema.Snapshot { return m.Snapshot(subject) })
	if err != nil {
		return schema.Verdict{}, nil, err
	}
	versions := s.Active()
	if number != 0 {
		versions = slices.DeleteFunc(versions, func(v *schema.Version) bool {
			wanted := v.Number == number || number == schema.Latest && v == s.Latest()
			return !wanted
		})
		if len(versions) == 0 && number != schema.Latest {
			return schema.Verdict{}, nil, schema.VersionNotFound(number)
		}
	}
	if strings.TrimSpace(d.Text) == "" {
		return schema.Verdict{}, nil, schema.InvalidSchema("Empty schema")
	}
	normalize := o.Normalize || s.Config.Normalize != nil && *s.Config.Normalize
	c, err := r.canonical(ctx, &s, d, normalize, true)
	if err != nil {
		return schema.Verdict{}, nil, err
	}
	verdict, err := r.compare(ctx, s.Config, c, versions)
	if err != nil || !o.Plan || number != 0 || len(versions) == 0 {
		return verdict, nil, err
	}
	plan, err := r.plan(ctx, s.Config, c, versions[max(0, len(versions)-maxPlanned):])
	return verdict, plan, err
}

func (r *Registry) plan(ctx context.Context, config schema.Config, c draft, versions []*schema.Version) (*schema.Migration, error) {
	history, err := r.compared(ctx, versions)
	if err != nil {
		return nil, err
	}
	var plan schema.Migration
	err = r.work(ctx, func() error {
		plan = schema.PlanMigration(schema.Compared{Schema: c.parsed, Metadata: c.Metadata}, history, config.Options())
		return nil
	})
	return &plan, err
}
