package topic

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/vfs"
)

// spoil changes one byte of the text wherever it lies in the folder; it must lie in one place.
func spoil(t *testing.T, fs vfs.FS, dir, text string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		f, err := fs.Open(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		if size > 0 {
			if _, err := f.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			found++
			if _, err := f.WriteAt([]byte{text[0] ^ 1}, int64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found != 1 {
		t.Fatalf("%q was found %d times", text, found)
	}
}

func valued(text string) []byte {
	return batch.Encode([]batch.Record{{TimestampMs: 1, Value: []byte(text)}}, batch.NoProducer())
}

// readAll reads batch by batch; damaged are the offsets that are reported.
func readAll(t *testing.T, p *Partition, end int64) (values, damaged int) {
	t.Helper()
	for from := int64(0); from < end; from++ {
		span, err := p.Read(t.Context(), from, 1, true)
		if errors.Is(err, storage.ErrCorrupt) {
			damaged++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := span.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if h, err := batch.Validate(b, 1<<20, nil); err != nil || h.BaseOffset != from {
			t.Fatalf("at %d: batch of %d, %v", from, h.BaseOffset, err)
		}
		values++
		span.Release()
	}
	return values, damaged
}

// TestADamagedPartitionDoesNotHarmOthers: what is damaged before the last checkpoint is refused at its
// offset; damage behind it, which the books need, refuses the partition. The others serve and take
// records all the time.
func TestADamagedPartitionDoesNotHarmOthers(t *testing.T) {
	fs := vfs.NewMem()
	open := func() (*embedded.Store, *Set) {
		t.Helper()
		s, err := embedded.Open("/data", embedded.Options{FS: fs, Sync: true, FileBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		return s, NewSet(s, func(storage.Partition) Options { return options() })
	}
	at := func(index int32) storage.Partition { return storage.Partition{Topic: [16]byte{1}, Index: index} }
	s, set := open()
	put := func(index int32, text string) {
		t.Helper()
		p, err := set.Get(t.Context(), at(index))
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Produce(valued(text), Client{})
		if err == nil {
			err = a.Pending.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		for index := range int32(3) {
			put(index, fmt.Sprintf("%d of partition %d", n, index))
		}
	}
	if err := set.Close(t.Context()); err != nil { // checkpoints
		t.Fatal(err)
	}
	put(2, "behind the checkpoint")
	put(2, "the newest")
	// A power loss: nothing says yet that the newest was synced.
	crashed := fs.CrashClone(rand.New(rand.NewPCG(1, 1)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fs = crashed
	spoil(t, fs, "/data", "4 of partition 1")
	spoil(t, fs, "/data", "the newest")

	s, set = open()
	defer s.Close()
	if _, err := set.Get(t.Context(), at(2)); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("a partition whose books cannot be read: %v", err)
	}
	for index, want := range []int{0: 0, 1: 1} {
		p, err := set.Get(t.Context(), at(int32(index)))
		if err != nil {
			t.Fatal(err)
		}
		if values, damaged := readAll(t, p, 10); damaged != want || values != 10-want {
			t.Errorf("partition %d: %d values, %d damaged", index, values, damaged)
		}
		put(int32(index), "after the damage")
		if p.HighWatermark() != 11 {
			t.Errorf("partition %d ends at %d", index, p.HighWatermark())
		}
	}
}

// TestLargeBatchesAreCheckedAfterAStart: the checksum that the log keeps is made from the batch's
// own, whatever was done to the batch on its way in.
func TestLargeBatchesAreCheckedAfterAStart(t *testing.T) {
	fs := vfs.NewMem()
	large := strings.Repeat("a large value ", 3000)
	edits := map[string]func(*cluster.TopicConfig){
		"as it came":  func(*cluster.TopicConfig) {},
		"append time": func(c *cluster.TopicConfig) { c.LogAppendTime = true },
		"plain":       func(c *cluster.TopicConfig) { c.CompressionType = "uncompressed" },
	}
	for again := range 2 {
		s, err := embedded.Open("/data", embedded.Options{FS: fs, Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		index := int32(0)
		for _, name := range []string{"as it came", "append time", "plain"} {
			o := options()
			c := o.Config()
			c.MaxMessageBytes = 1 << 20
			edits[name](c)
			o.Config, o.Now = func() *cluster.TopicConfig { return c }, time.Now
			p, err := Open(t.Context(), s, storage.Partition{Topic: [16]byte{1}, Index: index}, o)
			if err != nil {
				t.Fatal(name, err)
			}
			index++
			if again == 0 {
				b, err := batch.Recompress(valued(large), batch.LZ4, 1, 1<<20)
				if err == nil && name != "plain" {
					b = valued(large)
				}
				if err != nil {
					t.Fatal(err)
				}
				a, err := p.Produce(b, Client{})
				if err == nil {
					err = a.Pending.Wait(t.Context())
				}
				if err != nil {
					t.Fatal(name, err)
				}
			} else if values, damaged := readAll(t, p, 1); values != 1 || damaged != 0 {
				t.Errorf("%s: %d values, %d damaged", name, values, damaged)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
