package seaweedmq

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/batch"
	"kelp/internal/schema"
	"kelp/internal/schema/envelope"
	"kelp/internal/schema/record"
)

// maxShapes bounds the schemas, counted with their messages, that a topic remembers.
const maxShapes = 10_000

// errUndecodable says that a value cannot become columns, now or later. Every other error of shapes is
// one that may pass, such as a registry that does not answer.
var errUndecodable = errors.New("the value is not what its schema says")

// shape is how the payloads of one schema become columns.
type shape struct {
	codec record.Codec
	id    int32 // in the registry, 0 for sampled ones
	known int   // version of the columns that the projection was made for
	projection
}

// shapes are a topic's schemas, its columns, and what has to be told to SeaweedMQ. All publishers of the
// topic share it.
type shapes struct {
	topic    string
	registry schema.Registry // nil: there is none
	formats  map[schema.Type]schema.Format
	// tell makes SeaweedMQ take a type; it is called before the first record that needs it is published.
	tell func(context.Context, *record.RecordType) error

	// mu guards all below. It is held while SeaweedMQ is told, as a schema's first record waits for that
	// in every partition.
	mu      sync.Mutex
	columns *columns
	version int // of columns
	all     map[string]*shape
	expects bool // the topic has schemas: a value without one is an error
	looked  bool // at the first values
	sampled *sampled
}

// open takes up the type in SeaweedMQ, nil if the topic is new, adds the newest schema's fields, and
// gives the type that the topic should have.
func (s *shapes) open(ctx context.Context, have *record.RecordType) (*record.RecordType, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.columns, s.version = columnsOf(have), s.version+1
	if s.all == nil {
		s.all = map[string]*shape{}
	}
	if s.registry == nil {
		return s.columns.recordType(), nil
	}
	v, err := s.registry.Version(ctx, s.topic+"-value", schema.Latest)
	switch {
	case final(err):
		return s.columns.recordType(), nil
	case err != nil:
		return nil, fmt.Errorf("schema of %s: %w", s.topic, err)
	}
	s.expects = true
	if codec, err := s.codecOf(ctx, v, nil); err == nil {
		if t, err := codec.RecordType(); err == nil {
			s.columns.add(t)
		}
	} else if !errors.Is(err, errUndecodable) {
		return nil, err
	}
	return s.columns.recordType(), nil
}

// final says that an error is the registry's answer and not that there was none.
func final(err error) bool {
	code := schema.CodeOf(err)
	return schema.IsNotFound(err) || code/100 == 422
}

// decoded is a value as columns.
type decoded struct {
	fields *record.RecordValue // nil: none
	schema int32
}

// decode makes columns of a value that is not null.
func (s *shapes) decode(ctx context.Context, r batch.Record) (decoded, error) {
	e, err := envelope.Parse(r.Value, headerOf(r))
	if err != nil {
		return s.bare(ctx, r, err)
	}
	sh, payload, err := s.shapeOf(ctx, &e)
	switch {
	case err != nil && errors.Is(err, errUndecodable) && !s.isExpected():
		return s.bare(ctx, r, err) // not an envelope at all
	case err != nil:
		return decoded{}, err
	}
	v, err := sh.codec.Decode(payload)
	if err != nil {
		return decoded{schema: sh.id}, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	sh.apply(v)
	return decoded{fields: v, schema: sh.id}, nil
}

func (s *shapes) isExpected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expects
}

