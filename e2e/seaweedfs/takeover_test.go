package seaweedfs

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// A second node on the same store takes over from one that is paused for longer than its lease; the
// paused one acknowledges nothing when it goes on, and takes over in its turn.
func TestTakeover(t *testing.T) {
	w := harness.StartSeaweedFS(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	first := on(t, w, "kelp")
	const topic = "takeover"
	if err := (franz.Client{Addr: first.Addr}).CreateTopic(ctx, topic, 1); err != nil {
		t.Fatal(err)
	}
	var want []suite.Record
	produce := func(b *harness.Broker, n int) {
		t.Helper()
		var records []suite.Record
		for range n {
			r := suite.Record{Offset: int64(len(want)), TimestampMs: 1000, Key: []byte("k"), Value: fmt.Append(nil, len(want))}
			records, want = append(records, r), append(want, r)
		}
		if err := (franz.Client{Addr: b.Addr}).Produce(ctx, topic, "none", records); err != nil {
			t.Fatal(err)
		}
	}
	check := func(b *harness.Broker) {
		t.Helper()
		got, err := franz.Client{Addr: b.Addr}.Consume(ctx, topic, 0, 0, len(want))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if string(got[i].Value) != string(want[i].Value) {
				t.Fatalf("offset %d holds %q, want %q", i, got[i].Value, want[i].Value)
			}
		}
	}
	produce(first, 100)
	if err := syscall.Kill(first.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := on(t, w, "kelp") // ready once the lease of the first has ended
	check(second)
	produce(second, 100)
	if err := syscall.Kill(first.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// It listens until it has found out; nothing that it is told from now on may be acknowledged.
	for ctx.Err() == nil {
		dialer := net.Dialer{Timeout: time.Second}
		c, err := dialer.DialContext(ctx, "tcp", first.Addr)
		if err != nil {
			break
		}
		_ = c.Close()
		short, end := context.WithTimeout(ctx, time.Second)
		if err := (franz.Client{Addr: first.Addr}).CreateTopic(short, "lost", 1); err == nil {
			t.Error("a node that was fenced created a topic")
		}
		end()
	}
	if err := ctx.Err(); err != nil {
		t.Fatal("the first node still listens")
	}
	produce(second, 100)
	check(second)
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil { // the first one's turn again
		if topics, err := (franz.Client{Addr: first.Addr}).Topics(ctx); err == nil && topics[topic] == 1 {
			break
		}
	}
	check(first)
	produce(first, 100)
	check(first)
}
