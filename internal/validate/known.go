package validate

import (
	"sync"
	"time"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// hardLife is how many times its fresh life something may be old and still be used unasked.
const hardLife = 4

// parsed is a schema of a registry.
type parsed struct {
	version *schema.Version
	schema  schema.Schema // nil when the text cannot be read here
	failed  error         // why not
}

// use is the answer to a useKey: the schema may be used.
type use struct {
	schema *parsed
	codec  record.Codec // nil when there is none
	failed error        // why not
	since  time.Time    // when the registry said so
	fresh  time.Duration
}

// known keeps what was found, up to a number and a size of texts; what goes first is left to chance.
type known struct {
	now func() time.Time

	mu      sync.RWMutex // guards what follows
	schemas map[schemaKey]*parsed
	uses    map[useKey]*use
	bytes   int // of the schemas' texts
}

func (k *known) init(now func() time.Time) {
	k.now = now
	k.schemas, k.uses = map[schemaKey]*parsed{}, map[useKey]*use{}
}

// find gives what is known of a question. old says that asking again is due.
func (k *known) find(q useKey) (found *use, old bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	found = k.uses[q]
	if found == nil {
		return nil, false
	}
	switch age := k.now().Sub(found.since); {
	case age < found.fresh:
		return found, false
	case age < hardLife*found.fresh:
		return found, true
	}
	return nil, true
}

// protobuf says whether a schema is known to be a Protobuf one.
func (k *known) protobuf(key schemaKey) bool {
	s := k.schemaOf(key)
	return s != nil && s.version.Type == schema.Protobuf
}

// stale gives what was known before, however old: it is better than nothing when nobody can be asked.
func (k *known) stale(q useKey) *use {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.uses[q]
}

func (k *known) schemaOf(key schemaKey) *parsed {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.schemas[key]
}

// keepSchema remembers what a schema is.
func (k *known) keepSchema(key schemaKey, s *parsed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before := k.schemas[key]; before != nil {
		k.bytes -= len(before.version.Text)
	}
	k.schemas[key] = s
	k.bytes += len(s.version.Text)
	for other, s := range k.schemas {
		if len(k.schemas) <= maxKept && k.bytes <= maxKeptTextBytes {
			break
		}
		if other == key {
			continue
		}
		k.bytes -= len(s.version.Text)
		delete(k.schemas, other)
		for of := range k.uses {
			if of.schema == other {
				delete(k.uses, of)
			}
		}
	}
}

// keep remembers an answer.
func (k *known) keep(q useKey, u *use) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uses[q] = u
	for other := range k.uses {
		if len(k.uses) <= maxKept {
			break
		}
		if other != q {
			delete(k.uses, other)
		}
	}
}

// drop forgets an answer that is not true any more.
func (k *known) drop(q useKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.uses, q)
}

// renew believes an answer again for a while without having asked.
func (k *known) renew(q useKey, u *use) {
	again := *u
	again.since = k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uses[q] = &again
}
