package transactions

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/transactions/copiers"
)

var (
	duration = flag.Duration("for", 12*time.Second, "how long to kill the server again and again")
	seed     = flag.Uint64("seed", 0, "repeats the choice of moments of an earlier run; 0 draws one")
)

// clients under which the server is killed: two languages, both protocols.
var clients = []string{"franz", "confluent"}

// No acknowledged commit is lost, no aborted record seen, nothing comes twice, however often the server is killed.
func TestKillUnderTransactions(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("repeat with: go test ./transactions -run %s -seed %d -for %s", t.Name(), *seed, *duration)
	random := rand.New(rand.NewPCG(*seed, 0))
	ctx, b := start(t)
	filler := client(t, b.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var running []*copiers.Copier
	for _, name := range clients {
		for _, topic := range []string{"from-" + name, "to-" + name} {
			if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, topic, copiers.Partitions); err != nil {
				t.Fatal(err)
			}
		}
		job := copiers.Copy{Addr: b.Addr, ID: name, Group: name, From: "from-" + name, To: "to-" + name}
		running = append(running, copiers.Start(t, name, job))
	}
	written, kills := 0, 0
	for end := time.Now().Add(*duration); time.Now().Before(end); kills++ {
		const more = 40
		for _, name := range clients {
			if err := copiers.Fill(ctx, filler, "from-"+name, written, more); err != nil {
				t.Fatal(err)
			}
		}
		written += more
		select {
		case <-time.After(time.Duration(random.Int64N(int64(3 * time.Second)))):
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := b.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range clients {
		if err := copiers.Check(ctx, b.Addr, "to-"+name, written); err != nil {
			t.Errorf("%s: %v\n%s", name, err, running[i].Said())
		}
	}
	t.Logf("%d kills, %d records copied by each client", kills, written*copiers.Partitions)
}
