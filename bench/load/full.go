package load

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

// fullBatchBytes is the values of one batch of the start that finds a full folder.
const fullBatchBytes = 64 << 10

// startFull measures starts that find many partitions and much data, in a cold page cache.
func startFull(s Size) turns.Scenario {
	count := slices.Max(s.Partitions)
	topics := count / topicPartitions
	sc := turns.Scenario{
		Name: "start-full",
		Doc: fmt.Sprintf("%d partitions with %.3g GB in batches of 64 KiB, written round robin over 8 sockets. Then SIGTERM and a start, a record to "+
			"each partition, kill -9 and a start: from the start of the process to the first answer, to the end offsets of all partitions, and to a "+
			"record in each. Before each start the files leave the page cache.", count, float64(s.FullBytes)/1e9),
		Skip: map[string]string{"kafka-flush": "it starts as kafka does"},
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := createMany(t.Addr, topics); err != nil {
			return err
		}
		if err := fillMany(ctx, t.Addr, topics, s.FullBytes); err != nil {
			return err
		}
		ends := map[string][]int64{}
		if err := note(t.Addr, topics, ends); err != nil {
			return err
		}
		for _, way := range []struct {
			name string
			end  func() error
		}{{"SIGTERM", t.Close}, {"kill -9", t.Kill}} {
			if err := way.end(); err != nil {
				return err
			}
			if err := startOn(t, way.name, topics, ends); err != nil {
				return fmt.Errorf("after %s: %w", way.name, err)
			}
		}
		return nil
	}
	return sc
}

// startOn starts the server that has ended, and compares what it has with ends, which it renews.
func startOn(t *turns.Turn, how string, topics int, ends map[string][]int64) error {
	if err := leavePageCache(t.Dir); err != nil {
		return err
	}
	began := time.Now()
	if err := t.Resume(); err != nil {
		return err
	}
	t.Record(how+": first answer s", t.Started.Seconds())
	for i := range topics {
		now, err := bare.EndOffsets(t.Addr, topicName(i), topicPartitions)
		if err != nil {
			return err
		}
		if want := ends[topicName(i)]; !slices.Equal(now, want) {
			return fmt.Errorf("%s ends at %v, ended at %v", topicName(i), now, want)
		}
	}
	t.Record(how+": all end offsets s", time.Since(began).Seconds())
	if err := writeEach(t.Addr, topics); err != nil {
		return err
	}
	t.Record(how+": all written s", time.Since(began).Seconds())
	rss, err := t.Process.Resident()
	if err != nil {
		return err
	}
	t.Record(how+": MB", float64(rss)/1e6)
	return note(t.Addr, topics, ends)
}

// note asks for the end offsets of everything.
func note(addr string, topics int, ends map[string][]int64) error {
	for i := range topics {
		all, err := bare.EndOffsets(addr, topicName(i), topicPartitions)
		if err != nil {
			return err
		}
		ends[topicName(i)] = all
	}
	return nil
}

// createMany makes topics and waits until all their partitions are led.
func createMany(addr string, topics int) error {
	var asked []kmsg.CreateTopicsRequestTopic
	for i := range topics {
		a := kmsg.NewCreateTopicsRequestTopic()
		a.Topic, a.NumPartitions, a.ReplicationFactor = topicName(i), topicPartitions, 1
		asked = append(asked, a)
	}
	if err := bare.CreateTopics(addr, asked...); err != nil {
		return err
	}
	return note(addr, topics, map[string][]int64{})
}

// fillMany writes that many bytes of values, all partitions alike. Each socket has topics of its own.
func fillMany(ctx context.Context, addr string, topics int, bytes int64) error {
	batch := bare.Batch(bare.Values(fullBatchBytes/bare.ValueBytes, bare.ValueBytes, 1), false, time.Now().UnixMilli())
	rounds := max(1, int(bytes/fullBatchBytes)/(topics*topicPartitions))
	g, ctx := errgroup.WithContext(ctx)
	for first := range producers {
		g.Go(func() error {
			c, err := bare.Dial(addr)
			if err != nil {
				return err
			}
			defer c.Close()
			for range rounds {
				for i := first; i < topics; i += producers {
					if err := fillTopic(ctx, c, topicName(i), batch); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// fillTopic writes the batch to each partition of a topic, several requests in flight.
func fillTopic(ctx context.Context, c *bare.Conn, topic string, batch []byte) error {
	answered := 0
	for sent := range topicPartitions {
		if _, err := c.Write(bare.Produce(topic, int32(sent), batch)); err != nil {
			return err
		}
		for last := sent == topicPartitions-1; answered <= sent && (last || sent-answered >= bareInFlight); answered++ {
			resp, err := c.ReadResponse()
			if err == nil {
				err = kerr.ErrorForCode(bare.ProduceError(resp))
			}
			if err != nil {
				return fmt.Errorf("write %s/%d: %w", topic, answered, err)
			}
		}
	}
	return ctx.Err()
}

// leavePageCache makes the files of a folder durable and asks the system to forget their pages.
func leavePageCache(dir string) error {
	unix.Sync()
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
