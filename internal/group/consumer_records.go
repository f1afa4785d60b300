package group

import (
	"fmt"
	"maps"
	"slices"
	"unique"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group/assign"
	"kelp/internal/statelog"
)

// Key versions of a consumer group's records, which Kafka calls their types. Strings of keys are of
// the old form, values are flexible and of version 0. docs/formats/metadata.md shows them.
const (
	keyConsumerGroup     = 3 // group epoch
	keyPartitionMetadata = 4 // topics of the group; read, not written any more (Kafka 4.1)
	keyConsumerMember    = 5 // what a member asked for
	keyTargetEpoch       = 6
	keyTarget            = 7 // what a member should have
	keyCurrent           = 8 // what a member has
	keyRegex             = 16
)

const consumerValueVersion = 0

func consumerKey(kind int16, parts ...string) []byte {
	b := kbin.AppendInt16(nil, kind)
	for _, p := range parts {
		b = kbin.AppendString(b, p)
	}
	return b
}

func tombstone(key []byte) statelog.Record { return statelog.Record{Key: key} }

// end closes a flexible structure without tags.
func end(b []byte) []byte { return append(b, 0) }

// tagged closes a flexible structure with its one tag, number 0.
func tagged(b, value []byte) []byte {
	b = kbin.AppendUvarint(b, 1)
	b = kbin.AppendUvarint(b, 0)
	b = kbin.AppendUvarint(b, uint32(len(value)))
	return append(b, value...)
}

func (g *consumerGroup) epochRecord(epoch int32, hash int64) statelog.Record {
	b := kbin.AppendInt16(nil, consumerValueVersion)
	b = tagged(kbin.AppendInt32(b, epoch), kbin.AppendInt64(nil, hash))
	return statelog.Record{Key: consumerKey(keyConsumerGroup, g.id), Value: b}
}

func (g *consumerGroup) targetEpochRecord(epoch int32, nowMs int64) statelog.Record {
	b := kbin.AppendInt16(nil, consumerValueVersion)
	b = tagged(kbin.AppendInt32(b, epoch), kbin.AppendInt64(nil, nowMs))
	return statelog.Record{Key: consumerKey(keyTargetEpoch, g.id), Value: b}
}

func (g *consumerGroup) targetRecord(memberID string, target assign.Partitions) statelog.Record {
	b := kbin.AppendInt16(nil, consumerValueVersion)
	b = kbin.AppendCompactArrayLen(b, len(target))
	for _, of := range target {
		b = kbin.AppendUuid(b, of.Topic)
		b = end(appendInt32s(b, of.Indexes))
	}
	return statelog.Record{Key: consumerKey(keyTarget, g.id, memberID), Value: end(b)}
}

func appendInt32s(b []byte, all []int32) []byte {
	b = kbin.AppendCompactArrayLen(b, len(all))
	for _, n := range all {
		b = kbin.AppendInt32(b, n)
	}
	return b
}

