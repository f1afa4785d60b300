package topic

import "hash/maphash"

// Limits of the cleaner's map.
const (
	slotBytes      = 24
	mapShards      = 64   // each grows by itself, so that growing needs little more than what is there
	firstSlots     = 64   // of a shard
	mapLoad        = 0.75 // a shard grows when so much of it is used
	mapLoadAtLimit = 0.9  // and takes so much when it must not grow, as Kafka's log.cleaner.io.buffer.load.factor
)

// offsetMap holds the newest offset of each key in bounded memory: keys are known by 128 bits of a
// hash with a fresh seed, as Kafka's SkimpyOffsetMap knows them by their MD5.
type offsetMap struct {
	seeds  [2]maphash.Seed
	shards [mapShards]shard
	bytes  int // of all slots
	limit  int
	keys   int
}

type shard struct {
	slots []slot
	used  int
}

type slot struct {
	hash   [2]uint64 // both 0: free
	offset int64
}

func newOffsetMap(limitBytes int) *offsetMap {
	return &offsetMap{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, limit: limitBytes}
}

func (m *offsetMap) hash(key []byte) [2]uint64 {
	h := [2]uint64{maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)}
	if h == [2]uint64{} {
		h[1] = 1
	}
	return h
}

// get is the newest offset of a key, -1 when the map does not have it.
func (m *offsetMap) get(key []byte) int64 {
	h := m.hash(key)
	s := &m.shards[h[0]%mapShards]
	if len(s.slots) == 0 {
		return none
	}
	if e := s.find(h); e.hash == h {
		return e.offset
	}
	return none
}

// put notes an offset, which is larger than all before. It is false when there is no room for a new key.
func (m *offsetMap) put(key []byte, offset int64) bool {
	h := m.hash(key)
	s := &m.shards[h[0]%mapShards]
	if len(s.slots) > 0 {
		if e := s.find(h); e.hash == h {
			e.offset = offset
			return true
		}
	}
	if float64(s.used+1) > mapLoad*float64(len(s.slots)) && !m.grow(s) && float64(s.used+1) > mapLoadAtLimit*float64(len(s.slots)) {
		return false
	}
	*s.find(h) = slot{h, offset}
	s.used++
	m.keys++
	return true
}

// find gives the slot of a hash, or the free one where it belongs.
func (s *shard) find(h [2]uint64) *slot {
	mask := uint64(len(s.slots) - 1)
	for i := h[1] & mask; ; i = (i + 1) & mask {
		if e := &s.slots[i]; e.hash == h || e.hash == [2]uint64{} {
			return e
		}
	}
}

func (m *offsetMap) grow(s *shard) bool {
	size := max(firstSlots, 2*len(s.slots))
	if m.bytes+(size-len(s.slots))*slotBytes > m.limit {
		return false
	}
	m.bytes += (size - len(s.slots)) * slotBytes
	old := s.slots
	s.slots = make([]slot, size)
	for _, e := range old {
		if e.hash != [2]uint64{} {
			*s.find(e.hash) = e
		}
	}
	return true
}
