package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// Versions of the records that we write; older ones are read (docs/formats/metadata.md).
const (
	offsetKeyVersion        = 1
	groupKeyVersion         = 2
	offsetValueVersion      = 3
	offsetExpirationVersion = 1 // the one that says when an offset expires
	groupValueVersion       = 3
)

type partition struct {
	topic string
	index int32
}

type offset struct {
	at          int64
	leaderEpoch int32
	metadata    string
	committedMs int64
	expireMs    int64 // asked for by an old client; -1: the coordinator's retention
	order       uint64
}

// groupRecord is what a group's record says.
type groupRecord struct{ kmsg.GroupMetadataValue }

// readGroup reads the value of a group's record.
func readGroup(value []byte) (groupRecord, error) {
	var r groupRecord
	err := r.ReadFrom(value)
	return r, err
}

func offsetKey(group string, p partition) []byte {
	key := kmsg.NewOffsetCommitKey()
	key.Version, key.Group, key.Topic, key.Partition = offsetKeyVersion, group, p.topic, p.index
	return key.AppendTo(nil)
}

func (o *offset) record(group string, p partition) statelog.Record {
	value := kmsg.NewOffsetCommitValue()
	value.Version, value.Offset, value.LeaderEpoch = offsetValueVersion, o.at, o.leaderEpoch
	value.Metadata, value.CommitTimestamp = o.metadata, o.committedMs
	if o.expireMs >= 0 {
		value.Version, value.ExpireTimestamp = offsetExpirationVersion, o.expireMs
	}
	return statelog.Record{Key: offsetKey(group, p), Value: value.AppendTo(nil)}
}

func forgetOffset(group string, p partition) statelog.Record {
	return statelog.Record{Key: offsetKey(group, p)}
}

func groupKey(id string) []byte {
	key := kmsg.NewGroupMetadataKey()
	key.Version, key.Group = groupKeyVersion, id
	return key.AppendTo(nil)
}

func (r groupRecord) record(id string) statelog.Record {
	return statelog.Record{Key: groupKey(id), Value: r.AppendTo(nil)}
}

// record is a group as it is now.
func (g *group) record() statelog.Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation = groupValueVersion, g.protocolType, g.generation
	v.CurrentStateTimestamp = g.since.UnixMilli()
	switch {
	case g.phase == stable:
		v.Protocol, v.Leader = &g.protocol, &g.leader
	case len(g.members) > 0: // without a leader: it rebalances, and must after a restart as well
		v.Protocol = &g.protocol
	}
	for _, mb := range g.sorted() {
		out := kmsg.NewGroupMetadataValueMember()
		out.MemberID, out.InstanceID, out.ClientID, out.ClientHost = mb.id, mb.instance, mb.clientID, mb.host
		out.SessionTimeoutMillis, out.RebalanceTimeoutMillis = int32(mb.session.Milliseconds()), int32(mb.rebalance.Milliseconds())
		out.Subscription, out.Assignment = mb.metadata(g.protocol), mb.assignment
		v.Members = append(v.Members, out)
	}
	return groupRecord{v}.record(g.id)
}

// group is the live group that a record describes.
func (r groupRecord) group(id string) *group {
	g := &group{
		id: id, phase: empty, since: time.UnixMilli(r.CurrentStateTimestamp), generation: r.Generation, protocolType: r.ProtocolType,
		members: map[string]*member{}, pending: map[string]bool{}, instances: map[string]string{},
	}
	if r.Protocol != nil {
		g.protocol = *r.Protocol
	}
	if r.Leader != nil {
		g.leader = *r.Leader
	}
	for _, in := range r.Members {
		mb := &member{
			id: in.MemberID, clientID: in.ClientID, host: in.ClientHost, instance: in.InstanceID, synced: true, assignment: in.Assignment,
			session:   time.Duration(in.SessionTimeoutMillis) * time.Millisecond,
			rebalance: time.Duration(in.RebalanceTimeoutMillis) * time.Millisecond,
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = g.protocol, in.Subscription
		mb.protocols = append(mb.protocols, p)
		mb.bytes = protocolBytes(mb.protocols)
		g.members[mb.id] = mb
		if mb.instance != nil {
			g.instances[*mb.instance] = mb.id
		}
		g.phase = stable
	}
	return g
}

// Apply implements statelog.Machine.
func (m *Machine) Apply(r statelog.Record) error {
	if r.Transaction != nil && r.Transaction.Ended != nil {
		m.applyMarker(r.Transaction)
		return nil
	}
	b := kbin.Reader{Src: r.Key}
	switch version := b.Int16(); version {
	case 0, offsetKeyVersion:
		return m.applyOffset(r)
	case groupKeyVersion:
		return m.applyGroup(r)
	case keyConsumerGroup, keyPartitionMetadata, keyConsumerMember, keyTargetEpoch, keyTarget, keyCurrent, keyRegex:
		return m.applyConsumer(version, r)
	default:
		return fmt.Errorf("group record: key version %d is not known", version)
	}
}

func (m *Machine) applyOffset(r statelog.Record) error {
	key := kmsg.NewOffsetCommitKey()
	if err := key.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("offset key: %w", err)
	}
	p := partition{key.Topic, key.Partition}
	if r.Value == nil {
		m.forgetPending(key.Group, p)
		delete(m.offsets[key.Group], p)
		if len(m.offsets[key.Group]) == 0 {
			delete(m.offsets, key.Group)
		}
		return nil
	}
	value := kmsg.NewOffsetCommitValue()
	if err := value.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("offset value: %w", err)
	}
	m.applied++
	o := &offset{value.Offset, -1, value.Metadata, value.CommitTimestamp, -1, m.applied}
	if value.Version >= 3 {
		o.leaderEpoch = value.LeaderEpoch
	}
	if value.Version == offsetExpirationVersion {
		o.expireMs = value.ExpireTimestamp
	}
	if r.Transaction != nil {
		m.applyPending(r.Transaction, key.Group, p, o)
		return nil
	}
	m.putOffset(key.Group, p, o)
	return nil
}

func (m *Machine) putOffset(group string, p partition, o *offset) {
	if m.offsets[group] == nil {
		m.offsets[group] = map[partition]*offset{}
	}
	m.offsets[group][p] = o
}

func (m *Machine) applyGroup(r statelog.Record) error {
	key := kmsg.NewGroupMetadataKey()
	if err := key.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("group key: %w", err)
	}
	if r.Value == nil {
		delete(m.saved, key.Group)
		return nil
	}
	if _, err := readGroup(r.Value); err != nil {
		return fmt.Errorf("group value: %w", err)
	}
	m.saved[key.Group] = r.Value
	return nil
}
