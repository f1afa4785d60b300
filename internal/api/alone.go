package api

import "github.com/twmb/franz-go/pkg/kmsg"

// alone are the keys whose answer may be large however small the request is. The budget of unanswered
// requests does not see it, so that a connection gets one at a time, as all of them do in Apache Kafka.
var alone = map[kmsg.Key]bool{
	kmsg.Metadata:                true,
	kmsg.DescribeTopicPartitions: true,
	kmsg.DescribeConfigs:         true,
	kmsg.DescribeLogDirs:         true,
	kmsg.DescribeProducers:       true,
	kmsg.OffsetFetch:             true,
	kmsg.ListGroups:              true,
	kmsg.DescribeGroups:          true,
	kmsg.ConsumerGroupDescribe:   true,
	kmsg.ListTransactions:        true,
	kmsg.DescribeTransactions:    true,
	kmsg.OffsetForLeaderEpoch:    true,
}

// oneAtATime marks the rows of the keys that are handled alone.
func oneAtATime(table []Entry) []Entry {
	for i := range table {
		table[i].Alone = alone[table[i].Key]
	}
	return table
}
