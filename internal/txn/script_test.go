package txn

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

var update = flag.Bool("update", false, "rewrite the effects in testdata/*.txt")

// TestScripts runs testdata/*.txt: each block is a command, ---- and all effects of its step.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("want\n%s\ngot\n%s", text, got)
			}
		})
	}
}

func runScript(t *testing.T, text string) string {
	t.Helper()
	s := &script{t: t, m: New(Defaults(), epochBumped), now: time.UnixMilli(1_000_000)}
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		command, _, _ := strings.Cut(block, "\n----")
		var effects []string
		for line := range strings.SplitSeq(command, "\n") {
			if !strings.HasPrefix(line, "#") {
				effects = append(effects, s.run(line)...)
			}
		}
		out = append(out, command+"\n----\n"+strings.Join(effects, "\n"))
	}
	return strings.Join(out, "\n\n") + "\n"
}

// script is a machine with a clock and names for its tickets.
type script struct {
	t      *testing.T
	m      *Machine
	now    time.Time
	ticket statelog.Ticket
	calls  []WriteMarkers // not yet done, oldest first
	args   map[string]string
}

func (s *script) run(line string) []string {
	s.t.Helper()
	words := strings.Fields(line)
	s.args = map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		s.args[k] = v
	}
	s.ticket++
	in := statelog.Input{Now: s.now, Ticket: s.ticket}
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		return nil
	case "restart":
		s.m = s.copy()
		return s.show(s.m.Loaded(in))
	}
	e, known := s.step(words[0], in)
	if !known {
		s.t.Fatalf("unknown command %q", line)
	}
	return s.show(e)
}

// copy is a machine rebuilt from the records of this one, as after a restart.
func (s *script) copy() *Machine {
	m := New(s.m.o, s.m.level)
	for r := range s.m.Records() {
		if err := m.Apply(r); err != nil {
			s.t.Fatal(err)
		}
	}
	return m
}

func (s *script) step(command string, in statelog.Input) (statelog.Effects, bool) {
	version := int16(s.number("v", 4))
	by := Producer{s.args["id"], s.number("pid", -1), int16(s.number("epoch", -1))}
	switch command {
	case "init":
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = version, &by.TransactionalID, int32(s.number("timeout", 60_000))
		req.ProducerID, req.ProducerEpoch = by.ID, by.Epoch
		return s.m.InitProducerID(in, req, s.number("fresh", -1)), true
	case "add":
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = int16(s.number("v", 3))
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = by.TransactionalID, by.ID, by.Epoch
		for _, p := range s.partitions() {
			topic := kmsg.NewAddPartitionsToTxnRequestTopic()
			topic.Topic, topic.Partitions = p.Topic, []int32{p.Index}
			req.Topics = append(req.Topics, topic)
		}
		return s.m.AddPartitions(in, req), true
	case "batch", "verifybatch":
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = 5
		txn := kmsg.NewAddPartitionsToTxnRequestTransaction()
		txn.TransactionalID, txn.ProducerID, txn.ProducerEpoch, txn.VerifyOnly = by.TransactionalID, by.ID, by.Epoch, command == "verifybatch"
		for _, p := range s.partitions() {
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic, topic.Partitions = p.Topic, []int32{p.Index}
			txn.Topics = append(txn.Topics, topic)
		}
		req.Transactions = append(req.Transactions, txn)
		return s.m.AddPartitions(in, req), true
	case "offsets":
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version = version
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = by.TransactionalID, by.ID, by.Epoch, "g"
		return s.m.AddOffsets(in, req, Partition{"__consumer_offsets", 0}), true
	case "join":
		return s.m.Join(in, by, s.partitions()...), true
	case "verify":
		return s.m.Verify(in, by, s.partitions()...), true
	}
	return s.later(command, in, by)
}

func (s *script) later(command string, in statelog.Input, by Producer) (statelog.Effects, bool) {
	switch command {
	case "commit", "abort":
		req := kmsg.NewPtrEndTxnRequest()
		req.Version, req.Commit = int16(s.number("v", 5)), command == "commit"
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = by.TransactionalID, by.ID, by.Epoch
		return s.m.EndTxn(in, req, s.number("fresh", -1)), true
	case "written":
		call := s.calls[0]
		s.calls = s.calls[1:]
		return s.m.MarkersWritten(in, call), true
	case "timeout":
		key := s.args["key"]
		if id, held := s.args["held"]; held {
			key = holdKey(id)
		}
		return s.m.Timeout(in, key), true
	case "epoch": // as if so many transactions had passed
		t := s.m.byID[by.TransactionalID]
		t.epoch = int16(s.number("to", 0))
		return statelog.Effects{Records: []statelog.Record{t.record(s.m.level)}}, true
	case "level":
		return s.m.SetLevel(in, int16(s.number("to", 0))), true
	case "list":
		req := kmsg.NewPtrListTransactionsRequest()
		req.Version, req.DurationFilterMillis = 2, s.number("longer", -1)
		if state, given := s.args["state"]; given {
			req.StateFilters = strings.Split(state, ",")
		}
		if pattern, given := s.args["pattern"]; given {
			req.TransactionalIDPattern = &pattern
		}
		if _, given := s.args["pid"]; given {
			req.ProducerIDFilters = []int64{by.ID}
		}
		return s.m.List(in, req), true
	case "describe":
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{by.TransactionalID}
		return s.m.Describe(in, req), true
	}
	return statelog.Effects{}, false
}