func (g *consumerGroup) memberRecord(m *consumerMember) statelog.Record {
	b := kbin.AppendInt16(nil, consumerValueVersion)
	b = kbin.AppendCompactNullableString(b, m.instance)
	b = kbin.AppendCompactNullableString(b, m.rack)
	b = kbin.AppendCompactString(b, m.clientID)
	b = kbin.AppendCompactString(b, m.host)
	b = kbin.AppendCompactArrayLen(b, len(m.topics))
	for _, t := range m.topics {
		b = kbin.AppendCompactString(b, t)
	}
	b = kbin.AppendCompactNullableString(b, orNull(m.regex))
	b = kbin.AppendInt32(b, m.rebalanceMs)
	b = kbin.AppendCompactNullableString(b, orNull(m.assignor))
	if m.classic == nil {
		return statelog.Record{Key: consumerKey(keyConsumerMember, g.id, m.id), Value: end(b)}
	}
	c := append([]byte{1}, kbin.AppendInt32(nil, m.classic.sessionMs)...) // 1: the structure is there
	c = kbin.AppendCompactArrayLen(c, len(m.classic.protocols))
	for _, p := range m.classic.protocols {
		c = kbin.AppendCompactString(c, p.Name)
		c = end(kbin.AppendCompactBytes(c, p.Metadata))
	}
	return statelog.Record{Key: consumerKey(keyConsumerMember, g.id, m.id), Value: tagged(b, end(c))}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (g *consumerGroup) currentRecord(m *consumerMember) statelog.Record {
	b := kbin.AppendInt16(nil, consumerValueVersion)
	b = kbin.AppendInt32(b, m.epoch)
	b = kbin.AppendInt32(b, m.previous)
	b = kbin.AppendInt8(b, int8(m.state))
	b = appendHeld(b, m.assigned)
	b = end(appendHeld(b, m.revoke))
	return statelog.Record{Key: consumerKey(keyCurrent, g.id, m.id), Value: b}
}

func appendHeld(b []byte, h held) []byte {
	b = kbin.AppendCompactArrayLen(b, len(h))
	for _, t := range topicsInOrder(h) {
		indexes := slices.Sorted(maps.Keys(h[t]))
		epochs := make([]int32, 0, len(indexes))
		for _, index := range indexes {
			epochs = append(epochs, h[t][index])
		}
		b = kbin.AppendUuid(b, t)
		b = tagged(appendInt32s(b, indexes), appendInt32s(nil, epochs))
	}
	return b
}

func (g *consumerGroup) regexRecord(regex string, r *resolvedRegex) statelog.Record {
	b := kbin.AppendInt16(nil, consumerValueVersion)
	b = kbin.AppendCompactArrayLen(b, len(r.topics))
	for _, t := range r.topics {
		b = kbin.AppendCompactString(b, t)
	}
	b = kbin.AppendInt64(b, 0) // Kafka's version of its metadata, which is not ours
	b = end(kbin.AppendInt64(b, r.atMs))
	return statelog.Record{Key: consumerKey(keyRegex, g.id, regex), Value: b}
}

// forgetMember are the records that take a member out.
func (g *consumerGroup) forgetMember(id string) []statelog.Record {
	return []statelog.Record{
		tombstone(consumerKey(keyCurrent, g.id, id)), tombstone(consumerKey(keyTarget, g.id, id)),
		tombstone(consumerKey(keyConsumerMember, g.id, id)),
	}
}

// forgetGroup are the records that take a whole group out.
func (g *consumerGroup) forgetGroup() []statelog.Record {
	var all []statelog.Record
	for _, m := range g.sorted() {
		all = append(all, g.forgetMember(m.id)...)
	}
	for _, regex := range slices.Sorted(maps.Keys(g.regexes)) {
		all = append(all, tombstone(consumerKey(keyRegex, g.id, regex)))
	}
	return append(all, tombstone(consumerKey(keyTargetEpoch, g.id)), tombstone(consumerKey(keyConsumerGroup, g.id)))
}

// records are the group as it is.
func (g *consumerGroup) records() []statelog.Record {
	var all []statelog.Record
	for _, m := range g.sorted() {
		all = append(all, g.memberRecord(m))
	}
	for _, regex := range slices.Sorted(maps.Keys(g.regexes)) {
		all = append(all, g.regexRecord(regex, g.regexes[regex]))
	}
	all = append(all, g.epochRecord(g.epoch, g.hash))
	for _, m := range g.sorted() {
		if target, given := g.targets[m.id]; given {
			all = append(all, g.targetRecord(m.id, target))
		}
	}
	all = append(all, g.targetEpochRecord(g.targetEpoch, g.assignedMs))
	for _, m := range g.sorted() {
		all = append(all, g.currentRecord(m))
	}
	return all
}

// reader reads flexible values.
type reader struct{ kbin.Reader }

func (r *reader) count() int { return int(max(0, r.CompactArrayLen())) }

func (r *reader) strings() []string {
	n := r.count()
	all := make([]string, 0, min(n, len(r.Src)))
	for range n {
		if !r.Ok() {
			break
		}
		all = append(all, r.CompactString())
	}
	return all
}

func (r *reader) int32s() []int32 {
	n := r.count()
	all := make([]int32, 0, min(n, len(r.Src)))
	for range n {
		if !r.Ok() {
			break
		}
		all = append(all, r.Int32())
	}
	return all
}

// tag reads the tags that close a structure and gives number 0, nil when it is not there.
func (r *reader) tag() []byte {
	var zero []byte
	for range r.Uvarint() {
		if !r.Ok() {
			break
		}
		number, size := r.Uvarint(), r.Uvarint()
		if b := r.Span(int(size)); number == 0 {
			zero = b
		}
	}
	return zero
}

func (r *reader) partitions() assign.Partitions {
	var out assign.Partitions
	for range r.count() {
		if !r.Ok() {
			break
		}
		t, indexes := r.Uuid(), r.int32s()
		slices.Sort(indexes) // Kafka writes them in any order
		out.Add(t, indexes...)
		r.tag()
	}
	return out
}

// held reads partitions with their epochs; those written before Kafka 4.3 have the member's.
func (r *reader) held(epoch int32) held {
	n := r.count()
	if n == 0 {
		return nil // most members have nothing to give up
	}
	out := held{}
	for range n {
		if !r.Ok() {
			break
		}
		t, indexes := r.Uuid(), r.int32s()
		tag := reader{kbin.Reader{Src: r.tag()}}
		var epochs []int32
		if len(tag.Src) > 0 {
			epochs = tag.int32s()
		}
		of := make(map[int32]int32, len(indexes))
		for i, index := range indexes {
			of[index] = epoch
			if len(epochs) == len(indexes) {
				of[index] = epochs[i]
			}
		}
		out[t] = of
	}
	return out
}

// applyConsumer folds in a record of a consumer group. Compaction keeps the newest record of each
// key but not their order to each other, so every kind makes the group or member that it needs.
func (m *Machine) applyConsumer(kind int16, r statelog.Record) error {
	key := reader{kbin.Reader{Src: r.Key}}
	key.Int16()
	groupID, part := key.String(), ""
	if kind == keyConsumerMember || kind == keyTarget || kind == keyCurrent || kind == keyRegex {
		part = key.String()
	}
	if err := key.Complete(); err != nil {
		return fmt.Errorf("consumer group key of type %d: %w", kind, err)
	}
	g := m.consumers[groupID]
	if r.Value == nil {
		if g != nil {
			m.forgetConsumer(g, kind, part)
		}
		return nil
	}
	if kind == keyPartitionMetadata {
		return nil
	}
	if g == nil {
		g = newConsumerGroup(groupID)
		m.consumers[groupID] = g
	}
	if known := g.members[part]; known != nil {
		part = known.id // one copy of it
	}
	value := &reader{kbin.Reader{Src: r.Value}}
	if version := value.Int16(); version != consumerValueVersion {
		return fmt.Errorf("consumer group value of type %d has version %d", kind, version)
	}
	switch kind {
	case keyConsumerGroup:
		g.epoch, g.hash = value.Int32(), 0
		if tag := value.tag(); len(tag) == 8 {
			g.hash = (&kbin.Reader{Src: tag}).Int64()
		}
	case keyConsumerMember:
		g.put(part, value.member(g.members[part], part))
	case keyTargetEpoch:
		g.targetEpoch, g.assignedMs = value.Int32(), 0
		if tag := value.tag(); len(tag) == 8 {
			g.assignedMs = (&kbin.Reader{Src: tag}).Int64()
		}
	case keyTarget:
		g.targets[part] = value.partitions()
		value.tag()
	case keyCurrent:
		g.put(part, value.current(g.members[part], part))
	case keyRegex:
		topics := value.strings()
		value.Int64()
		g.regexes[part] = &resolvedRegex{topics: topics, atMs: value.Int64()}
		value.tag()
	}
	if err := value.Complete(); err != nil {
		return fmt.Errorf("consumer group value of type %d: %w", kind, err)
	}
	return nil
}

// common is the one copy of a text that many members have.
func common(text string) string { return unique.Make(text).Value() }

func (r *reader) member(old *consumerMember, id string) *consumerMember {
	m := *newConsumerMember(id)
	if old != nil {
		m = *old
	}
	m.instance, m.rack = r.CompactNullableString(), r.CompactNullableString()
	m.clientID, m.host = common(r.CompactString()), common(r.CompactString())
	m.topics = r.strings()
	for i, t := range m.topics {
		m.topics[i] = common(t)
	}
	m.regex, m.assignor = "", ""
	if regex := r.CompactNullableString(); regex != nil {
		m.regex = *regex
	}
	m.rebalanceMs = r.Int32()
	if assignor := r.CompactNullableString(); assignor != nil {
		m.assignor = *assignor
	}
	m.classic = nil
	tag := r.tag()
	if len(tag) == 0 || tag[0] != 1 {
		return &m
	}
	c := reader{kbin.Reader{Src: tag[1:]}}
	m.classic = &classicMember{sessionMs: c.Int32()}
	for range c.count() {
		if !c.Ok() {
			break
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = c.CompactString(), c.CompactBytes()
		c.tag()
		m.classic.protocols = append(m.classic.protocols, p)
	}
	return &m
}

func (r *reader) current(old *consumerMember, id string) *consumerMember {
	m := *newConsumerMember(id)
	if old != nil {
		m = *old
	}
	m.epoch, m.previous, m.state = r.Int32(), r.Int32(), memberState(r.Int8())
	m.assigned, m.revoke = r.held(m.epoch), r.held(m.epoch)
	r.tag()
	return &m
}

// forgetConsumer folds in a tombstone.
func (m *Machine) forgetConsumer(g *consumerGroup, kind int16, part string) {
	switch kind {
	case keyConsumerGroup:
		delete(m.consumers, g.id)
	case keyConsumerMember:
		g.put(part, nil)
		delete(g.joinDue, part)
	case keyTargetEpoch:
		g.targetEpoch, g.assignedMs = -1, 0
	case keyTarget:
		delete(g.targets, part)
	case keyCurrent:
		if old := g.members[part]; old != nil {
			reset := *old
			reset.epoch, reset.previous, reset.state, reset.assigned, reset.revoke = -1, -1, memberStable, held{}, held{}
			g.put(part, &reset)
		}
	case keyRegex:
		delete(g.regexes, part)
	}
}
