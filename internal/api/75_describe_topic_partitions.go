package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// maxPartitionsDescribed is Kafka's max.request.partition.size.limit.
const maxPartitionsDescribed = 2000

// DescribeTopicPartitions: v0
//
// Behavior: topics in the order of their names from the cursor on, up to the limit of partitions;
// where it stops, the next cursor says (KIP-966). No topics asked means all.
func (t *topics) describeTopicPartitions(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	img := t.catalog.Image()
	names := namesOf(img, req.Topics)
	from := int32(0)
	if req.Cursor != nil {
		if req.Cursor.Partition < 0 {
			return Failed(refuse(kerr.InvalidRequest, "the cursor's partition is %d", req.Cursor.Partition))
		}
		at, found := slices.BinarySearch(names, req.Cursor.Topic)
		names = names[at:]
		if found {
			from = req.Cursor.Partition
		}
	}
	left := min(req.ResponsePartitionLimit, maxPartitionsDescribed)
	if left <= 0 {
		left = maxPartitionsDescribed
	}
	for _, name := range names {
		known, ok := img.ByName[name]
		if left == 0 {
			next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
			next.Topic = name
			resp.NextCursor = &next
			break
		}
		out := kmsg.NewDescribeTopicPartitionsResponseTopic()
		out.Topic = kmsg.StringPtr(name)
		out.AuthorizedOperations = topicOperations
		if !ok {
			out.ErrorCode, _ = codeOf(cmpError(legalTopicName(name), kerr.UnknownTopicOrPartition))
			resp.Topics = append(resp.Topics, out)
			continue
		}
		out.TopicID, out.IsInternal = known.ID, known.Internal()
		to := min(known.Partitions, from+left)
		out.Partitions = t.partitionsFrom(from, to)
		left -= max(0, to-from)
		resp.Topics = append(resp.Topics, out)
		if to < known.Partitions {
			next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
			next.Topic, next.Partition = name, to
			resp.NextCursor = &next
			break
		}
		from = 0
	}
	return Now(resp)
}

// cmpError is the first error that is one.
func cmpError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func namesOf(img *cluster.Image, asked []kmsg.DescribeTopicPartitionsRequestTopic) []string {
	var names []string
	for _, a := range asked {
		names = append(names, a.Topic)
	}
	if len(asked) == 0 {
		for name := range img.ByName {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return slices.Compact(names)
}

func (t *topics) partitionsFrom(from, to int32) []kmsg.DescribeTopicPartitionsResponseTopicPartition {
	var all []kmsg.DescribeTopicPartitionsResponseTopicPartition
	for i := from; i < to; i++ {
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.Partition, p.LeaderID, p.LeaderEpoch = i, t.nodeID, t.leaderEpoch
		p.Replicas, p.ISR = []int32{t.nodeID}, []int32{t.nodeID}
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
		all = append(all, p)
	}
	return all
}

func refuseDescribeTopicPartitions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	for _, asked := range req.(*kmsg.DescribeTopicPartitionsRequest).Topics {
		out := kmsg.NewDescribeTopicPartitionsResponseTopic()
		out.Topic = kmsg.StringPtr(asked.Topic)
		out.ErrorCode, _ = codeOf(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