func (s *script) number(key string, standard int64) int64 {
	text, given := s.args[key]
	if !given {
		return standard
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) partitions() []Partition {
	var out []Partition
	for p := range strings.SplitSeq(s.args["in"], ",") {
		topic, index, _ := strings.Cut(p, "/")
		n, err := strconv.ParseInt(index, 10, 32)
		if err != nil {
			s.t.Fatalf("%q: %v", p, err)
		}
		out = append(out, Partition{topic, int32(n)})
	}
	return out
}

// show applies what a step decided, as the runner does, and tells all of it.
func (s *script) show(e statelog.Effects) []string {
	s.t.Helper()
	var out []string
	for _, r := range e.Records {
		if err := s.m.Apply(r); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, "record "+describeRecord(s.t, r))
	}
	for _, r := range e.Replies {
		out = append(out, fmt.Sprintf("reply %d: %s", r.To, describeReply(r)))
	}
	for _, c := range e.Calls {
		w := c.(WriteMarkers)
		s.calls = append(s.calls, w)
		out = append(out, fmt.Sprintf("write markers %s %d/%d commit=%t version=%d in=%s",
			w.TransactionalID, w.ID, w.Epoch, w.Commit, w.Version, listed(w.Partitions)))
	}
	for _, tm := range e.Timers {
		at := "cancelled"
		if !tm.At.IsZero() {
			at = "in " + tm.At.Sub(s.now).String()
		}
		out = append(out, fmt.Sprintf("timer %q %s", tm.Key, at))
	}
	for _, n := range e.Notes {
		out = append(out, "note "+n)
	}
	if again := s.copy(); !reflect.DeepEqual(again.byID, s.m.byID) {
		s.t.Errorf("records rebuild %+v, live is %+v", again.byID, s.m.byID)
	}
	return out
}

func listed(all []Partition) string {
	var text []string
	for _, p := range all {
		text = append(text, fmt.Sprintf("%s/%d", p.Topic, p.Index))
	}
	return strings.Join(text, ",")
}

func describeRecord(t *testing.T, r statelog.Record) string {
	t.Helper()
	if r.Value == nil {
		return string(r.Key[4:]) + " gone"
	}
	m := New(Defaults(), 0)
	if err := m.Apply(r); err != nil {
		t.Fatal(err)
	}
	for _, x := range m.byID {
		text := fmt.Sprintf("v%d %s %s %d/%d", r.Value[1], x.id, x.state, x.producerID, x.epoch)
		if x.previousID != x.producerID {
			text += fmt.Sprintf(" previous=%d", x.previousID)
		}
		if x.nextID != -1 {
			text += fmt.Sprintf(" next=%d", x.nextID)
		}
		return text + fmt.Sprintf(" timeout=%d started=%d version=%d in=%s", x.timeoutMs, x.startedMs, x.version, listed(x.partitions))
	}
	panic("no transaction")
}

func describeReply(r statelog.Reply) string {
	code := func(c int16) string {
		if c == 0 {
			return "ok"
		}
		return strings.TrimSuffix(strings.Fields(kerr.ErrorForCode(c).Error())[0], ":")
	}
	switch resp := r.Response.(type) {
	case nil:
		if r.Err == nil {
			return "ok"
		}
		return "error " + strings.TrimSuffix(strings.Fields(r.Err.Error())[0], ":")
	case []bool:
		return fmt.Sprint(resp)
	case *kmsg.InitProducerIDResponse:
		return fmt.Sprintf("%s %d/%d", code(resp.ErrorCode), resp.ProducerID, resp.ProducerEpoch)
	case *kmsg.EndTxnResponse:
		return fmt.Sprintf("%s %d/%d", code(resp.ErrorCode), resp.ProducerID, resp.ProducerEpoch)
	case *kmsg.AddOffsetsToTxnResponse:
		return code(resp.ErrorCode)
	case *kmsg.AddPartitionsToTxnResponse:
		var all []string
		for _, topic := range resp.Topics {
			all = append(all, code(topic.Partitions[0].ErrorCode))
		}
		for _, txn := range resp.Transactions {
			for _, topic := range txn.Topics {
				all = append(all, code(topic.Partitions[0].ErrorCode))
			}
		}
		return strings.Join(slices.Compact(all), " ")
	case *kmsg.ListTransactionsResponse:
		text := code(resp.ErrorCode)
		for _, x := range resp.TransactionStates {
			text += fmt.Sprintf(" [%s %d %s]", x.TransactionalID, x.ProducerID, x.TransactionState)
		}
		if resp.UnknownStateFilters != nil {
			text += fmt.Sprintf(" unknown=%q", resp.UnknownStateFilters)
		}
		return text
	case *kmsg.DescribeTransactionsResponse:
		x := resp.TransactionStates[0]
		return fmt.Sprintf("%s %s %d/%d timeout=%d started=%d %v", code(x.ErrorCode), x.State, x.ProducerID, x.ProducerEpoch,
			x.TimeoutMillis, x.StartTimestamp, x.Topics)
	}
	panic(fmt.Sprintf("%T", r.Response))
}
