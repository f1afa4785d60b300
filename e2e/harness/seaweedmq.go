package harness

import (
	"fmt"
	"net"
	"strconv"
	"testing"
)

// SeaweedMQ is a real SeaweedFS with a broker and an agent of its message queue, each a process.
type SeaweedMQ struct {
	*Cluster
	Broker, Agent *Weed
}

// StartSeaweedMQ starts a fresh one, whose broker flushes to the filer every second, and ends it with
// the test. The broker takes some seconds more until it answers.
func StartSeaweedMQ(tb testing.TB) *SeaweedMQ {
	tb.Helper()
	c := StartCluster(tb, ClusterOptions{})
	w := &SeaweedMQ{Cluster: c}
	w.Broker = c.server("mq.broker", "-master="+c.Masters[0].Addr, "-ip=127.0.0.1", "-logFlushInterval=1")
	w.Agent = c.server("mq.agent", "-broker="+w.Broker.GRPC)
	return w
}

// server starts a process with one port, for gRPC.
func (c *Cluster) server(kind string, args ...string) *Weed {
	c.tb.Helper()
	w := c.weed(kind)
	port, err := freePort()
	if err != nil {
		c.tb.Fatal(err)
	}
	w.GRPC = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	w.Addr, w.HTTP = w.GRPC, ""
	w.args = append([]string{kind, fmt.Sprintf("-port=%d", port)}, args...)
	w.supervised = true // brokers and agents end themselves at times
	c.start(w)
	c.tb.Cleanup(func() {
		if c.tb.Failed() {
			c.tb.Logf("%s said\n%s", kind, w.Tail())
		}
	})
	return w
}

// WeedBinary is the weed that runs, for commands of weed shell.
func WeedBinary() string { return weed() }
