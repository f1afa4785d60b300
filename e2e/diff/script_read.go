package diff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func readSteps() []step {
	list := func(partition int32, at int64) func(*session, int16) kmsg.Request {
		return func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID = -1
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = partition, at
			req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "diff", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
			return req
		}
	}
	fetch := func(partition int32, offset int64, epoch int32) func(*session, int16) kmsg.Request {
		return func(s *session, _ int16) kmsg.Request {
			req := kmsg.NewPtrFetchRequest()
			req.ReplicaID, req.MaxBytes, req.SessionEpoch = -1, 1<<20, -1
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = partition, offset, epoch, 1<<20
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID, t.Partitions = "diff", s.topicID, []kmsg.FetchRequestTopicPartition{p}
			req.Topics = append(req.Topics, t)
			return req
		}
	}
	steps := []step{
		{"list a bad partition", 1, list(9, -1)},
		{"list by time", 1, func(s *session, v int16) kmsg.Request { return list(0, start+1)(s, v) }},
		{"list after the last", 1, list(0, 1<<60)},
		{"fetch", 4, fetch(0, 0, -1)},
		{"fetch at the end", 4, fetch(1, 1, -1)},
		{"fetch beyond the end", 4, fetch(1, 1000, -1)},
		{"fetch below 0", 4, fetch(1, -5, -1)},
		{"fetch a bad partition", 4, fetch(9, 0, -1)},
		{"fetch with a future epoch", 9, fetch(0, 0, 1000)},
		{"epoch end", 2, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.ReplicaID = -1
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.LeaderEpoch = 0
			req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{
				Topic: "diff", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p},
			}}
			return req
		}},
	}
	for _, special := range []int64{-1, -2, -3, -4, -5, -7} {
		steps = append(steps, step{fmt.Sprintf("list special %d", special), 1, list(0, special)})
	}
	return steps
}

func groupSteps() []step {
	return []step{
		{"heartbeat of a stranger", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = "strange", "nobody", 1
			return req
		}},
		{"join, from version 4 on without an id", 0, func(_ *session, v int16) kmsg.Request {
			req := kmsg.NewPtrJoinGroupRequest()
			req.Group, req.ProtocolType = fmt.Sprintf("join-v%d", v), "consumer"
			req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 10_000
			req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{1}}}
			return req
		}},
		{"join with a bad session timeout", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrJoinGroupRequest()
			req.Group, req.ProtocolType, req.SessionTimeoutMillis = "short", "consumer", 1
			return req
		}},
		{"sync of a stranger", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrSyncGroupRequest()
			req.Group, req.MemberID, req.Generation = "strange", "nobody", 1
			return req
		}},
		{"leave of a stranger", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group, req.MemberID = "strange", "nobody"
			req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}}
			return req
		}},
		{"commit without a group", 2, func(s *session, _ int16) kmsg.Request {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group, req.Generation = "simple", -1
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = "diff", s.topicID
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset, p.Metadata = 2, ptr("meta")
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			return req
		}},
		{"fetch the commit", 1, func(s *session, _ int16) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group = "simple"
			req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "diff", Partitions: []int32{0, 1}}}
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = "simple"
			g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "diff", TopicID: s.topicID, Partitions: []int32{0, 1}}}
			req.Groups = append(req.Groups, g)
			return req
		}},
		{"describe groups", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeGroupsRequest()
			req.Groups = []string{"simple", "nowhere"}
			return req
		}},
		{"delete offsets", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = "simple"
			req.Topics = []kmsg.OffsetDeleteRequestTopic{{
				Topic: "diff", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 1}, {Partition: 9}},
			}}
			return req
		}},
		{"delete offsets of an unknown group", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = "nowhere"
			return req
		}},
		{"delete groups, later an unknown one", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = []string{"simple", "nowhere"}
			return req
		}},
		{"list groups that are dead", 4, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrListGroupsRequest()
			req.StatesFilter = []string{"Dead"}
			return req
		}},
	}
}

func adminSteps() []step {
	configs := func(topic string, names ...string) func(*session, int16) kmsg.Request {
		return func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeConfigsRequest()
			req.IncludeSynonyms = true
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, names
			req.Resources = append(req.Resources, r)
			return req
		}
	}
	alter := func(topic, key, value string) func(*session, int16) kmsg.Request {
		return func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
			r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}}
			req.Resources = append(req.Resources, r)
			return req
		}
	}
	trim := func(topic string, partition int32, offset int64) func(*session, int16) kmsg.Request {
		return func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.TimeoutMillis = 10_000
			req.Topics = []kmsg.DeleteRecordsRequestTopic{{
				Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: offset}},
			}}
			return req
		}
	}
	return []step{
		{"describe all configs", 1, configs("diff")},
		{"describe one config", 1, configs("diff", "cleanup.policy")},
		{"describe configs of an unknown topic", 1, configs("nowhere")},
		{"alter", 0, alter("diff", "retention.ms", "5000000")},
		{"alter an unknown config", 0, alter("diff", "no.such.key", "1")},
		{"alter to a bad value", 0, alter("diff", "retention.ms", "soon")},
		{"alter an unknown topic", 0, alter("nowhere", "retention.ms", "1")},
		{"describe the altered", 1, configs("diff", "retention.ms")},
		{"delete records", 0, trim("diff", 0, 3)},
		{"delete records beyond the end", 0, trim("diff", 0, 1<<40)},
		{"delete records of an unknown topic", 0, trim("nowhere", 0, 0)},
		{"elect leaders", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrElectLeadersRequest()
			req.TimeoutMillis = 10_000
			req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "diff", Partitions: []int32{0, 9}}}
			return req
		}},
		{"list reassignments", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrListPartitionReassignmentsRequest()
			req.TimeoutMillis = 10_000
			return req
		}},
	}
}
