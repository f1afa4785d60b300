// Package groups lets members of consumer groups come, go and be killed, with every client library in processes of their
// own, while records are written and the server is killed in the middle of a rebalance. Every record must be read by
// somebody, and after a clean end nobody may read one again.
package groups

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

const (
	partitions = 4
	patience   = 4 * time.Minute // of every wait; they take seconds, or tens of them on a busy machine
)

// clients are all kinds of members; those with 848 speak the consumer protocol.
var clients = []string{
	"franz", "franz-848", "kafka-go", "sarama-range-0.11.0.0", "sarama-roundrobin-2.1.0", "sarama-sticky-newest",
	"confluent", "confluent-848", "java", "java-848", "kafkajs",
}

// short lets silent members of the consumer protocol be noticed within seconds.
var short = map[string]string{
	"group.consumer.session.timeout.ms": "6000", "group.consumer.min.session.timeout.ms": "6000",
	"group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500",
}

func options() harness.Options {
	var o harness.Options
	for key, value := range short {
		o.KelpFlags = append(o.KelpFlags, "--broker-config", key+"="+value)
		o.KafkaProperties = append(o.KafkaProperties, key+"="+value)
	}
	return o
}

// fleet is all groups, one of each kind of client, each with a topic of its own.
type fleet struct {
	t      *testing.T
	broker *harness.Broker
	member string // the binary of the Go clients
	groups []*group

	written int // the newest value, by all writers, so that a value is there once
}

// group is one group, its members, and what they have read.
type group struct {
	client, topic string

	mu      sync.Mutex
	seen    map[int]int // value to how often
	members []*member
}

type member struct {
	cmd  *exec.Cmd
	read int // records; the group's mutex guards it and what follows
	last int // the newest value
	done chan struct{}
}

func TestMembersComeGoAndDie(t *testing.T) {
	f := &fleet{t: t}
	dir := t.TempDir()
	b, err := harness.OpenWith(harness.Target(), dir, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	f.broker, f.member = b, filepath.Join(dir, "member")
	if out, err := exec.Command("go", "build", "-o", f.member, "./member").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.topics()
	t.Cleanup(f.killAll)
	w := f.write()
	first, second := f.start(), f.start()
	f.wait("both members read", func(g *group) bool { return g.reads(first) && g.reads(second) })
	f.each(func(g *group) { _ = second[g].cmd.Process.Kill() })
	third := f.start()
	f.wait("the one that takes a killed one's place reads", func(g *group) bool { return g.reads(third) })
	fourth := f.start() // and while all of them rebalance:
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	f.wait("the newest reads after the server was killed", func(g *group) bool { return g.reads(fourth) })
	last := w.stop()
	f.wait("all is read", func(g *group) bool { return g.has(last) })
	f.stopAll()
	before := f.counts()
	w = f.write()
	fifth := f.start()
	f.wait("one goes on after all had left", func(g *group) bool { return g.reads(fifth) })
	last = w.stop()
	f.wait("all is read again", func(g *group) bool { return g.has(last) })
	f.stopAll()
	f.each(func(g *group) {
		twice := 0
		for value, n := range g.seen {
			if value <= before[g].last && n != before[g].seen[value] || value > before[g].last && n != 1 {
				twice++
			}
		}
		if twice > 0 {
			t.Errorf("%s: %d records were read again after a clean end", g.client, twice)
		}
		t.Logf("%s: %d records, %d of them more than once while members and the server were killed", g.client, len(g.seen), before[g].twice)
	})
}

func (f *fleet) each(do func(g *group)) {
	for _, g := range f.groups {
		g.mu.Lock()
		do(g)
		g.mu.Unlock()
	}
}

func (f *fleet) client(opts ...kgo.Opt) *kgo.Client {
	f.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(f.broker.Addr))...)
	if err != nil {
		f.t.Fatal(err)
	}
	return cl
}

// chosen are the clients of this run: those that KELP_E2E_GROUPS names, else all.
func chosen() []string {
	if named := os.Getenv("KELP_E2E_GROUPS"); named != "" {
		return strings.Split(named, ",")
	}
	return clients
}

func (f *fleet) topics() { f.topicsFor(chosen()) }

func (f *fleet) topicsFor(clients []string) {
	cl := f.client()
	defer cl.Close()
	for _, name := range clients {
		if harness.Target() == harness.Kafka && strings.Contains(name, "0.11") {
			continue // Apache Kafka 4 no longer answers it
		}
		g := &group{client: name, topic: "of-" + name, seen: map[int]int{}}
		if _, err := kadm.NewClient(cl).CreateTopic(f.t.Context(), partitions, 1, nil, g.topic); err != nil {
			f.t.Fatal(err)
		}
		f.groups = append(f.groups, g)
	}
}

// writer writes numbers to every topic until it is stopped.
type writer struct {
	cancel context.CancelFunc
	done   chan int
	newest atomic.Int64 // that is acknowledged
}

