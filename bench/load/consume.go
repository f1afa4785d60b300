package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

const (
	fetchConns          = 2       // sockets that share the partitions
	fetchMaxBytes       = 8 << 20 // of one fetch
	fetchPartitionBytes = 1 << 20 // as clients ask by default
)

// fill produces a topic that is then consumed from its start.
func fill(ctx context.Context, t *turns.Turn, topic string, bytes int64) error {
	if err := bare.CreateTopic(t.Addr, topic, producers); err != nil {
		return err
	}
	ps, err := bareProducers(t.Addr, topic, bareValues())
	if err != nil {
		return err
	}
	defer closeAll(ps)
	return runBare(ctx, ps, bytes)
}

func consumeBare(s Size) turns.Scenario {
	sc := turns.Scenario{
		Name: "consume-bare", Doc: "Catch-up from the first offset of 8 partitions: 2 sockets with 4 partitions each, fetches of at most 8 MiB " +
			"and 1 MiB of a partition; the client reads the bytes and looks at batch headers only.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := fill(ctx, t, sc.Name, s.Bytes); err != nil {
			return err
		}
		if _, err := consumeAll(ctx, t.Addr, sc.Name, s.WarmBytes); err != nil {
			return err
		}
		var got int64
		u, err := t.Measure(func() (err error) {
			got, err = consumeAll(ctx, t.Addr, sc.Name, s.Bytes)
			return err
		})
		if err != nil {
			return err
		}
		t.RecordBytes(got, u)
		return nil
	}
	return sc
}

// consumeAll reads at least that many bytes from the start, all sockets together.
func consumeAll(ctx context.Context, addr, topic string, bytes int64) (int64, error) {
	g, _ := errgroup.WithContext(ctx)
	got := make([]int64, fetchConns)
	for i := range fetchConns {
		g.Go(func() (err error) {
			got[i], err = consume(addr, topic, i, bytes/fetchConns)
			return err
		})
	}
	err := g.Wait()
	var sum int64
	for _, n := range got {
		sum += n
	}
	return sum, err
}

// consume reads its share of the partitions, bytes of them or to their ends, over one socket.
func consume(addr, topic string, share int, bytes int64) (int64, error) {
	c, err := bare.Dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	offsets := map[int32]int64{}
	for p := share; p < producers; p += fetchConns {
		offsets[int32(p)] = 0
	}
	var got int64
	for turn := 0; got < bytes; turn++ {
		if _, err := c.Write(bare.Frame(fetchRequest(topic, offsets, turn), 1)); err != nil {
			return got, err
		}
		n, err := readFetched(c, offsets)
		if err != nil {
			return got, err
		}
		if n == 0 {
			return got, nil
		}
		got += n
	}
	return got, nil
}

// fetchRequest asks for the partitions, another one first each time so that none starves.
func fetchRequest(topic string, offsets map[int32]int64, turn int) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 11, 100, 1, fetchMaxBytes, -1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = topic
	for i := range producers {
		index := int32((i + turn) % producers)
		offset, ours := offsets[index]
		if !ours {
			continue
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = index, offset, fetchPartitionBytes
		ft.Partitions = append(ft.Partitions, p)
	}
	req.Topics = append(req.Topics, ft)
	return req
}

var errFetch = errors.New("fetch failed")

// readFetched walks a fetch response v11 and moves the offsets behind what it holds:
//
//	correlation int32 | throttle int32 | error int16 | session int32 | topics int32
//	topic string | partitions int32
//	index int32 | error int16 | high watermark, last stable, log start int64 | aborted int32 (-1 or 0) | replica int32 | bytes int32
func readFetched(c *bare.Conn, offsets map[int32]int64) (int64, error) {
	b, err := c.ReadResponse()
	if err != nil {
		return 0, err
	}
	be := binary.BigEndian
	if code := int16(be.Uint16(b[8:])); code != 0 {
		return 0, fmt.Errorf("%w: code %d", errFetch, code)
	}
	topics, b := be.Uint32(b[14:]), b[18:]
	var got int64
	for range topics {
		b = b[2+be.Uint16(b):]
		partitions := be.Uint32(b)
		b = b[4:]
		for range partitions {
			index, code := int32(be.Uint32(b)), int16(be.Uint16(b[4:]))
			if aborted := int32(be.Uint32(b[30:])); code != 0 || aborted > 0 {
				return got, fmt.Errorf("%w: partition %d, code %d, %d aborted", errFetch, index, code, aborted)
			}
			n := int(be.Uint32(b[38:]))
			records := b[42 : 42+n]
			b = b[42+n:]
			got += int64(n)
			for len(records) >= 61 { // the last batch may be cut
				offsets[index] = int64(be.Uint64(records)) + int64(be.Uint32(records[23:])) + 1
				records = records[min(len(records), 12+int(be.Uint32(records[8:]))):]
			}
		}
	}
	return got, nil
}

func consumeFranz(s Size) turns.Scenario {
	sc := turns.Scenario{
		Name: "consume", Doc: "Catch-up from the first offset of 8 partitions with one franz-go client, which decodes every record.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := fill(ctx, t, sc.Name, s.Bytes); err != nil {
			return err
		}
		read := func(bytes int64) error {
			cl, err := kgo.NewClient(kgo.SeedBrokers(t.Addr), kgo.ConsumeTopics(sc.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if err != nil {
				return err
			}
			defer cl.Close()
			for got := int64(0); got < bytes; {
				fetches := cl.PollFetches(ctx)
				if err := fetches.Err(); err != nil && !errors.Is(err, io.EOF) {
					return err
				}
				fetches.EachRecord(func(r *kgo.Record) { got += int64(len(r.Value)) })
			}
			return nil
		}
		if err := read(s.WarmBytes / 2); err != nil {
			return err
		}
		u, err := t.Measure(func() error { return read(s.Bytes) })
		if err != nil {
			return err
		}
		t.RecordBytes(s.Bytes, u)
		return nil
	}
	return sc
}
