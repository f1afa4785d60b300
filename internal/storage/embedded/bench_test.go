package embedded

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"kelp/internal/storage"
)

// openMany opens a store with partitions that no test waits for.
func openMany(b *testing.B, dir string, o Options, partitions int) (*Store, []storage.Log) {
	b.Helper()
	s, err := Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	logs := make([]storage.Log, partitions)
	for i := range logs {
		p := storage.Partition{Topic: [16]byte{1}, Index: int32(i)}
		if err := s.Create(context.Background(), p); err != nil {
			b.Fatal(err)
		}
		if logs[i], err = s.Open(context.Background(), p, storage.OpenOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	return s, logs
}

// BenchmarkAppend keeps 64 batches in flight, round robin over the partitions.
func BenchmarkAppend(b *testing.B) {
	for _, durable := range []bool{true, false} {
		for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
			for _, partitions := range []int{1, 8, 1000} {
				b.Run(fmt.Sprintf("sync=%v/%dKiB/%d", durable, size>>10, partitions), func(b *testing.B) {
					benchmarkAppend(b, Options{Sync: durable}, size, partitions)
				})
			}
		}
	}
}

func benchmarkAppend(b *testing.B, o Options, size, partitions int) {
	s, logs := openMany(b, b.TempDir(), o, partitions)
	defer s.Close()
	next := make([]int64, partitions)
	for i, l := range logs {
		_, next[i] = l.Bounds()
	}
	payload := make([]byte, size)
	inFlight := make([]storage.Pending, 64)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if p := inFlight[i%64]; p != nil {
			if err := p.Wait(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		k := i % partitions
		inFlight[i%64] = logs[k].Append(storage.Batch{Base: next[k], Count: 1, Bytes: payload})
		next[k]++
	}
	for _, p := range inFlight {
		if p != nil {
			_ = p.Wait(context.Background())
		}
	}
}

// sink is a TCP connection whose other end reads everything.
func sink(b *testing.B) *net.TCPConn {
	b.Helper()
	var config net.ListenConfig
	l, err := config.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 1<<20))
		}
	}()
	var d net.Dialer
	c, err := d.DialContext(b.Context(), "tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// BenchmarkRead sends a partition to a socket in spans of 1 MiB: from memory, and from files after a
// restart.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		for _, partitions := range []int{1, 8} {
			for _, tail := range []bool{true, false} {
				b.Run(fmt.Sprintf("tail=%v/%dKiB/%d", tail, size>>10, partitions), func(b *testing.B) { benchmarkRead(b, size, partitions, tail) })
			}
		}
	}
}

func benchmarkRead(b *testing.B, size, partitions int, tail bool) {
	total := 128 << 20
	if tail {
		total = 12 << 20
	}
	dir := b.TempDir()
	s, logs := openMany(b, dir, Options{}, partitions)
	payload := make([]byte, size)
	for i := range total / size {
		p := logs[i%partitions].Append(storage.Batch{Base: int64(i / partitions), Count: 1, Bytes: payload})
		if i%64 == 0 {
			_ = p.Wait(context.Background())
		}
	}
	if !tail {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s, logs = openMany(b, dir, Options{}, partitions)
	}
	defer s.Close()
	conn := sink(b)
	defer conn.Close()
	b.ReportAllocs()
	b.ResetTimer()
	sent := int64(0)
	from := int64(0)
	for range b.N {
		span, err := logs[0].Read(context.Background(), storage.ReadRange{From: from, MaxBytes: 1 << 20, AtLeastOne: true})
		if err != nil {
			b.Fatal(err)
		}
		n, err := span.WriteTo(conn)
		if err != nil {
			b.Fatal(err)
		}
		sent += n
		from = span.(storage.Ending).End()
		span.Release()
		if _, end := logs[0].Bounds(); from >= end || n == 0 {
			from = 0
		}
	}
	b.SetBytes(sent / int64(b.N))
}

// BenchmarkCreate creates partitions, writes one batch to each, closes and opens again.
func BenchmarkCreate(b *testing.B) {
	const partitions = 5000
	for range b.N {
		dir := b.TempDir()
		s, logs := openMany(b, dir, Options{Sync: true}, partitions)
		pending := make([]storage.Pending, partitions)
		for i, l := range logs {
			pending[i] = l.Append(storage.Batch{Count: 1, Bytes: make([]byte, 100)})
		}
		for _, p := range pending {
			if err := p.Wait(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/partitions, "heap-B/partition")
		runtime.KeepAlive(logs)
		b.StartTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s, _ = openMany(b, dir, Options{Sync: true}, partitions)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
