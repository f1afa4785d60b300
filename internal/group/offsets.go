package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

type offsetKey struct {
	group, topic string
	partition    int32
}

type offset struct {
	at          int64
	leaderEpoch int32
	metadata    string
	committedMs int64
}

// record is the offset in the format of Kafka's OffsetCommitKey v1 and OffsetCommitValue v3.
func (o offset) record(k offsetKey) statelog.Record {
	key := kmsg.NewOffsetCommitKey()
	key.Version, key.Group, key.Topic, key.Partition = 1, k.group, k.topic, k.partition
	value := kmsg.NewOffsetCommitValue()
	value.Version, value.Offset, value.LeaderEpoch = 3, o.at, o.leaderEpoch
	value.Metadata, value.CommitTimestamp = o.metadata, o.committedMs
	return statelog.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}
}

// Apply implements statelog.Machine.
func (m *Machine) Apply(r statelog.Record) error {
	key := kmsg.NewOffsetCommitKey()
	if err := key.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("offset key: %w", err)
	}
	k := offsetKey{key.Group, key.Topic, key.Partition}
	if r.Value == nil {
		delete(m.offsets, k)
		return nil
	}
	value := kmsg.NewOffsetCommitValue()
	if err := value.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("offset value: %w", err)
	}
	m.offsets[k] = offset{value.Offset, value.LeaderEpoch, value.Metadata, value.CommitTimestamp}
	return nil
}

// OffsetCommit makes offsets durable for a member of the current generation, or for a simple
// consumer (generation -1) while the group has no members.
func (m *Machine) OffsetCommit(in statelog.Input, req *kmsg.OffsetCommitRequest) statelog.Effects {
	var e statelog.Effects
	var refused *kerr.Error
	g := m.groups[req.Group]
	simple := req.Generation < 0 && (g == nil || len(g.members) == 0)
	if !simple {
		var mb *member
		g, mb, refused = m.check(req.Group, req.MemberID, req.InstanceID, req.Generation)
		switch {
		case refused != nil:
		case g.phase == completing:
			refused = kerr.RebalanceInProgress
		default:
			m.arm(&e, in, g, mb)
		}
	}
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.Topics {
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition = p.Partition
			metadata := ""
			if p.Metadata != nil {
				metadata = *p.Metadata
			}
			switch {
			case refused != nil:
				answer.ErrorCode = refused.Code
			case len(metadata) > m.o.MaxMetadataBytes:
				answer.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				o := offset{p.Offset, p.LeaderEpoch, metadata, in.Now.UnixMilli()}
				e.Records = append(e.Records, o.record(offsetKey{req.Group, t.Topic, p.Partition}))
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}

// OffsetFetch gives committed offsets; -1 where there is none. A null topic list is all of them.
func (m *Machine) OffsetFetch(in statelog.Input, req *kmsg.OffsetFetchRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		for _, g := range req.Groups {
			resp.Groups = append(resp.Groups, m.fetchGroup(g))
		}
		reply(&e, in.Ticket, resp)
		return e
	}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = req.Group
	for _, t := range req.Topics {
		asked := kmsg.NewOffsetFetchRequestGroupTopic()
		asked.Topic, asked.Partitions = t.Topic, t.Partitions
		one.Topics = append(one.Topics, asked)
	}
	for _, t := range m.fetchGroup(one).Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetFetchResponseTopicPartition()
			answer.Partition, answer.Offset, answer.LeaderEpoch, answer.Metadata = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}

func (m *Machine) fetchGroup(asked kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = asked.Group
	topics := asked.Topics
	if topics == nil {
		byName := map[string][]int32{}
		for k := range m.offsets {
			if k.group == asked.Group {
				byName[k.topic] = append(byName[k.topic], k.partition)
			}
		}
		for name, partitions := range byName {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic, t.Partitions = name, partitions
			topics = append(topics, t)
		}
	}
	for _, t := range topics {
		to := kmsg.NewOffsetFetchResponseGroupTopic()
		to.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, -1, -1, kmsg.StringPtr("")
			if o, ok := m.offsets[offsetKey{asked.Group, t.Topic, index}]; ok {
				p.Offset, p.LeaderEpoch, p.Metadata = o.at, o.leaderEpoch, kmsg.StringPtr(o.metadata)
			}
			to.Partitions = append(to.Partitions, p)
		}
		out.Topics = append(out.Topics, to)
	}
	return out
}
