package diff

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/harness"
)

// prompt is Apache Kafka that assigns in the heartbeat that needs it, as Kelp does: by default it does so in the
// background and once a second.
var prompt = harness.Options{
	KafkaProperties: []string{"group.consumer.assignment.interval.ms=0", "group.consumer.assignor.offload.enable=false"},
	KelpFlags: []string{
		"--broker-config", "group.consumer.assignment.interval.ms=0", "--broker-config", "group.consumer.assignor.offload.enable=false",
	},
}

// which says which partitions a member got: with several members that is each server's own, how many is not.
var which = regexp.MustCompile(`Assignment\.(Topics|TopicPartitions)\[.*\]\.Partitions\[\d+\]$`)

// ownDefault is a difference that docs/kafka-differences.md explains: the interval between assignments is 0 by default.
var ownDefault = regexp.MustCompile(`ConfigSynonyms\[group\.consumer\.assignment\.interval\.ms\]\.Value$`)

// TestConsumerGroupAnswersAreKafkas runs groups of the consumer protocol, and groups on their way from one protocol to
// the other, against both.
func TestConsumerGroupAnswersAreKafkas(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	kafka, other := openWith(t, harness.Kafka, prompt), openWith(t, harness.Target(), prompt)
	used := map[string]bool{}
	for _, s := range []*session{kafka, other} {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey = "g"
		for _, req := range []kmsg.Request{
			at(create("diff", 4, false), 5), at(create("other", 2, false), 5), at(describeDiff(), 12), at(find, 3),
		} {
			if got := outcome(ctx, s, req); got["outcome"] != "" {
				t.Fatal(got)
			}
		}
		for _, name := range names {
			if got := outcome(ctx, s, at(create(name, 1, false), 5)); got["outcome"] != "" {
				t.Fatal(got)
			}
		}
	}
	for v := range int16(2) {
		for _, st := range consumerSteps(v) {
			a, b := st.ask(kafka, v), st.ask(other, v)
			answers := [2]map[string]string{outcome(ctx, kafka, a), outcome(ctx, other, b)}
			for _, answer := range answers {
				maps.DeleteFunc(answer, func(path, _ string) bool {
					return which.MatchString(path) || ownDefault.MatchString(path)
				})
			}
			compare(t, fmt.Sprintf("%s v%d", st.name, v), st.name, answers, used)
		}
	}
	sides := [2]*session{kafka, other}
	t.Run("regular expressions", func(t *testing.T) { matchesAreKafkas(ctx, t, sides) })
	t.Run("topics come and go", func(t *testing.T) { matchesFollowTopics(ctx, t, sides) })
}

func describeDiff() kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	for _, n := range []string{"diff", "other"} {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = ptr(n)
		req.Topics = append(req.Topics, t)
	}
	return req
}
