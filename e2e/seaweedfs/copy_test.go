package seaweedfs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/harness"
)

// TestCopy moves everything from a folder to SeaweedFS and back, killed on the way, and reads it with a client.
func TestCopy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w := harness.StartSeaweedFS(t)
	first, third := t.TempDir(), t.TempDir()

	p := serve(t, first, harness.InFolder...)
	p.fill(ctx, t)
	want := p.everything(ctx, t)
	if _, err := p.copy(ctx, filepath.Join(first, "data"), w.Store("refused")); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("a copy of a folder that a server has: %v", err)
	}
	p.stop(t)

	other := t.TempDir()
	q := serve(t, other, harness.InFolder...)
	_, err := kadm.NewClient(q.client(t)).CreateTopic(ctx, 1, 1, nil, "other")
	must(t, err)
	q.stop(t)
	other = filepath.Join(other, "data")
	store := p.killedTwice(ctx, t, filepath.Join(first, "data"), other, func(n int) string { return w.Store(fmt.Sprint("copied-", n)) })
	out, err := p.copy(ctx, filepath.Join(first, "data"), store)
	if err != nil || !strings.HasPrefix(out, "copied and compared: ") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)

	p = serve(t, t.TempDir(), "--store", store)
	same(t, "on SeaweedFS", want, p.everything(ctx, t))
	p.more(ctx, t)
	want = p.everything(ctx, t)
	if _, err := p.copy(ctx, store, filepath.Join(third, "refused")); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("a copy of a store that a server has: %v", err)
	}
	p.stop(t)

	back := p.killedTwice(ctx, t, store, other, func(n int) string { return filepath.Join(third, fmt.Sprint(n), "data") })
	if out, err = p.copy(ctx, store, back); err != nil {
		t.Fatal(err)
	}
	t.Log(out)
	p = serve(t, filepath.Dir(back), harness.InFolder...)
	same(t, "back in a folder", want, p.everything(ctx, t))
	p.more(ctx, t)
}

// place is a server with its registry.
type place struct {
	*harness.Broker
	registry string
}

// serve starts a server; an empty --store is the folder, whatever the environment says.
func serve(t *testing.T, dir string, flags ...string) *place {
	t.Helper()
	address := harness.FreeAddr(t)
	b, err := harness.OpenWith(harness.Kelp, dir, harness.Options{KelpFlags: append([]string{"--registry", address}, flags...)})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{b, "http://" + address}
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *place) stop(t *testing.T) {
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func (p *place) copy(ctx context.Context, from, to string) (string, error) {
	var said bytes.Buffer
	c := exec.CommandContext(ctx, p.Binary(), "copy", "--from", from, "--to", to)
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("kelp copy: %w: %s", err, said.String())
	}
	return string(out), err
}

// killedTwice leaves half a copy behind: killed once while it copies and once while it compares. Where a copy was quicker than the
// kill, it begins anew in another place.
func (p *place) killedTwice(ctx context.Context, t *testing.T, from, other string, to func(n int) string) string {
	t.Helper()
	for n := 0; ; n++ {
		store := to(n)
		if p.killed(ctx, t, "copying", from, store) && p.unfinished(ctx, t, other, store) &&
			p.killed(ctx, t, "verifying", from, store) && p.unfinished(ctx, t, other, store) {
			flags := []string{"serve", "--listen", "127.0.0.1:0", "--http", "", "--registry", "", "--data", t.TempDir(), "--store", store}
			if !strings.Contains(store, "://") {
				flags = append(flags[:len(flags)-4], "--data", store)
			}
			out, err := exec.CommandContext(ctx, p.Binary(), flags...).CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("unfinished copy")) {
				t.Fatalf("a server started on half a copy: %v\n%s", err, out)
			}
			return store
		}
		t.Logf("the copy to %s was quicker than its kill", store)
	}
}

