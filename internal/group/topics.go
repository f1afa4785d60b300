package group

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
)

// Topics is what groups know of the topics at one moment. Values of it can be compared: two that are
// equal have the same topics.
type Topics interface {
	// ByName and ByID find a topic.
	ByName(name string) (Topic, bool)
	ByID(id [16]byte) (Topic, bool)
	// Names lists all topics in any order.
	Names() iter.Seq[string]
}

// Topic is what groups know of one topic.
type Topic struct {
	ID         [16]byte
	Name       string
	Partitions int32
}

// noTopics is a cluster without topics.
type noTopics struct{}

func (noTopics) ByName(string) (Topic, bool) { return Topic{}, false }
func (noTopics) ByID([16]byte) (Topic, bool) { return Topic{}, false }
func (noTopics) Names() iter.Seq[string]     { return func(func(string) bool) {} }

// metadataHash tells whether the topics that a group reads have changed: their ids and sizes. Those
// that are not there count for nothing, and no topic at all is 0. names are in order.
func metadataHash(all Topics, names []string) int64 {
	h := fnv.New64a()
	found := false
	for _, name := range names {
		t, ok := all.ByName(name)
		if !ok {
			continue
		}
		found = true
		h.Write(t.ID[:])
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(t.Partitions)))
	}
	if !found {
		return 0
	}
	return int64(h.Sum64())
}
