package seaweedmq

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"kelp/internal/schema"
)

// Limits of a shape that is made of records.
const (
	maxSampledRecords = 100  // looked at before a topic without schemas is published
	maxSampledFields  = 500  // further properties are in the column _extra, as JSON
	maxSampledChanges = 1000 // later records that are looked at because they do not fit
)

// sampled is the shape of a topic without schemas whose values are JSON objects: the kinds that each
// property was seen with. Records that come later and do not fit enlarge it. Properties that are
// objects, arrays, or of several kinds are columns of JSON text.
type sampled struct {
	kinds   map[string]string // boolean, integer, number, string, or "" for JSON text
	changes int
	shape   *shape // made of kinds; nil: to be made
}

// learn takes a value in. false: it is no JSON object, or nothing more is to be learnt.
func (s *sampled) learn(value []byte) bool {
	var doc map[string]json.RawMessage
	if len(value) == 0 || json.Unmarshal(value, &doc) != nil || doc == nil {
		return false
	}
	for name, raw := range doc {
		kind, null := kindOfJSON(raw)
		had, known := s.kinds[name]
		switch {
		case null && known:
		case null:
			// Nothing is known of it yet: it stays in _extra until it has a value.
		case !known && len(s.kinds) < maxSampledFields && name != "":
			s.kinds[name], s.shape = kind, nil
		case known && had != kind:
			s.kinds[name] = eitherKind(had, kind)
			if s.kinds[name] != had {
				s.shape = nil
			}
		}
	}
	return true
}

func eitherKind(a, b string) string {
	if a == "integer" && b == "number" || a == "number" && b == "integer" {
		return "number"
	}
	return ""
}

func kindOfJSON(raw json.RawMessage) (kind string, null bool) {
	switch c := raw[0]; {
	case c == 'n':
		return "", true
	case c == 't', c == 'f':
		return "boolean", false
	case c == '"':
		return "string", false
	case c == '{', c == '[':
		return "", false
	case bytes.ContainsAny(raw, ".eE"):
		return "number", false
	}
	return "integer", false
}

// text is the shape as a JSON Schema.
func (s *sampled) text() string {
	properties := make(map[string]any, len(s.kinds))
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		properties[name] = map[string]any{}
		if kind := s.kinds[name]; kind != "" {
			properties[name] = map[string]any{"type": []string{kind, "null"}}
		}
	}
	b, err := json.Marshal(map[string]any{"type": "object", "properties": properties})
	if err != nil { // strings and maps of them always marshal
		panic(err)
	}
	return string(b)
}

// wantsSample says whether a topic's first values are still to be looked at.
func (s *shapes) wantsSample() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.expects && !s.looked
}

// sample looks at a topic's first values. It gives up at the first that is no JSON object: such a topic
// has no columns but ours.
func (s *shapes) sample(values [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expects || s.looked || len(values) == 0 {
		return
	}
	s.looked = true
	found := &sampled{kinds: map[string]string{}}
	for _, v := range values {
		if !found.learn(v) {
			return
		}
	}
	if len(found.kinds) > 0 {
		s.sampled = found
	}
}

// sampledShape gives the shape that fits a value; nil if the value is no JSON object.
func (s *shapes) sampledShape(ctx context.Context, value []byte) (*shape, error) {
	for {
		if s.sampled.shape == nil {
			codec, err := s.parse(schema.JSON, schema.Source{Text: s.sampled.text()}, nil)
			if err != nil {
				return nil, err
			}
			s.sampled.shape = &shape{codec: codec}
		}
		sh, err := s.current(ctx, s.sampled.shape)
		if err != nil {
			return nil, err
		}
		s.sampled.shape = sh
		if sh.codec.Validate(value) == nil && !s.newIn(value) {
			return sh, nil
		}
		if s.sampled.changes >= maxSampledChanges {
			return nil, fmt.Errorf("%w: it does not fit the columns, which have changed %d times", errUndecodable, maxSampledChanges)
		}
		s.sampled.changes++
		if !s.sampled.learn(value) {
			return nil, nil //nolint:nilnil // no shape is an answer: our columns only
		}
		if s.sampled.shape != nil { // nothing was learnt: the limits are reached, the rest is in _extra
			return sh, nil
		}
	}
}

// newIn says whether a value has properties that could be columns and are not.
func (s *shapes) newIn(value []byte) bool {
	if len(s.sampled.kinds) >= maxSampledFields || s.sampled.changes >= maxSampledChanges {
		return false
	}
	var doc map[string]json.RawMessage
	if json.Unmarshal(value, &doc) != nil {
		return false
	}
	for name, raw := range doc {
		if _, known := s.sampled.kinds[name]; !known && name != "" && raw[0] != 'n' {
			return true
		}
	}
	return false
}
