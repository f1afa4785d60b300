package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group/assign"
	"kelp/internal/statelog"
)

// The kinds of members in ConsumerGroupDescribe.
const (
	memberTypeClassic  = 0
	memberTypeConsumer = 1
)

// ConsumerGroupDescribe shows groups of the consumer protocol.
func (m *Machine) ConsumerGroupDescribe(in statelog.Input, req *kmsg.ConsumerGroupDescribeRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	for _, id := range req.Groups {
		resp.Groups = append(resp.Groups, m.describeConsumer(id))
	}
	reply(&e, in.Ticket, resp)
	return e
}

func (m *Machine) describeConsumer(id string) kmsg.ConsumerGroupDescribeResponseGroup {
	out := kmsg.NewConsumerGroupDescribeResponseGroup()
	out.Group = id
	g := m.consumers[id]
	switch {
	case id == "":
		out.ErrorCode = kerr.InvalidGroupID.Code
		return out
	case g == nil:
		text := fmt.Sprintf("Group %s not found.", id)
		if _, known := m.phaseOf(id); known {
			text = fmt.Sprintf("Group %s is not a consumer group.", id)
		}
		out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		return out
	}
	votes := map[string]int{}
	all := m.o.Topics()
	for _, mb := range g.sorted() {
		votes[mb.assignor]++
		out.Members = append(out.Members, describeMember(mb, g.targets[mb.id], all))
	}
	out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = string(g.phase()), g.epoch, g.targetEpoch, m.mostVoted(votes)
	return out
}

func describeMember(mb *consumerMember, target assign.Partitions, all Topics) kmsg.ConsumerGroupDescribeResponseGroupMember {
	out := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	out.MemberID, out.InstanceID, out.RackID, out.MemberEpoch = mb.id, mb.instance, mb.rack, mb.epoch
	out.ClientID, out.ClientHost = mb.clientID, mb.host
	out.SubscribedTopics, out.SubscribedTopicRegex = mb.topics, &mb.regex
	out.MemberType = memberTypeConsumer
	if mb.classic != nil {
		out.MemberType = memberTypeClassic
	}
	out.Assignment, out.TargetAssignment = named(mb.holds(), all), named(target, all)
	return out
}

// named shows partitions of topics that are still there.
func named(p assign.Partitions, all Topics) kmsg.Assignment {
	var out kmsg.Assignment
	for _, of := range p {
		if t, ok := all.ByID(of.Topic); ok {
			shown := kmsg.NewAssignmentTopicPartition()
			shown.TopicID, shown.Topic, shown.Partitions = of.Topic, t.Name, of.Indexes
			out.TopicPartitions = append(out.TopicPartitions, shown)
		}
	}
	return out
}
