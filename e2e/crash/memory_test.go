package crash

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

// memoryFlag is what the server is told to stay under, and memoryLimit what it may take in all: the binary
// and what the system counts for it come on top.
const (
	memoryFlag  = "64MiB"
	memoryLimit = 110 << 20
	memoryLoad  = 500 << 20 // bytes of values
)

// peak is VmHWM of the process in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// free is a port that was free a moment ago.
func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return b, err
}

// TestMemoryStaysBoundedUnderLoad produces and consumes more than --memory, many times over, with 32
// clients that do not wait for each other, and takes a profile by --pprof meanwhile.
func TestMemoryStaysBoundedUnderLoad(t *testing.T) {
	profiles := free(t)
	b, err := harness.OpenWith(harness.Kelp, t.TempDir(), harness.Options{
		KelpFlags: []string{"--memory", memoryFlag, "--pprof", profiles, "--durability", "os"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, "memory", 8); err != nil {
		t.Fatal(err)
	}
	profile := make(chan error, 1)
	go func() { profile <- profiled(ctx, "http://"+profiles) }()
	if err := load(ctx, b.Addr); err != nil {
		t.Fatal(err)
	}
	if err := <-profile; err != nil {
		t.Error(err)
	}
	if most := peak(t, b.Pid()); most > memoryLimit {
		t.Errorf("with --memory %s the server took %d MiB", memoryFlag, most>>20)
	} else {
		t.Logf("at most %d MiB with --memory %s", most>>20, memoryFlag)
	}
}

// profiled takes a profile of the processor, which is a compressed file whatever the server got to do
// meanwhile, and one of what its goroutines are at, which names the log's code.
func profiled(ctx context.Context, url string) error {
	raw, err := get(ctx, url+"/debug/pprof/profile?seconds=1")
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		return err
	}
	text, err := get(ctx, url+"/debug/pprof/goroutine?debug=1")
	if err == nil && !bytes.Contains(text, []byte("kelp/internal/storage/embedded")) {
		err = fmt.Errorf("a profile of %d bytes does not name the log", len(text))
	}
	return err
}

// load writes memoryLoad bytes with several clients and reads them again.
func load(ctx context.Context, addr string) error {
	const clients, each = 32, memoryLoad / 32
	value := bytes.Repeat([]byte("0123456789abcdef"), 4096) // 64 KiB
	done := make(chan error, clients)
	var read atomic.Int64
	for i := range clients {
		go func() {
			client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
				kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(64),
				kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"memory": {int32(i % 8): kgo.NewOffset().AtStart()}}))
			if err != nil {
				done <- err
				return
			}
			defer client.Close()
			failed := make(chan error, 1)
			for range each / len(value) {
				client.Produce(ctx, &kgo.Record{Topic: "memory", Partition: int32(i % 8), Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						select {
						case failed <- err:
						default:
						}
					}
				})
			}
			if err := client.Flush(ctx); err != nil {
				done <- err
				return
			}
			for got := 0; got < each; {
				fetches := client.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					done <- err
					return
				}
				fetches.EachRecord(func(r *kgo.Record) { got += len(r.Value) })
			}
			read.Add(each)
			select {
			case err := <-failed:
				done <- err
			default:
				done <- nil
			}
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// TestAnswersThatNobodyReadsTakeNoMemory: connections that ask for all metadata again and again and read
// nothing are held to one answer each.
func TestAnswersThatNobodyReadsTakeNoMemory(t *testing.T) {
	b := harness.Start(t)
	if b.Kind == harness.Kafka {
		t.Skip("Apache Kafka's heap is what it was given")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 10 {
		if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, fmt.Sprintf("many%d", i), 200); err != nil {
			t.Fatal(err)
		}
	}
	bystander := dial(t, b.Addr)
	works(t, bystander)
	all := frame(0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // null: all topics
	for range 20 {
		conn := dial(t, b.Addr)
		if _, err := conn.Write(bytes.Repeat(all, 300)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // while the server does what it can
		works(t, bystander)
		works(t, dial(t, b.Addr))
	}
	const memory = 256 << 20 // what --memory is by itself
	if most := peak(t, b.Pid()); most > memory {
		t.Errorf("the server took %d MiB", most>>20)
	} else {
		t.Logf("at most %d MiB", most>>20)
	}
}
