package validate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

var (
	errSlow    = errors.New("the schema registry did not answer in time")
	errClosed  = errors.New("the server is closing")
	errSilent  = errors.New("the schema registry does not answer")
	errMessage = errors.New("the schema has no messages")
)

// flight is a question that is being asked.
type flight struct {
	done   chan struct{} // closed once answer is set
	answer answer
}

// answered is a flight that has ended.
func answered(a answer) *flight {
	f := &flight{done: make(chan struct{}), answer: a}
	close(f.done)
	return f
}

// ask begins to ask the registry of a topic, once for all who want to know at the time. While the
// registry is down nobody waits: it is tried in the background.
func (v *Validator) ask(q useKey) *flight {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.life.Err() != nil {
		return answered(answer{unavailable: errClosed})
	}
	again, down := v.down[q.schema.registry]
	if now := v.o.Now(); down && now.Before(again) {
		return answered(v.without(q))
	} else if down {
		v.down[q.schema.registry] = now.Add(probeEvery)
	}
	f := v.flights[q]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		v.flights[q] = f
		v.wg.Go(func() { v.fly(f, q) })
	}
	if down {
		return answered(v.without(q))
	}
	return f
}

// renew asks again about what is old, while what is known is used.
func (v *Validator) renew(q useKey) { v.ask(q) }

// without is the answer of a registry that does not answer: what it said before, if anything.
func (v *Validator) without(q useKey) answer {
	if u := v.known.stale(q); u != nil {
		return answer{use: u}
	}
	return answer{unavailable: errSilent}
}

func (v *Validator) fly(f *flight, q useKey) {
	ctx, cancel := context.WithTimeout(v.life, v.o.Wait)
	defer cancel()
	began := v.o.Now()
	a := v.asked(ctx, q)
	v.metrics.lookedUp(a, v.o.Now().Sub(began))
	switch {
	case a.use != nil:
		v.known.keep(q, a.use)
	case a.refusal != nil:
		v.known.drop(q)
	case a.unavailable != nil:
		if u := v.known.stale(q); u != nil {
			v.known.renew(q, u)
			a = answer{use: u}
		}
	}
	f.answer = a
	v.mu.Lock()
	delete(v.flights, q)
	v.mu.Unlock()
	close(f.done)
}

// asked waits for its turn and asks, and notes whether the registry answers.
func (v *Validator) asked(ctx context.Context, q useKey) answer {
	select {
	case v.slot <- struct{}{}:
		defer func() { <-v.slot }()
	case <-ctx.Done():
		return answer{unavailable: errSlow}
	}
	r, err := v.o.Registries.Named(q.schema.registry)
	if err != nil {
		return answer{unavailable: err} // said where the config was set
	}
	a := v.lookUp(ctx, r, q)
	if v.life.Err() == nil {
		v.registryAnswers(q.schema.registry, a.unavailable)
	}
	return a
}

// registryAnswers notes whether a registry answers.
func (v *Validator) registryAnswers(name string, failure error) {
	v.mu.Lock()
	_, down := v.down[name]
	if failure == nil {
		delete(v.down, name)
	} else {
		v.down[name] = v.o.Now().Add(probeEvery)
	}
	v.mu.Unlock()
	switch {
	case failure != nil && !down:
		v.o.Note("schemas cannot be validated: the registry does not answer", "registry", name, "error", failure)
	case failure == nil && down:
		v.o.Note("schemas can be validated again: the registry answers", "registry", name)
	}
}