// unfinished says whether a store holds half a copy: the copy of another source does not go on in its place, with a reason.
func (p *place) unfinished(ctx context.Context, t *testing.T, other, store string) bool {
	t.Helper()
	_, err := p.copy(ctx, other, store)
	switch {
	case err != nil && strings.Contains(err.Error(), "unfinished copy of another store"):
		return true
	case err != nil && strings.Contains(err.Error(), "not empty"):
		return false
	}
	t.Fatalf("a copy of another source in its place: %v", err)
	return false
}

// killed runs a copy and kills it as soon as it says that a phase began; false when it ended before.
func (p *place) killed(ctx context.Context, t *testing.T, phase, from, to string) bool {
	t.Helper()
	c := exec.CommandContext(ctx, p.Binary(), "copy", "--from", from, "--to", to)
	said, err := c.StderrPipe()
	must(t, err)
	must(t, c.Start())
	lines, seen := bufio.NewScanner(said), false
	for !seen && lines.Scan() {
		seen = strings.HasPrefix(lines.Text(), phase)
		if !seen {
			t.Log(lines.Text())
		}
	}
	_ = c.Process.Kill()
	err = c.Wait()
	if !seen {
		t.Fatalf("a copy ended before it was %s: %v", phase, err)
	}
	return err != nil
}

func (p *place) client(t *testing.T, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(o, kgo.SeedBrokers(p.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes something of each kind that a server keeps.
func (p *place) fill(ctx context.Context, t *testing.T) {
	t.Helper()
	cl := p.client(t)
	adm := kadm.NewClient(cl)
	retention := "86400000"
	_, err := adm.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &retention}, "many")
	must(t, err)
	_, err = adm.CreateTopic(ctx, 1, 1, nil, "deleted")
	must(t, err)
	_, err = adm.CreateTopic(ctx, 1, 1, nil, "emptied")
	must(t, err)
	failed := func(_ *kgo.Record, err error) {
		if err != nil {
			t.Error(err)
		}
	}
	values := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	for i := range 300 {
		cl.Produce(ctx, &kgo.Record{
			Topic: "many", Partition: int32(i % 3), Key: fmt.Append(nil, "key ", i), Value: append(fmt.Append(nil, i, " "), values...),
			Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}},
		}, failed)
	}
	for i := range 50 {
		cl.Produce(ctx, &kgo.Record{Topic: "emptied", Value: fmt.Append(nil, i)}, failed)
	}
	must(t, cl.Flush(ctx))
	_, err = adm.DeleteTopics(ctx, "deleted")
	must(t, err)
	before := kadm.Offsets{}
	before.Add(kadm.Offset{Topic: "many", Partition: 1, At: 40})
	before.Add(kadm.Offset{Topic: "emptied", Partition: 0, At: 50})
	_, err = adm.DeleteRecords(ctx, before)
	must(t, err)
	p.commit(ctx, t, "readers", 17)
	p.transact(ctx, t, "a", kgo.TryCommit)
	p.transact(ctx, t, "b", kgo.TryAbort)
	p.register(ctx, t, `{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}`)
}

// more does what needs the state that was copied: another round of everything.
func (p *place) more(ctx context.Context, t *testing.T) {
	t.Helper()
	p.commit(ctx, t, "readers", 23)
	p.transact(ctx, t, "a", kgo.TryCommit)
	p.transact(ctx, t, "b", kgo.TryCommit)
	p.register(ctx, t, `{"type":"record","name":"r","fields":[{"name":"a","type":"string"},{"name":"b","type":"int","default":1}]}`)
}

func (p *place) commit(ctx context.Context, t *testing.T, group string, at int64) {
	t.Helper()
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: "many", Partition: 0, At: at, LeaderEpoch: -1, Metadata: "from here"})
	_, err := kadm.NewClient(p.client(t)).CommitOffsets(ctx, group, o)
	must(t, err)
}

