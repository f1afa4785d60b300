package load

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

// start measures how long an empty server takes to its first answer and its first produce, and
// what it holds idle.
func start() turns.Scenario {
	return turns.Scenario{
		Name: "start", Doc: "An empty data folder: process start to the first answer, to the first acknowledged record " +
			"(topic creation included), and resident memory after two idle seconds. Bare socket.",
		Run: func(_ context.Context, t *turns.Turn) error {
			t.Record("ready ms", ms(t.Started))
			began := time.Now()
			if err := bare.CreateTopic(t.Addr, "first", 1); err != nil {
				return err
			}
			if err := produceOnce(t.Addr, "first"); err != nil {
				return err
			}
			t.Record("first produce ms", ms(t.Started+time.Since(began)))
			time.Sleep(2 * time.Second)
			rss, err := t.Process.Resident()
			if err != nil {
				return err
			}
			t.Record("idle MB", float64(rss)/1e6)
			return nil
		},
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// produceOnce writes one record to partition 0.
func produceOnce(addr, topic string) error {
	c, err := bare.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(bare.Produce(topic, 0, bare.Batch(bare.Values(1, 100, 1), false, time.Now().UnixMilli()))); err != nil {
		return err
	}
	resp, err := c.ReadResponse()
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(bare.ProduceError(resp)); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	return nil
}
