package mq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"kelp/internal/schema/record"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mqpb"
)

// Limits of the client.
const (
	maxMessageBytes  = 1 << 30 // of one message; brokers take as much
	windowBytes      = 16 << 20
	defaultCallLimit = 10 * time.Second
	pingEvery        = 60 * time.Second // brokers refuse pings more often than every 20 s
	pingTimeout      = 20 * time.Second
)

// reconnect is quick: a broker that restarts is back within seconds.
var reconnect = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: time.Second}

// Options of a client.
type Options struct {
	// Brokers are addresses host:port; the first that answers is asked. Empty: those that the masters know.
	Brokers []string
	// Masters are asked for brokers when none are given.
	Masters []string
	TLS     *tls.Config // nil: none
	// CallLimit bounds one call that is no stream; 0: ten seconds.
	CallLimit time.Duration
}

// Client calls brokers. It is safe for concurrent use.
type Client struct {
	o Options

	mu    sync.Mutex // guards conns
	conns map[string]*grpc.ClientConn
}

// New makes a client; nothing is dialled before the first call.
func New(o Options) *Client {
	if o.CallLimit == 0 {
		o.CallLimit = defaultCallLimit
	}
	return &Client{o: o, conns: map[string]*grpc.ClientConn{}}
}

// Close ends all connections and with them all streams.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = map[string]*grpc.ClientConn{}
}

func (c *Client) dial(address string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.conns[address]; conn != nil {
		return conn, nil
	}
	with := insecure.NewCredentials()
	if c.o.TLS != nil {
		with = credentials.NewTLS(c.o.TLS)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(with),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: time.Second}))
	if err != nil {
		return nil, fmt.Errorf("broker %s: %w", address, err)
	}
	c.conns[address] = conn
	return conn, nil
}

func (c *Client) broker(address string) (mqpb.SeaweedMessagingClient, error) {
	conn, err := c.dial(address)
	if err != nil {
		return nil, err
	}
	return mqpb.NewSeaweedMessagingClient(conn), nil
}

// Brokers lists the brokers: those given, or those that the masters know now.
func (c *Client) Brokers(ctx context.Context) ([]string, error) {
	if len(c.o.Brokers) > 0 {
		return c.o.Brokers, nil
	}
	o := seaweed.Options{Masters: c.o.Masters, Security: seaweed.Security{GRPC: c.o.TLS}, CallLimit: c.o.CallLimit}
	return seaweed.Nodes(ctx, o, "broker")
}

