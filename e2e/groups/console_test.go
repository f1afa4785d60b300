package groups

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// side is one of the two servers whose tools are compared.
type side struct {
	t      *testing.T
	kind   harness.Kind
	fleet  *fleet
	output map[string]string
}

// console are the commands, in their order; GROUP commands run while members are there, the others after they left.
var console = []struct {
	args  string
	empty bool // after the members have left
}{
	{"--list", false},
	{"--list --state", false},
	{"--list --type", false},
	{"--describe --group group-franz", false},
	{"--describe --group group-franz --members", false},
	{"--describe --group group-franz --members --verbose", false},
	{"--describe --group group-franz --state", false},
	{"--describe --group group-franz-848", false},
	{"--describe --group group-franz-848 --members", false},
	{"--describe --group group-franz-848 --members --verbose", false},
	{"--describe --group group-franz-848 --state", false},
	{"--describe --group nobody", false},
	{"--delete --group group-franz", false},
	{"--reset-offsets --group group-franz --topic of-franz --to-earliest --dry-run", false},
	{"--delete-offsets --group group-franz-848 --topic of-franz-848", false},
	{"--list --state empty", true},
	{"--describe --group group-franz", true},
	{"--describe --group group-franz-848 --state", true},
	{"--reset-offsets --group group-franz --topic of-franz --to-earliest --dry-run", true},
	{"--reset-offsets --group group-franz --topic of-franz:1,2 --shift-by -2 --execute", true},
	{"--reset-offsets --group group-franz-848 --all-topics --to-offset 1 --execute", true},
	{"--reset-offsets --group group-franz --topic of-franz --to-datetime 2001-01-01T00:00:00.000 --execute", true},
	{"--describe --group group-franz", true},
	{"--delete-offsets --group group-franz --topic of-franz", true},
	{"--delete --group group-franz --group group-franz-848 --group nobody", true},
	{"--list", true},
}

// ids are member ids, addresses of coordinators, and the widths of columns that follow from them.
var ids = regexp.MustCompile(`[\w.-]+-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[\w+/-]{22}(==)?\b|127\.0\.0\.1:\d+`)

func plain(text string) string {
	lines := strings.Split(ids.ReplaceAllString(text, "ID"), "\n")
	var kept []string
	for _, l := range lines {
		if l = strings.Join(strings.Fields(l), " "); l != "" && !strings.HasPrefix(l, "SLF4J") {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

// Apache Kafka's own tool prints for Kelp what it prints for Apache Kafka.
func TestConsoleToolPrintsWhatItPrintsForApacheKafka(t *testing.T) {
	sides := []*side{{t: t, kind: harness.Kafka}, {t: t, kind: harness.Target()}}
	var wg sync.WaitGroup
	for _, s := range sides {
		s.prepare()
	}
	for _, s := range sides {
		wg.Go(func() { s.run(false) })
	}
	wg.Wait()
	for _, s := range sides {
		s.fleet.stopAll()
		wg.Go(func() { s.run(true) })
	}
	wg.Wait()
	for _, c := range console {
		key := key(c.args, c.empty)
		if want, got := sides[0].output[key], sides[1].output[key]; want != got {
			t.Errorf("%s prints\n%s\nand for Apache Kafka\n%s", key, got, want)
		}
	}
}

func key(args string, empty bool) string {
	if empty {
		return args + " (without members)"
	}
	return args
}

// prepare starts a server with a classic and a consumer group, one member each, that have read 20 records of 4 partitions.
func (s *side) prepare() {
	t := s.t
	dir := t.TempDir()
	b, err := harness.OpenWith(s.kind, dir, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	s.output = map[string]string{}
	s.fleet = &fleet{t: t, broker: b, member: filepath.Join(dir, "member")}
	if out, err := exec.Command("go", "build", "-o", s.fleet.member, "./member").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cl := s.fleet.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for _, name := range []string{"franz", "franz-848"} {
		g := &group{client: name, topic: "of-" + name, seen: map[int]int{}}
		s.fleet.groups = append(s.fleet.groups, g)
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, g.topic); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			r := &kgo.Record{Topic: g.topic, Partition: int32(i % partitions), Value: []byte(strconv.Itoa(i))}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(s.fleet.killAll)
	s.fleet.start()
	s.fleet.wait("all is read", func(g *group) bool { return len(g.seen) == 20 })
	s.committed(cl)
}

// committed waits until the members have committed what they read.
func (s *side) committed(cl *kgo.Client) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, g := range s.fleet.groups {
		for {
			sum := int64(0)
			offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, "group-"+g.client)
			offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
			if sum == 20 {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				s.t.Fatalf("%s has committed up to %d: %v", g.client, sum, err)
			}
		}
	}
}

func (s *side) run(empty bool) {
	var lines, keys []string
	for _, c := range console {
		if c.empty == empty {
			lines, keys = append(lines, c.args), append(keys, key(c.args, c.empty))
		}
	}
	cmd := exec.CommandContext(s.t.Context(), "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", filepath.Join(foreign.Root(), ".cache", "kafka", "libs", "*"),
		filepath.Join(foreign.Root(), "e2e", "groups", "drivers", "Console.java"), s.fleet.broker.Addr)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := cmd.Output()
	printed := strings.Split(string(out), "\n====\n")
	if err != nil || len(printed) != len(keys)+1 {
		s.t.Errorf("%d of %d commands ran: %v", len(printed)-1, len(keys), err)
		return
	}
	for i, k := range keys {
		s.output[k] = plain(printed[i])
	}
}
