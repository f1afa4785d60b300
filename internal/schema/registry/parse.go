package registry

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"

	"kelp/internal/schema"
)

// parse gives the parsed form of a text, from the cache if it is there.
func (r *Registry) parse(ctx context.Context, t schema.Type, source schema.Source) (schema.Schema, error) {
	format := r.formats[t]
	if format == nil {
		return nil, schema.InvalidSchema("Invalid schema type %s", t)
	}
	if len(source.Text) > schema.MaxTextBytes {
		return nil, schema.TooLarge()
	}
	strict := source
	strict.Stored = false
	key := keyOf(t, source)
	for _, k := range []parsedKey{keyOf(t, strict), key} { // what passes for a new text is the same when it is stored
		if s := r.parsed.get(k); s != nil {
			return s, nil
		}
		if !source.Stored {
			break
		}
	}
	var s schema.Schema
	err := r.work(ctx, func() (err error) {
		s, err = format.Parse(source)
		return err
	})
	if errors.Is(err, schema.ErrInvalid) {
		words := strings.TrimPrefix(err.Error(), schema.ErrInvalid.Error()+": ")
		return nil, schema.InvalidSchema("Invalid schema of type %s, details: %s", t, words)
	}
	if err != nil {
		return nil, err
	}
	bytes := len(source.Text)
	for _, d := range source.Dependencies {
		bytes += len(d.Text)
	}
	r.parsed.put(key, s, bytes)
	return s, nil
}

// work runs what keeps a core busy, as many at a time as the registry has parsers.
func (r *Registry) work(ctx context.Context, f func() error) error {
	select {
	case r.parsers <- struct{}{}:
	case <-ctx.Done():
		return failure(ctx.Err())
	}
	defer func() { <-r.parsers }()
	return f()
}

// parseVersion parses what is registered.
func (r *Registry) parseVersion(ctx context.Context, v *schema.Version) (schema.Schema, error) {
	source := schema.Source{Text: v.Text, Stored: true}
	if len(v.References) > 0 {
		var err error
		if source, err = r.Source(ctx, v); err != nil {
			return nil, err
		}
	}
	return r.parse(ctx, v.Type, source)
}

type parsedKey [sha256.Size]byte

// keyOf names a text with everything it is parsed with. Lengths keep the parts apart.
func keyOf(t schema.Type, source schema.Source) (key parsedKey) {
	h := sha256.New()
	part := func(s string) {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	part(string(t))
	part(strconv.FormatBool(source.Stored))
	part(source.Text)
	for _, d := range source.Dependencies {
		part(d.Name)
		part(d.Text)
	}
	h.Sum(key[:0])
	return key
}

// parsedCache keeps the parsed schemas that were used last, up to a number and a size of their texts.
type parsedCache struct {
	mu    sync.Mutex // guards all
	byKey map[parsedKey]*list.Element
	used  *list.List // of *parsedEntry, the last used first
	bytes int

	maxEntries, maxBytes int
}

type parsedEntry struct {
	key    parsedKey
	schema schema.Schema
	bytes  int
}

func (c *parsedCache) init(maxEntries, maxBytes int) {
	c.byKey, c.used, c.maxEntries, c.maxBytes = map[parsedKey]*list.Element{}, list.New(), maxEntries, maxBytes
}

func (c *parsedCache) get(key parsedKey) schema.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*parsedEntry).schema
}

func (c *parsedCache) put(key parsedKey, s schema.Schema, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil {
		return
	}
	c.byKey[key] = c.used.PushFront(&parsedEntry{key, s, bytes})
	c.bytes += bytes
	for c.used.Len() > c.maxEntries || c.bytes > c.maxBytes {
		oldest := c.used.Remove(c.used.Back()).(*parsedEntry)
		delete(c.byKey, oldest.key)
		c.bytes -= oldest.bytes
	}
}

// subjectQueues let registrations of one subject work out their plans one after the other, so that
// a crowd of writers does not make each other's plans stale.
type subjectQueues struct {
	mu     sync.Mutex // guards queues
	queues map[string]*subjectQueue
}

type subjectQueue struct {
	turn  chan struct{}
	users int
}

// enter waits for the turn of a subject; the function that it returns ends the turn.
func (q *subjectQueues) enter(ctx context.Context, subject string) (func(), error) {
	q.mu.Lock()
	if q.queues == nil {
		q.queues = map[string]*subjectQueue{}
	}
	s := q.queues[subject]
	if s == nil {
		s = &subjectQueue{turn: make(chan struct{}, 1)}
		q.queues[subject] = s
	}
	s.users++
	q.mu.Unlock()
	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(q.queues, subject)
		}
	}
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, failure(ctx.Err())
	}
}