func (p *place) transact(ctx context.Context, t *testing.T, value string, how kgo.TransactionEndTry) {
	t.Helper()
	cl := p.client(t, kgo.TransactionalID("mover"))
	must(t, cl.BeginTransaction())
	must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: "many", Partition: 2, Value: []byte("transaction " + value)}).FirstErr())
	must(t, cl.EndTransaction(ctx, how))
}

func (p *place) register(ctx context.Context, t *testing.T, schema string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"schema": schema})
	must(t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.registry+"/subjects/many-value/versions", bytes.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	p.ask(t, req)
}

func (p *place) ask(t *testing.T, req *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", req.Method, req.URL, resp.Status, b)
	}
	return string(b)
}

// everything is what a client can see, by name.
func (p *place) everything(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	adm := kadm.NewClient(p.client(t))
	all := map[string]string{}
	topics, err := adm.ListTopics(ctx)
	must(t, err)
	for _, topic := range topics.Sorted() {
		all["topic "+topic.Topic] = fmt.Sprint(topic.ID, len(topic.Partitions))
	}
	configs, err := adm.DescribeTopicConfigs(ctx, "many")
	must(t, err)
	for _, c := range configs[0].Configs {
		all["config "+c.Key] = c.MaybeValue()
	}
	start, err := adm.ListStartOffsets(ctx, "many", "emptied")
	must(t, err)
	end, err := adm.ListEndOffsets(ctx, "many", "emptied")
	must(t, err)
	start.Each(func(o kadm.ListedOffset) { all[fmt.Sprint("start ", o.Topic, o.Partition)] = fmt.Sprint(o.Offset) })
	end.Each(func(o kadm.ListedOffset) {
		all[fmt.Sprint("end ", o.Topic, o.Partition)] = fmt.Sprint(o.Offset)
		for _, level := range []kgo.IsolationLevel{kgo.ReadUncommitted(), kgo.ReadCommitted()} {
			from, _ := start.Lookup(o.Topic, o.Partition)
			p.read(ctx, t, o, from.Offset, level, all)
		}
	})
	offsets, err := adm.FetchOffsets(ctx, "readers")
	must(t, err)
	offsets.Each(func(o kadm.OffsetResponse) {
		all[fmt.Sprint("group ", o.Topic, o.Partition)] = fmt.Sprint(o.At, o.Metadata, o.Err)
	})
	txns, err := adm.DescribeTransactions(ctx, "mover")
	must(t, err)
	all["transactional id"] = fmt.Sprint(txns["mover"].ProducerID, txns["mover"].ProducerEpoch, txns["mover"].State)
	for _, at := range []string{"/subjects", "/subjects/many-value/versions", "/schemas/ids/1", "/subjects/many-value/versions/latest"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.registry+at, http.NoBody)
		must(t, err)
		all["registry "+at] = p.ask(t, req)
	}
	return all
}

// read notes every record of a partition.
func (p *place) read(ctx context.Context, t *testing.T, end kadm.ListedOffset, start int64, level kgo.IsolationLevel, all map[string]string) {
	t.Helper()
	if start == end.Offset {
		return
	}
	cl := p.client(t, kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		end.Topic: {end.Partition: kgo.NewOffset().At(start)},
	}))
	for last := int64(-1); last < end.Offset-1; {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			last = r.Offset
			value := r.Value[:min(len(r.Value), 40)]
			all[fmt.Sprintf("record %s %d %v %d", r.Topic, r.Partition, level, r.Offset)] = fmt.Sprintf("%s %s %d %v %v %d %d %v",
				r.Key, value, len(r.Value), r.Headers, r.Timestamp.UnixMilli(), r.ProducerID, r.ProducerEpoch, r.LeaderEpoch)
		})
	}
}

func same(t *testing.T, where string, want, got map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			t.Errorf("%s: %s is %q, was %q", where, k, got[k], want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: %s is new: %q", where, k, got[k])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	if len(want) < 300 {
		t.Fatalf("only %d things were compared", len(want))
	}
}
