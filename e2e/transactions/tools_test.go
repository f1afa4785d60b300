package transactions

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// tool runs a command line and gives what it prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func kafkaTransactions(t *testing.T, addr string, args ...string) string {
	t.Helper()
	libs := filepath.Join(foreign.Root(), ".cache", "kafka", "libs", "*")
	return tool(t, "java", append([]string{"-Xmx256m", "-cp", libs, "org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", addr}, args...)...)
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// An operator finds open transactions and ends them, with Apache Kafka's tool and with kelp txn.
func TestOperatorsEndTransactions(t *testing.T) {
	ctx, b := start(t, "t")
	open := func(id string) *kgo.Client {
		c := client(t, b.Addr, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("open")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := open("first") // at offset 0
	wants(t, kafkaTransactions(t, b.Addr, "list"), "first", "Ongoing")
	wants(t, kafkaTransactions(t, b.Addr, "describe", "--transactional-id", "first"), "Ongoing", "t-0")
	if found := kafkaTransactions(t, b.Addr, "find-hanging", "--broker-id", "1"); strings.Contains(found, "first") {
		t.Errorf("it does not hang:\n%s", found)
	}
	kafkaTransactions(t, b.Addr, "abort", "--topic", "t", "--partition", "0", "--start-offset", "0")
	if got := committed(ctx, t, b.Addr, "t"); len(got) != 0 {
		t.Error(got)
	}
	if b.Kind == harness.Kafka {
		return
	}
	kelp := func(args ...string) string {
		return tool(t, b.Binary(), append([]string{"txn", "--server", b.Addr}, args...)...)
	}
	open("second") // at offset 2, after the marker
	wants(t, kelp("list", "--state", "Ongoing"), "second", "Ongoing")
	wants(t, kelp("describe", "second"), "transactional id second, Ongoing", "t  [0]")
	if found := kelp("abort", "--find", "--topic", "t"); strings.Count(found, "\n") != 1 {
		t.Errorf("nothing hangs:\n%s", found)
	}
	wants(t, kelp("abort", "--topic", "t", "--partition", "0", "--start-offset", "2"), "aborted the transaction of producer")
	open("third")
	wants(t, kelp("abort", "third"), "aborted the transaction of third")
	settled(ctx, t, first, "t")
	for !strings.Contains(kelp("list", "--state", "CompleteAbort"), "third") { // a moment after the last marker
		if ctx.Err() != nil {
			t.Fatalf("the end is not complete:\n%s", kelp("list"))
		}
	}
	if got := committed(ctx, t, b.Addr, "t"); len(got) != 0 {
		t.Error(fmt.Sprint(got))
	}
}
