package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

// topicPartitions is how the many partitions are cut into topics.
const topicPartitions = 100

// partitions creates and writes many partitions; the largest number is restarted too.
func partitions(s Size) []turns.Scenario {
	var all []turns.Scenario
	for i, n := range s.Partitions {
		sc := turns.Scenario{
			Name: fmt.Sprintf("partitions-%d", n),
			Doc: fmt.Sprintf("%d partitions in topics of %d, created by one request, then one record written to each over one socket "+
				"with a request per topic.", n, topicPartitions),
		}
		last := i == len(s.Partitions)-1
		if last {
			sc.Doc += " Then SIGTERM and a start on the same data: to the first answer, to the end offsets of all partitions, and to a record in each."
		}
		sc.Run = func(_ context.Context, t *turns.Turn) error { return manyPartitions(t, n, last) }
		all = append(all, sc)
	}
	return all
}

func manyPartitions(t *turns.Turn, n int, restart bool) error {
	topics := n / topicPartitions
	u, err := t.Measure(func() error {
		began := time.Now()
		var asked []kmsg.CreateTopicsRequestTopic
		for i := range topics {
			a := kmsg.NewCreateTopicsRequestTopic()
			a.Topic, a.NumPartitions, a.ReplicationFactor = topicName(i), topicPartitions, 1
			asked = append(asked, a)
		}
		if err := bare.CreateTopics(t.Addr, asked...); err != nil {
			return err
		}
		t.Record("created s", time.Since(began).Seconds())
		return writeEach(t.Addr, topics)
	})
	if err != nil {
		return err
	}
	t.Record("created and written s", u.Elapsed.Seconds())
	t.Record("CPU s", u.CPU.Seconds())
	t.Record("peak MB", float64(u.PeakBytes)/1e6)
	if !restart {
		return nil
	}
	began := time.Now()
	if err := t.Restart(); err != nil {
		return err
	}
	stopped := time.Since(began) - t.Started
	t.Record("stop s", stopped.Seconds())
	t.Record("restart: first answer s", t.Started.Seconds())
	if err := endOffsets(t.Addr, topics); err != nil {
		return err
	}
	t.Record("restart: all end offsets s", (time.Since(began) - stopped).Seconds())
	if err := writeEach(t.Addr, topics); err != nil {
		return err
	}
	t.Record("restart: all written s", (time.Since(began) - stopped).Seconds())
	rss, err := t.Process.Resident()
	t.Record("restart: MB", float64(rss)/1e6)
	return err
}

func topicName(i int) string { return fmt.Sprintf("many%d", i) }

// writeEach writes one record to each partition; what is not ready yet is tried again.
func writeEach(addr string, topics int) error {
	c, err := bare.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	batch := bare.Batch(bare.Values(1, 100, 1), false, time.Now().UnixMilli())
	deadline := time.Now().Add(5 * time.Minute)
	for i := range topics {
		var left []int32
		for p := range int32(topicPartitions) {
			left = append(left, p)
		}
		for len(left) > 0 {
			if left, err = writeTopic(c, topicName(i), left, batch); err != nil {
				return err
			}
			if len(left) > 0 {
				if time.Now().After(deadline) {
					return fmt.Errorf("%d partitions of %s are not ready after 5 minutes", len(left), topicName(i))
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	return nil
}

func writeTopic(c *bare.Conn, topic string, to []int32, batch []byte) (left []int32, err error) {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 8, -1, 30_000
	pt := kmsg.NewProduceRequestTopic()
	pt.Topic = topic
	for _, i := range to {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = i, batch
		pt.Partitions = append(pt.Partitions, p)
	}
	req.Topics = append(req.Topics, pt)
	resp, err := c.Ask(req)
	if err != nil {
		return nil, err
	}
	for _, p := range resp.(*kmsg.ProduceResponse).Topics[0].Partitions {
		switch err := kerr.ErrorForCode(p.ErrorCode); {
		case err == nil:
		case kerr.IsRetriable(err):
			left = append(left, p.Partition)
		default:
			return nil, fmt.Errorf("write %s/%d: %w", topic, p.Partition, err)
		}
	}
	return left, nil
}

// endOffsets asks for the end of every partition until all are known and have their record.
func endOffsets(addr string, topics int) error {
	for i := range topics {
		ends, err := bare.EndOffsets(addr, topicName(i), topicPartitions)
		if err != nil {
			return err
		}
		if least := slices.Min(ends); least < 1 {
			return fmt.Errorf("a partition of %s ends at %d after a restart", topicName(i), least)
		}
	}
	return nil
}
