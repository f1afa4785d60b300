// Package seaweedfs holds the loads of the log on SeaweedFS: Kelp on SeaweedFS, Kelp with its own log and SeaweedFS's own Kafka
// gateway get the same records from the same client. The client is franz-go. What a load costs SeaweedFS is counted by Kelp
// itself (kelp_seaweedfs_requests_total), and by the CPU and memory of SeaweedFS's process.
package seaweedfs

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kelp/bench/turns"
	"kelp/e2e/harness"
)

const (
	partitions = 8 // and producers
	clients    = 2 // that they share
	valueBytes = 1 << 10
	patience   = time.Minute // for a topic, and for the end of a load
)

// others are servers that these loads say nothing about.
var others = map[string]string{
	"kelp-os": "acknowledges less", "kafka": "has no part in this", "kafka-flush": "has no part in this", "kelp-mirror": "is for the mirror's load",
}

// Scenarios of this package; bytes are those of the catch-up.
func Scenarios(d time.Duration, bytes int64) []turns.Scenario {
	all := []turns.Scenario{produce(d, partitions), produce(d, 1), consume(d, bytes), latency(d), idle(d)}
	for i := range all {
		all[i].Skip = others
	}
	return append(all, mirror(d))
}

// client makes a client. What the gateway answers to the flexible versions of ApiVersions cannot be read, and it tells
// clients that it listens on port 9093, wherever that is.
func client(t *turns.Turn, o ...kgo.Opt) (*kgo.Client, error) {
	if t.Kind == harness.Gateway {
		var d net.Dialer
		o = append(o, kgo.MaxVersions(kversion.V2_3_0()), kgo.DisableFetchSessions(),
			kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
				return d.DialContext(ctx, network, t.Addr)
			}))
	}
	return kgo.NewClient(append(o, kgo.SeedBrokers(t.Addr))...)
}

// producer makes a client that produces. The gateway keeps no producers' states, and each of its batches takes seconds.
func producer(t *turns.Turn, topic string, linger time.Duration) (*kgo.Client, error) {
	o := []kgo.Opt{
		kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(linger),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(32 << 10),
	}
	if t.Kind == harness.Gateway {
		o = append(o, kgo.DisableIdempotentWrite(), kgo.MaxBufferedRecords(2<<10))
	}
	return client(t, o...)
}

// createTopic makes a topic with what versions the server has. The gateway's broker may need some seconds before it can.
func createTopic(ctx context.Context, turn *turns.Turn, name string, n int32) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cl, err := client(turn)
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(patience.Milliseconds())
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, n, 1
	req.Topics = append(req.Topics, t)
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
		}
		if err == nil || err == kerr.TopicAlreadyExists { //nolint:errorlint // a code
			return awaitLeaders(ctx, cl, name, n)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("create %s: %w", name, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func awaitLeaders(ctx context.Context, cl *kgo.Client, name string, n int32) error {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &name
	req.Topics = append(req.Topics, t)
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil && len(resp.Topics) == 1 && resp.Topics[0].ErrorCode == 0 && len(resp.Topics[0].Partitions) == int(n) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the partitions of %s are not led: %w", name, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// requests is how many calls Kelp has made to SeaweedFS; ok is false for servers that do not say.
func requests(ctx context.Context, t *turns.Turn) (n float64, ok bool, err error) {
	if t.Kind != harness.Kelp || len(t.Behind) == 0 {
		return 0, false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.HTTP()+"/metrics", http.NoBody)
	if err != nil {
		return 0, false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), "} "); found && strings.HasPrefix(name, "kelp_seaweedfs_requests_total{") {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, false, err
			}
			n, ok = n+v, true
		}
	}
	if !ok {
		return 0, false, fmt.Errorf("%s/metrics has no requests to SeaweedFS", t.HTTP())
	}
	return n, true, nil
}

// measure is Turn.Measure that counts requests too.
func measure(ctx context.Context, t *turns.Turn, load func() error) (u turns.Usage, calls float64, counted bool, err error) {
	before, counted, err := requests(ctx, t)
	if err != nil {
		return u, 0, false, err
	}
	if u, err = t.Measure(load); err != nil {
		return u, 0, false, err
	}
	after, _, err := requests(ctx, t)
	return u, after - before, counted, err
}
