// Package validate checks on Produce that records name a schema of their topic's subject and, where
// the topic asks for it, that they can be decoded with it. Its main type is [Validator], which gives
// package topic an [Inspection] for each batch of a topic that has validation.
//
// The rules (subject.go, inspection.go) are pure: they look at bytes and at what is known of schemas.
// What is not known yet makes a batch undecided; looking it up (lookup.go) happens where somebody
// waits for it, never where requests are ordered.
//
// Invariants: a topic without validation costs one look at a pointer. A batch is judged as a whole.
// Only what the registry says is held against a record: a registry that does not answer is the
// topic's choice of fail-open or fail-closed. What is remembered is bounded, and only what may be
// used is: a refusal is asked again with the next batch.
package validate

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/topic"
)

// Limits of a validator.
const (
	maxSchemasInBatch = 1000 // different schemas that one batch may name
	maxRecordErrors   = 100  // records of a refused batch that are named
	maxReasonBytes    = 300  // of the words about one record
	maxKept           = 10_000
	maxKeptTextBytes  = 8 << 20 // of the texts of schemas that are kept; parsed they take some fifty times as much
	maxLookups        = 64      // at a time
	lookupsAtOnce     = 32      // that one batch begins before it looks again
	standardWait      = 5 * time.Second
	probeEvery        = time.Second // how often a registry that is down is tried
)

// Options of a validator.
type Options struct {
	// Registries are those that topics may choose.
	Registries schema.Registries
	Formats    []schema.Format
	// Fresh is how long what was looked up in a registry is believed. It is renewed in the background
	// while it is used, and no longer used without asking after four times as long.
	Fresh func(registry string) time.Duration
	// Wait bounds how long a batch waits for its schemas; 0: five seconds.
	Wait    time.Duration
	Now     func() time.Time
	Metrics prometheus.Registerer
	// Note takes what an operator should know, in the manner of slog; nil drops it.
	Note func(message string, args ...any)
}

// Validator judges batches. Close ends its look-ups.
type Validator struct {
	o       Options
	formats map[schema.Type]schema.Format
	known   known
	metrics *metrics

	life context.Context // ends look-ups
	end  context.CancelFunc
	wg   sync.WaitGroup
	slot chan struct{} // a look-up under way

	mu      sync.Mutex // guards what follows
	flights map[useKey]*flight
	down    map[string]time.Time // registries that did not answer, and when they are tried again
}

// New gives a validator.
func New(o Options) *Validator {
	if o.Wait <= 0 {
		o.Wait = standardWait
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	v := &Validator{
		o: o, formats: map[schema.Type]schema.Format{}, metrics: newMetrics(o.Metrics), slot: make(chan struct{}, maxLookups),
		flights: map[useKey]*flight{}, down: map[string]time.Time{},
	}
	v.known.init(o.Now)
	v.life, v.end = context.WithCancel(context.Background())
	for _, f := range o.Formats {
		v.formats[f.Type()] = f
	}
	return v
}

// Close ends look-ups; batches that wait for them are told that the registry cannot be asked.
func (v *Validator) Close() {
	v.mu.Lock()
	v.end()
	v.mu.Unlock()
	v.wg.Wait()
}

// Inspect gives what judges one batch of a topic, nil for a topic without validation.
func (v *Validator) Inspect(t cluster.Topic) topic.Inspection {
	rules := t.Config.Validation
	if rules == nil {
		return nil
	}
	return &inspection{v: v, rules: rules, topic: t.Name, registry: t.Config.SchemaRegistry, until: v.o.Now().Add(v.o.Wait)}
}

// Forget lets the counters of a deleted topic go.
func (v *Validator) Forget(t cluster.Topic) { v.metrics.forget(t.Name) }
