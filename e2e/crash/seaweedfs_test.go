package crash

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/harness"
)

// pair is two nodes on one SeaweedFS whose parts are processes of their own, behind a proxy.
type pair struct {
	t     *testing.T
	w     *harness.Cluster
	proxy *harness.Proxy
	nodes [2]*harness.Broker
	http  [2]string
}

func (p *pair) addrs() string { return p.nodes[0].Addr + "," + p.nodes[1].Addr }

// ready waits until one node is, and gives its number.
func (p *pair) ready(ctx context.Context) int {
	p.t.Helper()
	for {
		for i, n := range p.nodes {
			if n.Running() && p.says(ctx, i) == http.StatusOK {
				return i
			}
		}
		p.pause(ctx, "no node is ready")
	}
}

// standsBy waits until a node is alive and not ready.
func (p *pair) standsBy(ctx context.Context, i int) {
	p.t.Helper()
	for p.says(ctx, i) != http.StatusServiceUnavailable {
		p.pause(ctx, fmt.Sprintf("node %d does not stand by", i))
	}
}

func (p *pair) pause(ctx context.Context, what string) {
	p.t.Helper()
	select {
	case <-ctx.Done():
		p.t.Fatalf("%s\n%s\n%s\n%s", what, p.nodes[0].Tail(), p.nodes[1].Tail(), p.w.Tails())
	case <-time.After(20 * time.Millisecond):
	}
}

