package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

type produceFlags struct {
	separator, key, acks, compression string
	headers                           []string
	partition                         int32
	tombstone                         bool
}

func produceCommand() *cobra.Command {
	var f produceFlags
	c := &cobra.Command{
		Use: "produce TOPIC", Short: "Write each line of the standard input as a record",
		Example: `  echo hello | kelp produce greetings
  kelp produce orders --separator : --compression zstd < orders.txt     # key:value lines
  echo '{"id":7}' | kelp produce orders --key 7 --header source=shop`,
		Args: needs(1, 1, "one TOPIC"),
	}
	servers := serverFlag(c)
	c.Flags().StringVarP(&f.separator, "separator", "K", "", "what parts key and value of a line; empty: lines are values")
	c.Flags().StringVarP(&f.key, "key", "k", "", "key of every record")
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "key=value of a header of every record; may be given several times")
	c.Flags().Int32VarP(&f.partition, "partition", "p", -1, "partition to write to; -1 chooses by key")
	c.Flags().StringVarP(&f.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	c.Flags().StringVar(&f.acks, "acks", "all", "who must have a record before it counts as written: all, leader or none")
	c.Flags().BoolVar(&f.tombstone, "tombstone", false, "an empty value is null, which deletes the key of a compacted topic")
	c.RunE = func(c *cobra.Command, args []string) error { return produce(c, *servers, args[0], f) }
	return c
}

func (f *produceFlags) options() ([]kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[f.compression]
	if !ok {
		return nil, fmt.Errorf("--compression %q: choose none, gzip, snappy, lz4 or zstd", f.compression)
	}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codec), kgo.RecordDeliveryTimeout(requestTimeout)}
	if f.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	switch f.acks {
	case "all":
	case "leader":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "none":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, fmt.Errorf("--acks %q: choose all, leader or none", f.acks)
	}
	return opts, nil
}

func (f *produceFlags) finish(r *kgo.Record) error {
	if f.key != "" {
		r.Key = []byte(f.key)
	}
	if f.tombstone && len(r.Value) == 0 {
		r.Value = nil
	}
	if f.partition >= 0 {
		r.Partition = f.partition
	}
	for _, h := range f.headers {
		key, value, ok := strings.Cut(h, "=")
		if !ok {
			return fmt.Errorf("--header %q: write key=value", h)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	return nil
}

func produce(c *cobra.Command, servers []string, topic string, f produceFlags) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	layout := "%v\n"
	if f.separator != "" {
		layout = "%k" + strings.ReplaceAll(f.separator, "%", "%%") + "%v\n"
	}
	reader, err := kgo.NewRecordReader(c.InOrStdin(), layout)
	if err != nil {
		return err
	}
	cl, err := connect(c.Context(), servers, append(opts, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	var mu sync.Mutex // guards failed and written
	var failed error
	written := 0
	for line := 1; ; line++ {
		r, err := reader.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = f.finish(r)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("line %d: %w", line, err), cl.Flush(c.Context())) // those before it are written
		}
		cl.Produce(c.Context(), r, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = err
			}
			if err == nil {
				written++
			}
		})
	}
	if err := cl.Flush(c.Context()); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return fmt.Errorf("topic %s: %d records written, then: %w", topic, written, failed)
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d records written to %s\n", written, topic)
	return nil
}
