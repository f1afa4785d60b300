package protobuf

import (
	"fmt"
	"strings"

	"kelp/internal/schema/record"
)

// MessageName is the full name of the message at an envelope's indexes, counted in the registered
// text; no indexes mean the first message.
func (s *Schema) MessageName(indexes []int) (string, error) {
	names, err := s.messagePath(indexes)
	if err != nil {
		return "", err
	}
	return qualifiedName(s.effective().pkg, strings.Join(names, ".")), nil
}

func (s *Schema) messagePath(indexes []int) ([]string, error) {
	if len(indexes) == 0 {
		indexes = []int{0}
	}
	types := s.effective().types
	var names []string
	for _, i := range indexes {
		m := messageAt(types, i)
		if m == nil {
			return nil, fmt.Errorf("%w: %v", record.ErrMessage, indexes)
		}
		names = append(names, m.name)
		types = m.types
	}
	return names, nil
}

func messageAt(types []typ, index int) *message {
	for _, t := range types {
		if t.message != nil {
			if index == 0 {
				return t.message
			}
			index--
		}
	}
	return nil
}

// MessageIndexes are the indexes of a message by its full name.
func (s *Schema) MessageIndexes(name string) ([]int, error) {
	f := s.effective()
	rest := strings.TrimPrefix(name, ".")
	if f.pkg != "" {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, f.pkg+"."); !ok {
			return nil, fmt.Errorf("%w: no message %q", record.ErrMessage, shorten(name))
		}
	}
	types := f.types
	var indexes []int
	for part := range strings.SplitSeq(rest, ".") {
		i, found := 0, false
		for _, t := range types {
			if t.message == nil {
				continue
			}
			if t.message.name == part {
				types, found = t.message.types, true
				break
			}
			i++
		}
		if !found {
			return nil, fmt.Errorf("%w: no message %q", record.ErrMessage, shorten(name))
		}
		indexes = append(indexes, i)
	}
	return indexes, nil
}
