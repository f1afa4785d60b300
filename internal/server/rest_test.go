//go:build linux

package server

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestConnectionsAtRestAnswerAndEnd(t *testing.T) {
	const many = 50
	s, addr := start(t, newGate(), Limits{})
	var clients []client
	for range many {
		clients = append(clients, dial(t, addr))
	}
	resting := func(n float64) {
		t.Helper()
		until(t, "connections do not come to rest", func() bool { return testutil.ToFloat64(s.m.resting) == n })
	}
	for round := range int32(3) {
		for _, c := range clients {
			c.send(round, kmsg.NewPtrApiVersionsRequest())
			c.expect(round)
		}
		resting(many)
	}
	// A request that comes in pieces, with a rest before the second.
	whole := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 7)
	for _, cut := range []int{1, 3, 5} {
		c := clients[cut]
		for i, piece := range [][]byte{whole[:cut], whole[cut:]} {
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
			resting(float64(many - 1 + i)) // half a request is no rest; a whole one leads to one
		}
		c.expect(7)
	}
	for _, c := range clients[:many/2] {
		_ = c.Close()
	}
	resting(many / 2)
	until(t, "closed connections stay", func() bool { return testutil.ToFloat64(s.m.connections) == many/2 })
	if err := s.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(s.m.connections); n != 0 {
		t.Errorf("%v connections after the drain", n)
	}
}

func TestConnectionsAtRestEndWhenTheyAreIdleTooLong(t *testing.T) {
	s, addr := start(t, newGate(), Limits{IdleTimeout: 50 * time.Millisecond})
	if _, err := dial(t, addr).answered(); err == nil {
		t.Error("still open")
	}
	until(t, "the connection stays", func() bool { return testutil.ToFloat64(s.m.connections) == 0 && testutil.ToFloat64(s.m.resting) == 0 })
}
