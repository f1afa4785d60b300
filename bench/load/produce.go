package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

const (
	producers = 8 // producers and partitions of the throughput loads
	clients   = 2 // franz-go clients that they share

	slowerCodec = 2 // loads with a codec move so much less, as the clients compress for longest
)

// codec is a compression that clients may choose; the empty name is none.
type codec struct {
	name string
	with kgo.CompressionCodec
}

var codecs = []codec{
	{"", kgo.NoCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"snappy", kgo.SnappyCompression()},
	{"zstd", kgo.ZstdCompression()},
	{"gzip", kgo.GzipCompression()},
}

// produceAll is the load without compression and with each codec.
func produceAll(s Size) (all []turns.Scenario) {
	for _, c := range codecs {
		all = append(all, produce(s, c))
	}
	return all
}

// produce is the load of franz-go, idempotent, acks=all.
func produce(s Size, c codec) turns.Scenario {
	sc := turns.Scenario{
		Name: "produce", Doc: "Records of 1 KiB from 8 producers to 8 partitions, idempotent, acks=all, linger 5 ms, 2 franz-go clients.",
	}
	if c.name != "" {
		sc.Name = "produce-" + c.name
		sc.Doc += " Compressed with " + c.name + "; bytes are those of the values before compression."
		s.Bytes, s.WarmBytes = s.Bytes/slowerCodec, s.WarmBytes/slowerCodec
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, producers); err != nil {
			return err
		}
		cls, err := producing(t.Addr, sc.Name, c)
		if err != nil {
			return err
		}
		defer func() {
			for _, cl := range cls {
				cl.Close()
			}
		}()
		if err := produceBytes(ctx, cls, s.WarmBytes); err != nil {
			return err
		}
		u, err := t.Measure(func() error { return produceBytes(ctx, cls, s.Bytes) })
		if err != nil {
			return err
		}
		t.RecordBytes(s.Bytes, u)
		return nil
	}
	return sc
}

func producing(addr, topic string, c codec) ([]*kgo.Client, error) {
	var cls []*kgo.Client
	for range clients {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchCompression(c.with), kgo.MaxBufferedRecords(32<<10),
		)
		if err != nil {
			return nil, err
		}
		cls = append(cls, cl)
	}
	return cls, nil
}

// produceBytes writes that many bytes of values and waits until all are acknowledged.
func produceBytes(ctx context.Context, cls []*kgo.Client, bytes int64) error {
	each := bytes / bare.ValueBytes / producers
	values := bare.Values(1024, bare.ValueBytes, 1)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			cl := cls[p%len(cls)]
			acked := func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
			for i := range each {
				cl.Produce(ctx, &kgo.Record{Partition: int32(p), Value: values[i%int64(len(values))]}, acked)
			}
		})
	}
	wg.Wait()
	for _, cl := range cls {
		if err := cl.Flush(ctx); err != nil {
			return err
		}
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

const (
	bareBatchBytes = 256 << 10 // of the values in one batch of the bare producers
	bareInFlight   = 4         // requests of one connection that are not answered
)

func produceBare(s Size) turns.Scenario {
	sc := turns.Scenario{
		Name: "produce-bare", Doc: "Records of 1 KiB in batches of 256 KiB built beforehand, idempotent, acks=all: 8 sockets to 8 partitions, " +
			"4 requests in flight each. The client spends next to nothing, so this is the server's limit.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, producers); err != nil {
			return err
		}
		ps, err := bareProducers(t.Addr, sc.Name, bareValues())
		if err != nil {
			return err
		}
		defer closeAll(ps)
		if err := runBare(ctx, ps, s.WarmBytes); err != nil {
			return err
		}
		u, err := t.Measure(func() error { return runBare(ctx, ps, s.Bytes) })
		if err != nil {
			return err
		}
		t.RecordBytes(s.Bytes, u)
		return nil
	}
	return sc
}

// bareProducer is one idempotent producer on its socket.
type bareProducer struct {
	*bare.Conn
	id       int64
	sequence int32
	frame    []byte
	batch    []byte // the end of frame
	records  int32
}

// bareValues are those of a batch.
func bareValues() [][]byte { return bare.Values(bareBatchBytes/bare.ValueBytes, bare.ValueBytes, 1) }

func bareProducers(addr, topic string, values [][]byte) ([]*bareProducer, error) {
	var ps []*bareProducer
	for i := range producers {
		c, err := bare.Dial(addr)
		if err != nil {
			return nil, err
		}
		id, err := c.ProducerID()
		if err != nil {
			return nil, err
		}
		batch := bare.Batch(values, false, time.Now().UnixMilli())
		p := &bareProducer{Conn: c, id: id, frame: bare.Produce(topic, int32(i), batch), records: int32(len(values))}
		p.batch = p.frame[len(p.frame)-len(batch):]
		ps = append(ps, p)
	}
	return ps, nil
}

func closeAll(ps []*bareProducer) {
	for _, p := range ps {
		_ = p.Close()
	}
}

func runBare(ctx context.Context, ps []*bareProducer, bytes int64) error {
	g, _ := errgroup.WithContext(ctx)
	for _, p := range ps {
		batches := int(bytes / bareBatchBytes / int64(len(ps)))
		g.Go(func() error { return p.run(batches) })
	}
	return g.Wait()
}

func (p *bareProducer) run(batches int) error {
	places, failed := make(chan struct{}, bareInFlight), make(chan struct{})
	answered := make(chan error, 1)
	go func() {
		for range batches {
			resp, err := p.ReadResponse()
			if err == nil {
				err = kerr.ErrorForCode(bare.ProduceError(resp))
			}
			if err != nil {
				answered <- err
				close(failed)
				_ = p.Close() // a write under way ends
				return
			}
			<-places
		}
		answered <- nil
	}()
	for range batches {
		select {
		case places <- struct{}{}:
		case <-failed:
			return <-answered
		}
		bare.Sequence(p.batch, p.id, 0, p.sequence)
		p.sequence += p.records
		if _, err := p.Write(p.frame); err != nil {
			_ = p.Close()
			return errors.Join(err, <-answered)
		}
	}
	return <-answered
}