// says asks a node whether it is ready; a node that is paused or gone says nothing.
func (p *pair) says(ctx context.Context, i int) int {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http[i]+"/readyz", http.NoBody)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (p *pair) must(errs ...error) {
	p.t.Helper()
	for _, err := range errs {
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func newPair(t *testing.T, seed uint64) *pair {
	t.Helper()
	p := &pair{t: t, w: harness.StartCluster(t, harness.ClusterOptions{})}
	p.proxy = harness.StartProxy(t, p.w.Filers[0], p.w.Volumes[0], seed)
	binary, err := harness.Built(t.TempDir())
	p.must(err)
	t.Setenv("KELP_E2E_BINARY", binary)
	for i := range p.nodes {
		port, err := harness.FreePort()
		p.must(err)
		p.http[i] = "127.0.0.1:" + strconv.Itoa(port)
		p.nodes[i], err = harness.OpenWith(harness.Kelp, t.TempDir(), harness.Options{Standby: true, KelpFlags: []string{
			"--store", p.w.Store("kelp") + "?filer=" + p.proxy.Filer, "--http", p.http[i], "--node-id", strconv.Itoa(i + 1),
		}})
		p.must(err)
		t.Cleanup(func() { _ = p.nodes[i].Kill() })
	}
	return p
}

// faults are what can happen to the pair; each ends with everything running again.
func (p *pair) faults() map[string]func(context.Context) {
	kill := func(w *harness.Weed) func(context.Context) {
		return func(context.Context) {
			p.must(w.Kill(), w.Resume())
			p.w.Await()
		}
	}
	return map[string]func(context.Context){
		"filer":  kill(p.w.Filers[0]),
		"volume": kill(p.w.Volumes[0]),
		"master": kill(p.w.Masters[0]),
		"node": func(ctx context.Context) { // the other one takes over
			i := p.ready(ctx)
			p.must(p.nodes[i].Kill())
			if p.ready(ctx) == i {
				p.t.Fatal("a killed node is ready")
			}
			p.must(p.nodes[i].Resume())
			p.standsBy(ctx, i)
		},
		"all": func(ctx context.Context) {
			all := []*harness.Weed{p.w.Masters[0], p.w.Volumes[0], p.w.Filers[0]}
			for _, w := range all {
				p.must(w.Kill())
			}
			p.must(p.nodes[0].Kill(), p.nodes[1].Kill())
			for _, w := range all {
				p.must(w.Resume())
			}
			p.w.Await()
			p.must(p.nodes[0].Resume(), p.nodes[1].Resume())
		},
		"pause": func(ctx context.Context) { // for longer than the lease: it goes on beside the one that took over
			i := p.ready(ctx)
			p.must(syscall.Kill(p.nodes[i].Pid(), syscall.SIGSTOP))
			for p.ready(ctx) == i {
				p.pause(ctx, "nobody takes over from a paused node")
			}
			p.must(syscall.Kill(p.nodes[i].Pid(), syscall.SIGCONT))
			p.standsBy(ctx, i)
		},
		"cut": func(ctx context.Context) { // of the node from the filer and the volume server
			i := p.ready(ctx)
			p.proxy.Cut(p.nodes[i].Pid())
			for p.ready(ctx) == i || p.says(ctx, 1-i) != http.StatusOK {
				p.pause(ctx, "nobody takes over from a node that is cut off")
			}
			p.standsBy(ctx, i) // it makes way, so that its clients look for the other one
			p.proxy.Heal()
		},
	}
}

// TestFaultsOnSeaweedFS kills every part of SeaweedFS and both nodes in turn and together, pauses and cuts them off,
// under a working client whose calls to SeaweedFS pass a proxy that loses, repeats and holds up some of them.
func TestFaultsOnSeaweedFS(t *testing.T) {
	if harness.Target() != harness.Kelp {
		t.Skip("Apache Kafka does not run on SeaweedFS")
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("repeat with: go test ./crash -run %s -seed %d -for %s", t.Name(), *seed, *duration)
	random := rand.New(rand.NewPCG(*seed, 7))
	p := newPair(t, *seed)
	ctx, cancel := context.WithTimeout(t.Context(), *duration+5*time.Minute)
	defer cancel()
	p.ready(ctx)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.addrs(), ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedRecords(50), kgo.ProducerBatchMaxBytes(16<<10),
		kgo.ProduceRequestTimeout(5*time.Second), kgo.RequestTimeoutOverhead(3*time.Second), kgo.DialTimeout(2*time.Second),
		kgo.RetryTimeout(time.Minute), kgo.MetadataMinAge(100*time.Millisecond), kgo.UnknownTopicRetries(-1))
	p.must(err)
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, "crash"); err != nil {
		t.Fatal(err)
	}
	p.proxy.Harm(0.01)
	w := &writer{client: client, news: make(chan struct{})}
	producing, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { w.run(producing) })
	defer done.Wait()
	defer stop()
	faults := p.faults()
	names := []string{"filer", "volume", "master", "node", "all", "pause", "cut"}
	rounds := 0
	for end := time.Now().Add(*duration); rounds < len(names) || time.Now().Before(end); rounds++ {
		if rounds%len(names) == 0 {
			random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
		name := names[rounds%len(names)]
		began := time.Now()
		p.advance(ctx, w, 1+random.Int64N(500), "before "+name)
		faults[name](ctx)
		acked := p.advance(ctx, w, 100, "after "+name)
		verify(ctx, t, p.nodes[p.ready(ctx)].Addr, acked)
		t.Logf("%s: %s, %d records", name, time.Since(began).Round(100*time.Millisecond), acked[0]*partitions)
	}
	stop()
	done.Wait()
	p.must(client.Flush(ctx))
	acked := p.advance(ctx, w, 0, "in the end")
	p.proxy.Harm(0)
	verify(ctx, t, p.nodes[p.ready(ctx)].Addr, acked)
	t.Logf("%d faults, %d records acknowledged, calls: %v", rounds, acked[0]*partitions, p.proxy.Counts)
}

// advance waits for acknowledgements.
func (p *pair) advance(ctx context.Context, w *writer, n int64, when string) [partitions]int64 {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	acked, err := w.more(ctx, n)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s\n%s\n%s", when, err, p.nodes[0].Tail(), p.nodes[1].Tail(), p.w.Tails())
	}
	return acked
}