// bare is a value without a schema. In a topic without schemas it may be of the sampled shape.
func (s *shapes) bare(ctx context.Context, r batch.Record, why error) (decoded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expects {
		return decoded{}, fmt.Errorf("%w: %w", errUndecodable, why)
	}
	if s.sampled == nil {
		return decoded{}, nil
	}
	sh, err := s.sampledShape(ctx, r.Value)
	if err != nil || sh == nil {
		return decoded{}, err
	}
	v, err := sh.codec.Decode(r.Value)
	if err != nil {
		return decoded{}, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	sh.apply(v)
	return decoded{fields: v}, nil
}

func headerOf(r batch.Record) []byte {
	if len(r.Headers) == 0 {
		return nil
	}
	all := make([]kmsg.Header, len(r.Headers))
	for i, h := range r.Headers {
		all[i] = kmsg.Header{Key: h.Key, Value: h.Value}
	}
	return envelope.Header(all, envelope.ValueHeader)
}

// shapeOf finds the shape that an envelope names and the payload.
func (s *shapes) shapeOf(ctx context.Context, e *envelope.Envelope) (*shape, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(e.GUID[:])
	if !e.HasGUID {
		key = string(envelope.AppendID(nil, e.ID))
	}
	if sh := s.all[key]; sh != nil { // no message indexes in this schema
		payload, err := e.Payload()
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errUndecodable, err)
		}
		sh, err = s.current(ctx, sh)
		return sh, payload, err
	}
	indexes, payload, noIndexes := e.Message()
	withIndexes := key + fmt.Sprint(indexes.Append(nil))
	if sh := s.all[withIndexes]; noIndexes == nil && sh != nil {
		sh, err := s.current(ctx, sh)
		return sh, payload, err
	}
	v, err := s.find(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	s.expects = true
	var at []int
	if v.Type == schema.Protobuf {
		key, at, err = withIndexes, indexes.Append(nil), noIndexes
	} else {
		payload, err = e.Payload()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	codec, err := s.codecOf(ctx, v, at)
	if err != nil {
		return nil, nil, err
	}
	if len(s.all) >= maxShapes {
		clear(s.all)
	}
	sh, err := s.current(ctx, &shape{codec: codec, id: v.ID})
	if err == nil {
		s.all[key] = sh
	}
	return sh, payload, err
}

// find asks the registry. That there is no such schema is an answer.
func (s *shapes) find(ctx context.Context, e *envelope.Envelope) (v *schema.Version, err error) {
	switch {
	case s.registry == nil:
		return nil, fmt.Errorf("%w: there is no schema registry", errUndecodable)
	case e.HasGUID:
		v, err = s.registry.ByGUID(ctx, schema.GUID(e.GUID))
	default:
		v, err = s.registry.ByID(ctx, "", int32(e.ID))
	}
	if final(err) {
		err = fmt.Errorf("%w: %w", errUndecodable, err)
	}
	return v, err
}

// codecOf parses a schema.
func (s *shapes) codecOf(ctx context.Context, v *schema.Version, indexes []int) (record.Codec, error) {
	source, err := s.registry.Source(ctx, v)
	if err != nil {
		if final(err) {
			err = fmt.Errorf("%w: %w", errUndecodable, err)
		}
		return nil, err
	}
	return s.parse(v.Type, source, indexes)
}

func (s *shapes) parse(t schema.Type, source schema.Source, indexes []int) (record.Codec, error) {
	f := s.formats[t]
	if f == nil {
		return nil, fmt.Errorf("%w: schemas of type %s are not known", errUndecodable, t)
	}
	parsed, err := f.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	coder, ok := parsed.(record.Coder)
	if !ok {
		return nil, fmt.Errorf("%w: schemas of type %s cannot be decoded", errUndecodable, t)
	}
	codec, err := coder.Codec(record.Options{MessageIndexes: indexes})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	return codec, nil
}

// current makes a shape fit the columns, which its own fields may enlarge. A shape that others use is
// not changed: they get another.
func (s *shapes) current(ctx context.Context, sh *shape) (*shape, error) {
	if sh.known == s.version {
		return sh, nil
	}
	t, err := sh.codec.RecordType()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	next := &columns{fields: append([]*record.Field(nil), s.columns.fields...)}
	projection, changed := next.add(t)
	if changed {
		if err := s.tell(ctx, next.recordType()); err != nil {
			return nil, err
		}
		s.columns, s.version = next, s.version+1
	}
	made := &shape{codec: sh.codec, id: sh.id, known: s.version, projection: projection}
	for key, old := range s.all {
		if old == sh {
			s.all[key] = made
		}
	}
	return made, nil
}