// control makes one call to the first broker that answers: every broker passes such calls on to the
// one that decides. A broker that has no leader yet must not be asked for more, or it may fall over.
func control[R any](ctx context.Context, c *Client, call func(context.Context, mqpb.SeaweedMessagingClient) (R, error)) (R, error) {
	var none R
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return none, err
	}
	var failed error
	for _, address := range brokers {
		b, err := c.broker(address)
		if err != nil {
			return none, err
		}
		limited, cancel := context.WithTimeout(ctx, c.o.CallLimit)
		_, err = b.FindBrokerLeader(limited, &mqpb.FindBrokerLeaderRequest{})
		if err == nil {
			var r R
			if r, err = call(limited, b); err == nil {
				cancel()
				return r, nil
			}
		}
		cancel()
		failed = errors.Join(failed, fmt.Errorf("broker %s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return none, failed
}

// How long brokers have to answer before they are asked about topics, and how often they are tried.
const (
	settleFor   = 3 * time.Second
	settleEvery = 250 * time.Millisecond
)

// Settle waits until the brokers have answered for a while. It is for the start and for when a broker
// was lost: one that has just begun knows of no brokers, not even itself, and if it is asked about a
// topic then, it writes down that nobody leads it and believes that for half a minute.
func (c *Client) Settle(ctx context.Context) error {
	var since time.Time
	for {
		_, err := control(ctx, c, func(context.Context, mqpb.SeaweedMessagingClient) (struct{}, error) { return struct{}{}, nil })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("the brokers of SeaweedMQ do not answer: %w", err)
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= settleFor:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}

// Lost says that an error may mean that a broker has ended.
func Lost(err error) bool {
	s, _ := status.FromError(err) // looks into wrapped errors too
	return s.Code() == codes.Unavailable || s.Code() == codes.Canceled || s.Code() == codes.NotFound
}

// ListTopics gives all topics, sorted; those in memory of brokers that have not reached the filer too.
func (c *Client) ListTopics(ctx context.Context) ([]Topic, error) {
	resp, err := control(ctx, c, func(ctx context.Context, b mqpb.SeaweedMessagingClient) (*mqpb.ListTopicsResponse, error) {
		return b.ListTopics(ctx, &mqpb.ListTopicsRequest{})
	})
	if err != nil {
		return nil, fmt.Errorf("list the topics of SeaweedMQ: %w", err)
	}
	var all []Topic
	for _, t := range resp.Topics {
		all = append(all, Topic{t.Namespace, t.Name})
	}
	slices.SortFunc(all, func(a, b Topic) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all), nil
}

// Config is what Configure asks for.
type Config struct {
	Partitions int32
	RecordType *record.RecordType // nil: none
}

// Configure makes a topic, or gives it another type. Another number of partitions begins a new
// generation: everything stored before is no longer read, so ask Describe first.
func (c *Client) Configure(ctx context.Context, t Topic, o Config) (Description, error) {
	if o.Partitions < 1 || o.Partitions > RingSize {
		return Description{}, fmt.Errorf("configure %s: SeaweedMQ has topics of 1 to %d partitions, not %d", t, RingSize, o.Partitions)
	}
	resp, err := control(ctx, c, func(ctx context.Context, b mqpb.SeaweedMessagingClient) (*mqpb.ConfigureTopicResponse, error) {
		return b.ConfigureTopic(ctx, &mqpb.ConfigureTopicRequest{
			Topic: t.message(), PartitionCount: o.Partitions, MessageRecordType: o.RecordType,
		})
	})
	if err != nil {
		return Description{}, fmt.Errorf("configure %s: %w", t, err)
	}
	d := Description{Topic: t, RecordType: resp.MessageRecordType, KeyColumns: resp.KeyColumns}
	d.Assignments = assignmentsOf(resp.BrokerPartitionAssignments)
	if len(d.Assignments) == 0 { // a call that was passed on and failed there looks like this
		return Description{}, fmt.Errorf("configure %s: %w: it named no partitions", t, ErrRefused)
	}
	return d, nil
}

// Describe gives a topic's configuration, or ErrNoTopic.
func (c *Client) Describe(ctx context.Context, t Topic) (Description, error) {
	resp, err := control(ctx, c, func(ctx context.Context, b mqpb.SeaweedMessagingClient) (*mqpb.GetTopicConfigurationResponse, error) {
		return b.GetTopicConfiguration(ctx, &mqpb.GetTopicConfigurationRequest{Topic: t.message()})
	})
	switch {
	case err != nil && missing(err):
		return Description{}, fmt.Errorf("%s: %w", t, ErrNoTopic)
	case err != nil:
		return Description{}, fmt.Errorf("describe %s: %w", t, err)
	case len(resp.BrokerPartitionAssignments) == 0:
		return Description{}, fmt.Errorf("describe %s: %w: it named no partitions", t, ErrRefused)
	}
	return Description{
		Topic: t, RecordType: resp.MessageRecordType, KeyColumns: resp.KeyColumns,
		Assignments: assignmentsOf(resp.BrokerPartitionAssignments),
	}, nil
}

// Assignments says who leads the partitions now, in the order of the ring; ErrNoTopic without the topic.
// Asking makes the brokers take up partitions that nobody has led since a restart.
func (c *Client) Assignments(ctx context.Context, t Topic) ([]Assignment, error) {
	resp, err := control(ctx, c, func(ctx context.Context, b mqpb.SeaweedMessagingClient) (*mqpb.LookupTopicBrokersResponse, error) {
		return b.LookupTopicBrokers(ctx, &mqpb.LookupTopicBrokersRequest{Topic: t.message()})
	})
	switch {
	case err != nil && missing(err):
		return nil, fmt.Errorf("%s: %w", t, ErrNoTopic)
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", t, err)
	case len(resp.BrokerPartitionAssignments) == 0:
		return nil, fmt.Errorf("look up %s: %w: it named no partitions", t, ErrRefused)
	}
	for _, a := range resp.BrokerPartitionAssignments {
		if a.LeaderBroker == "" {
			return nil, fmt.Errorf("look up %s: %w: nobody leads %s", t, ErrRefused, partitionOf(a.Partition).folder())
		}
	}
	return assignmentsOf(resp.BrokerPartitionAssignments), nil
}

// missing tells "there is none" from other errors: brokers give no code for it, and a broker that
// cannot ask the filer says something else.
func missing(err error) bool {
	text := err.Error()
	return strings.Contains(text, "no entry is found in filer store") || strings.Contains(text, "not found (cached)") ||
		strings.Contains(text, "not found: filer: no entry")
}

func assignmentsOf(from []*mqpb.BrokerPartitionAssignment) []Assignment {
	all := make([]Assignment, 0, len(from))
	for _, a := range from {
		all = append(all, Assignment{Partition: partitionOf(a.Partition), Leader: a.LeaderBroker})
	}
	slices.SortFunc(all, byStart)
	return all
}

// Publishing counts who publishes to each partition now, by the partition's start in the ring. Only the
// broker that decides for all is known to answer for the partitions that it leads itself.
func (c *Client) Publishing(ctx context.Context, t Topic) (map[int32]int, error) {
	resp, err := control(ctx, c, func(ctx context.Context, b mqpb.SeaweedMessagingClient) (*mqpb.GetTopicPublishersResponse, error) {
		return b.GetTopicPublishers(ctx, &mqpb.GetTopicPublishersRequest{Topic: t.message()})
	})
	if err != nil {
		return nil, fmt.Errorf("list the publishers of %s: %w", t, err)
	}
	n := map[int32]int{}
	for _, p := range resp.Publishers {
		n[p.GetPartition().GetRangeStart()]++
	}
	return n, nil
}
