// Command member is a consumer in a process of its own, so that a test can kill it: it joins a group with one of the Go
// clients, prints "partition offset value" for each record, commits, and leaves on SIGTERM.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	session   = 6 * time.Second
	heartbeat = 500 * time.Millisecond
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: member CLIENT SERVER GROUP TOPIC")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, server, group, topic := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	var err error
	switch {
	case client == "franz":
		err = franz(ctx, server, group, topic)
	case client == "franz-848":
		//nolint:staticcheck // franz-go asks for this very key
		err = franz(context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true), server, group, topic)
	case client == "kafka-go":
		err = kafkaGo(ctx, server, group, topic)
	case strings.HasPrefix(client, "sarama-"):
		err = saramaGroup(ctx, client, server, group, topic)
	default:
		err = fmt.Errorf("no client %s", client)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, client, err)
		os.Exit(1)
	}
}

func franz(ctx context.Context, server, group, topic string) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(server), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(heartbeat), kgo.RebalanceTimeout(2*session), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithContext(context.WithoutCancel(ctx)), kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	out := bufio.NewWriter(os.Stdout)
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) { fmt.Fprintln(out, r.Partition, r.Offset, string(r.Value)) })
		if err := out.Flush(); err != nil {
			return err
		}
		if !fetches.Empty() {
			c, cancel := context.WithTimeout(context.WithoutCancel(ctx), session)
			_ = cl.CommitUncommittedOffsets(c) // who lost the partition reads it no more
			cancel()
		}
		cl.AllowRebalance()
	}
	return nil
}

// kafkaGo begins anew when the reader gives up, as it does when the server is away while it starts.
func kafkaGo(ctx context.Context, server, group, topic string) error {
	for ctx.Err() == nil {
		if err := kafkaGoReader(ctx, server, group, topic); ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "kafka-go", err)
			select {
			case <-ctx.Done():
			case <-time.After(heartbeat):
			}
		}
	}
	return nil
}

func kafkaGoReader(ctx context.Context, server, group, topic string) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{server}, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset, SessionTimeout: session,
		HeartbeatInterval: heartbeat, RebalanceTimeout: session, MaxWait: 500 * time.Millisecond, JoinGroupBackoff: time.Second,
	})
	defer r.Close()
	for {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return err
		}
		fmt.Println(m.Partition, m.Offset, string(m.Value))
		_ = r.CommitMessages(context.WithoutCancel(ctx), m)
	}
}

var strategies = map[string]sarama.BalanceStrategy{
	"range": sarama.NewBalanceStrategyRange(), "roundrobin": sarama.NewBalanceStrategyRoundRobin(), "sticky": sarama.NewBalanceStrategySticky(),
}

// saramaGroup is sarama-STRATEGY-VERSION.
func saramaGroup(ctx context.Context, client, server, group, topic string) error {
	_, rest, _ := strings.Cut(client, "-")
	strategy, version, _ := strings.Cut(rest, "-")
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	if version != "newest" {
		v, err := sarama.ParseKafkaVersion(version)
		if err != nil {
			return err
		}
		c.Version = v
	}
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	c.Consumer.Group.Session.Timeout, c.Consumer.Group.Heartbeat.Interval = session, heartbeat
	c.Consumer.Group.Rebalance.Timeout = 2 * session
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[strategy]}
	c.Metadata.Retry.Max = 100
	for ctx.Err() == nil {
		g, err := sarama.NewConsumerGroup([]string{server}, group, c)
		for err == nil && ctx.Err() == nil {
			err = g.Consume(ctx, []string{topic}, printer{})
		}
		if g != nil {
			err = errors.Join(err, g.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, client, err) // a server that is away comes back
			select {
			case <-ctx.Done():
			case <-time.After(heartbeat):
			}
		}
	}
	return nil
}

type printer struct{}

func (printer) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (printer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (printer) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, open := <-claim.Messages():
			if !open {
				return nil
			}
			fmt.Println(m.Partition, m.Offset, string(m.Value))
			s.MarkMessage(m, "")
		case <-s.Context().Done():
			return nil
		}
	}
}