// lookUp asks a registry.
func (v *Validator) lookUp(ctx context.Context, r schema.Registry, q useKey) answer {
	s, a := v.schema(ctx, r, q)
	if s == nil {
		return a
	}
	var indexes []int
	if s.version.Type == schema.Protobuf {
		if !q.named && q.strategy != cluster.TopicNameStrategy {
			return answer{}
		}
		indexes = q.message.Append(nil)
	}
	name, err := s.name(q.strategy, indexes)
	if err != nil {
		return answer{refusal: refuse(badPayload, "schema %s: %v", q.schema.schemaID, err)}
	}
	subject, ok := subject(q.strategy, q.schema.context, q.topic, q.side, name)
	if !ok {
		return answer{refusal: refuse(wrongSubject, "schema %s has no name, which %s needs", q.schema.schemaID, q.strategy)}
	}
	c := s.version.Content
	draft := schema.Draft{
		Type: c.Type, Text: c.Text, References: c.References, Metadata: c.Metadata, RuleSet: c.RuleSet, ID: schema.NoID,
	}
	found, err := r.Lookup(ctx, subject, draft, false)
	switch {
	case err == nil && found != nil:
	case err == nil || isRefusal(err):
		return answer{refusal: refuse(wrongSubject, "schema %s is not registered under subject %q", q.schema.schemaID, subject)}
	default:
		return answer{unavailable: err}
	}
	u := &use{schema: s, since: v.o.Now(), fresh: v.o.Fresh(q.schema.registry)}
	u.codec, u.failed = s.codec(indexes)
	return answer{use: u}
}

// isRefusal tells an answer about what was asked from the lack of one. A registry that refuses to be
// asked at all (401, 403) has given no answer.
func isRefusal(err error) bool {
	code := schema.CodeOf(err)
	return schema.IsNotFound(err) || code == 422 || code/100 == 422
}

// schema gives the schema that a question names, parsed. A message is only asked about when the
// schema is known, so one that was found before need not be found again for it.
func (v *Validator) schema(ctx context.Context, r schema.Registry, q useKey) (*parsed, answer) {
	if q.named {
		if s := v.known.schemaOf(q.schema); s != nil {
			return s, answer{}
		}
	}
	found, err := find(ctx, r, q.schema)
	switch {
	case err == nil:
	case isRefusal(err):
		return nil, answer{refusal: refuse(unknownSchema, "schema %s is not known to the registry", q.schema.schemaID)}
	default:
		return nil, answer{unavailable: err}
	}
	if before := v.known.schemaOf(q.schema); before != nil && before.version.GUID == found.GUID && before.version.Type == found.Type {
		return before, answer{}
	}
	source, err := r.Source(ctx, found)
	if err != nil && !isRefusal(err) && !errors.Is(err, schema.ErrInvalid) {
		return nil, answer{unavailable: err}
	}
	s := &parsed{version: found}
	switch f := v.formats[found.Type]; {
	case err != nil:
		s.failed = err
	case f == nil:
		s.failed = fmt.Errorf("type %s is not known here", found.Type)
	default:
		s.schema, s.failed = f.Parse(source)
	}
	if s.failed != nil {
		s.schema = nil
		s.failed = fmt.Errorf("it cannot be read here: %w", s.failed)
	}
	v.known.keepSchema(q.schema, s)
	return s, answer{}
}

func find(ctx context.Context, r schema.Registry, key schemaKey) (*schema.Version, error) {
	if key.hasGUID {
		return r.ByGUID(ctx, schema.GUID(key.guid))
	}
	if key.id > math.MaxInt32 {
		return nil, schema.UnknownSchema(key.id)
	}
	within := ""
	if key.context != "" {
		within = schema.Name{Context: key.context}.Prefix()
	}
	return r.ByID(ctx, within, int32(key.id))
}

// name is the full name that strategies other than TopicNameStrategy go by.
func (s *parsed) name(strategy string, indexes []int) (string, error) {
	if strategy == cluster.TopicNameStrategy {
		return "", nil
	}
	if s.schema == nil {
		return "", s.failed
	}
	if s.version.Type != schema.Protobuf {
		return s.schema.Name(), nil
	}
	m, ok := s.schema.(interface{ MessageName([]int) (string, error) })
	if !ok {
		return "", errMessage
	}
	return m.MessageName(indexes)
}

func (s *parsed) codec(indexes []int) (record.Codec, error) {
	if s.schema == nil {
		return nil, s.failed
	}
	coder, ok := s.schema.(record.Coder)
	if !ok {
		return nil, fmt.Errorf("%s payloads cannot be decoded here", s.version.Type)
	}
	return coder.Codec(record.Options{MessageIndexes: indexes})
}
