// Package registry is the embedded schema registry: it parses and compares texts and lets a
// [schema.Machine] decide. Its main type is [Registry], which speaks Go; package rest translates
// it to HTTP.
//
// A registration reads a snapshot of its subject, works out a plan (parse, canonical text,
// comparison) and submits the plan, which the machine refuses as stale when the subject has
// changed meanwhile; then it is made again. So texts are handled by many cores while one
// goroutine decides, and one schema never gets two ids.
//
// Invariants: nothing is answered before it is durable and applied. Parsing runs in a bounded
// number of goroutines at a time and its results in a bounded cache.
package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"kelp/internal/schema"
	"kelp/internal/statelog"
)

// Limits of the registry.
const (
	maxAttempts = 50 // at a plan that goes stale
	// Parsed schemas that are kept, and the bytes of their texts: parsed, a text takes some fifty times its size.
	maxParsed      = 1000
	maxParsedBytes = 2 << 20
)

// Steps runs steps of the machine, one after the other; a [statelog.Runner] does.
type Steps interface {
	Submit(step func(*schema.Machine, statelog.Input) statelog.Effects) *statelog.Answer
}

// Options of a registry.
type Options struct {
	Steps   Steps
	Formats []schema.Format
	// Parsers is how many texts are parsed or compared at a time; zero takes the number of cores.
	Parsers int
}

// Registry is the embedded registry.
type Registry struct {
	steps   Steps
	formats map[schema.Type]schema.Format
	types   []schema.Type
	parsers chan struct{}
	parsed  parsedCache
	queues  subjectQueues
}

var _ schema.Registry = (*Registry)(nil)

// New gives a registry on a running machine.
func New(o Options) *Registry {
	if o.Parsers <= 0 {
		o.Parsers = runtime.GOMAXPROCS(0)
	}
	r := &Registry{steps: o.Steps, formats: map[schema.Type]schema.Format{}, parsers: make(chan struct{}, o.Parsers)}
	for _, f := range o.Formats {
		r.formats[f.Type()] = f
		r.types = append(r.types, f.Type())
	}
	r.parsed.init(maxParsed, maxParsedBytes)
	return r
}

// Types lists the schema types that can be registered.
func (r *Registry) Types() []schema.Type { return r.types }

// read asks the machine something. What it answers is durable.
func read[T any](ctx context.Context, r *Registry, question func(*schema.Machine) (T, error)) (T, error) {
	return write[T](ctx, r, func(m *schema.Machine, in statelog.Input) statelog.Effects {
		v, err := question(m)
		return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Response: v, Err: err}}}
	})
}

// see is read for questions that always have an answer.
func see[T any](ctx context.Context, r *Registry, question func(*schema.Machine) T) (T, error) {
	return read(ctx, r, func(m *schema.Machine) (T, error) { return question(m), nil })
}

// write runs a step and waits for its reply.
func write[T any](ctx context.Context, r *Registry, step func(*schema.Machine, statelog.Input) statelog.Effects) (T, error) {
	var none T
	response, err := r.steps.Submit(step).Wait(ctx)
	if err != nil {
		return none, failure(err)
	}
	v, ok := response.(T)
	if !ok {
		return none, nil // a reply without a response
	}
	return v, nil
}

// failure puts what is not the machine's own refusal into the registry's terms.
func failure(err error) error {
	switch {
	case schema.CodeOf(err) != 0 || errors.Is(err, schema.ErrStale) || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &schema.Error{Code: schema.CodeTimeout, Message: "Register operation timed out"}
	}
	return &schema.Error{Code: schema.CodeStore, Message: fmt.Sprintf("Error from the backend store: %v", err)}
}

// ByID gives the schema of an id.
func (r *Registry) ByID(ctx context.Context, subject string, id int32) (*schema.Version, error) {
	return read(ctx, r, func(m *schema.Machine) (*schema.Version, error) { return m.ByID(id, subject) })
}

// ByGUID gives the schema of a guid.
func (r *Registry) ByGUID(ctx context.Context, g schema.GUID) (*schema.Version, error) {
	return read(ctx, r, func(m *schema.Machine) (*schema.Version, error) { return m.ByGUID(g) })
}

// Version gives a version of a subject that is not deleted.
func (r *Registry) Version(ctx context.Context, subject string, number int32) (*schema.Version, error) {
	return r.FindVersion(ctx, subject, number, false)
}

// FindVersion gives a version of a subject, also a soft-deleted one if asked to.
func (r *Registry) FindVersion(ctx context.Context, subject string, number int32, deleted bool) (*schema.Version, error) {
	subject = schema.Normal(subject)
	return read(ctx, r, func(m *schema.Machine) (*schema.Version, error) { return m.Version(subject, number, deleted) })
}

// Source gives a version's text with everything that it refers to.
func (r *Registry) Source(ctx context.Context, v *schema.Version) (schema.Source, error) {
	dependencies, err := read(ctx, r, func(m *schema.Machine) ([]schema.Dependency, error) {
		_, found, err := m.Resolve(v.Subject, v.References, true)
		return found, err
	})
	return schema.Source{Text: v.Text, Dependencies: dependencies, Stored: true}, err
}

// View gives a version's text in a form of its format; an empty name gives the canonical text.
func (r *Registry) View(ctx context.Context, v *schema.Version, name string) (string, error) {
	if name == "" {
		return v.Text, nil
	}
	parsed, err := r.parseVersion(ctx, v)
	if err != nil {
		return "", err
	}
	text, err := parsed.View(name)
	if err != nil {
		return "", schema.InvalidSchema("Invalid schema of type %s, details: %v", v.Type, err)
	}
	return text, nil
}