func (f *fleet) write() *writer {
	ctx, cancel := context.WithCancel(f.t.Context())
	w := &writer{cancel: cancel, done: make(chan int, 1)}
	cl := f.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1000), kgo.RecordDeliveryTimeout(patience))
	go func() {
		defer cl.Close()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			f.written++
			var batch []*kgo.Record
			for _, g := range f.groups {
				batch = append(batch, &kgo.Record{Topic: g.topic, Partition: int32(f.written % partitions), Value: []byte(strconv.Itoa(f.written))})
			}
			if err := cl.ProduceSync(context.WithoutCancel(ctx), batch...).FirstErr(); err != nil {
				f.t.Errorf("write %d: %v", f.written, err)
			}
			w.newest.Store(int64(f.written))
			<-tick.C
		}
		w.done <- f.written
	}()
	return w
}

// stop gives the last number.
func (w *writer) stop() int {
	w.cancel()
	return <-w.done
}

// start starts one more member of each group.
func (f *fleet) start() map[*group]*member {
	f.t.Helper()
	out := map[*group]*member{}
	for _, g := range f.groups {
		out[g] = f.startOne(g)
	}
	return out
}

func (f *fleet) command(client string) []string {
	cache, drivers := filepath.Join(foreign.Root(), ".cache"), filepath.Join(foreign.Root(), "e2e", "groups", "drivers")
	switch {
	case strings.HasPrefix(client, "java"):
		return []string{
			"java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(cache, "kafka", "libs", "*"),
			filepath.Join(drivers, "Member.java"), client,
		}
	case strings.HasPrefix(client, "confluent"):
		return []string{filepath.Join(cache, "python", "bin", "python"), filepath.Join(drivers, "member.py"), client}
	case client == "kafkajs":
		return []string{"node", filepath.Join(drivers, "member.js"), filepath.Join(cache, "node", "node_modules"), client}
	}
	return []string{f.member, client}
}

func (f *fleet) startOne(g *group) *member { return f.startAs(g.client, g) }

// startAs starts a member with a client that need not be the group's.
func (f *fleet) startAs(client string, g *group) *member {
	args := append(f.command(client), f.broker.Addr, "group-"+g.client, g.topic)
	m := &member{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if os.Getenv("KELP_E2E_VERBOSE") != "" {
		m.cmd.Stderr = os.Stderr
	}
	if err := m.cmd.Start(); err != nil {
		f.t.Fatalf("%s is not installed, run e2e/install/all.sh: %v", g.client, err)
	}
	go func() {
		defer close(m.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var partition, offset, value int
			if n, _ := fmt.Sscan(lines.Text(), &partition, &offset, &value); n == 3 {
				g.mu.Lock()
				g.seen[value]++
				m.read++
				m.last = max(m.last, value)
				g.mu.Unlock()
			}
		}
		_ = m.cmd.Wait()
	}()
	g.mu.Lock()
	g.members = append(g.members, m)
	g.mu.Unlock()
	return m
}

// reads says whether a member has read anything. The caller holds the mutex.
func (g *group) reads(of map[*group]*member) bool { return of[g].read > 0 }

// has says whether all up to a number was read.
func (g *group) has(last int) bool {
	for value := 1; value <= last; value++ {
		if g.seen[value] == 0 {
			return false
		}
	}
	return true
}

// describe says which of the values up to the largest one were not seen, and what each member read.
func (g *group) describe() string {
	last := 0
	for value := range g.seen {
		last = max(last, value)
	}
	var missing []int
	for value := 1; value <= last; value++ {
		if g.seen[value] == 0 {
			missing = append(missing, value)
		}
	}
	text := fmt.Sprintf("%d seen, the last is %d, missing %v;", len(g.seen), last, missing)
	for _, m := range g.members {
		select {
		case <-m.done:
			text += fmt.Sprintf(" %s ended after %d;", m.cmd.Args[1], m.read)
		default:
			text += fmt.Sprintf(" %s runs, read %d;", m.cmd.Args[1], m.read)
		}
	}
	return text
}

// wait waits until something holds for every group.
func (f *fleet) wait(what string, holds func(g *group) bool) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := []string{}
		f.each(func(g *group) {
			if !holds(g) {
				missing = append(missing, g.client)
			}
		})
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			f.each(func(g *group) { f.t.Logf("%s: %s", g.client, g.describe()) })
			f.t.Fatalf("%s: not so for %v\n%s", what, missing, f.broker.Tail())
		}
		<-tick.C
	}
}

// stopAll ends all members by SIGTERM and waits for them.
func (f *fleet) stopAll() {
	f.t.Helper()
	var all []*member
	f.each(func(g *group) {
		all = append(all, g.members...)
		g.members = nil
	})
	f.end(all)
}

func (f *fleet) end(all []*member) {
	f.t.Helper()
	for _, m := range all {
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
	}
	timeout := time.After(patience)
	for _, m := range all {
		select {
		case <-m.done:
		case <-timeout:
			f.t.Errorf("%v does not end", m.cmd.Args)
			return
		}
	}
}

func (f *fleet) killAll() {
	var all []*member
	f.each(func(g *group) { all = append(all, g.members...) })
	for _, m := range all {
		_ = m.cmd.Process.Kill()
	}
	for _, m := range all {
		<-m.done
	}
}

type count struct {
	seen        map[int]int
	last, twice int
}

// counts is what every group has read so far.
func (f *fleet) counts() map[*group]count {
	out := map[*group]count{}
	f.each(func(g *group) {
		c := count{seen: map[int]int{}}
		for value, n := range g.seen {
			c.seen[value], c.last = n, max(c.last, value)
			if n > 1 {
				c.twice++
			}
		}
		out[g] = c
	})
	return out
}
