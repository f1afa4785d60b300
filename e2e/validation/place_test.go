// Package validation lets real clients produce good and bad records into topics with schema validation and compares what
// each is told, and what is stored, with a table.
package validation

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/harness"
)

// patience bounds a wait that takes seconds, or on a busy machine, where a JVM starts slowly, minutes.
const patience = 4 * time.Minute

// place is a broker with its registry.
type place struct {
	broker   *harness.Broker
	registry *sr.Client
	kafka    string
	http     string
}

// open starts a broker with its data in dir.
func open(dir, registry string, flags ...string) (*place, error) {
	b, err := harness.OpenWith(harness.Kelp, dir, harness.Options{KelpFlags: append([]string{"--registry", registry}, flags...)})
	if err != nil {
		return nil, err
	}
	p := &place{broker: b, kafka: b.Addr, http: "http://" + registry}
	p.registry, err = sr.NewClient(sr.URLs(p.http))
	return p, err
}

// start starts a broker of a test's own.
func start(t *testing.T, flags ...string) *place {
	t.Helper()
	p, err := open(t.TempDir(), harness.FreeAddr(t), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// shared is one broker for all tests that do nothing to it.
var shared struct {
	sync.Once
	p   *place
	err error
	dir string
}

func server(t *testing.T) *place {
	t.Helper()
	shared.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "validation"); shared.err == nil {
			shared.p, shared.err = open(shared.dir, harness.FreeAddr(t))
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.p
}

var names atomic.Int64

// unused makes a name that no test has used.
func unused(name string) string { return fmt.Sprintf("%s-%d", name, names.Add(1)) }

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.p != nil {
		if err := shared.p.broker.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(shared.dir)
	os.Exit(code)
}

func (p *place) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.kafka), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (p *place) createTopic(t *testing.T, name string, configs ...string) {
	t.Helper()
	set := map[string]*string{}
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		set[key] = &value
	}
	made, err := kadm.NewClient(p.client(t)).CreateTopic(t.Context(), 1, 1, set, name)
	if err == nil {
		err = made.Err
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, made.ErrMessage)
	}
}

// schema is one that is registered: its id and guid.
type schema struct {
	id   int
	guid []byte
}

func (p *place) register(t *testing.T, subject string, kind sr.SchemaType, text string) schema {
	t.Helper()
	made, err := p.registry.CreateSchema(t.Context(), subject, sr.Schema{Schema: text, Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	guid, err := hex.DecodeString(strings.ReplaceAll(made.GUID, "-", ""))
	if err != nil || len(guid) != 16 {
		t.Fatalf("guid %q: %v", made.GUID, err)
	}
	return schema{made.ID, guid}
}

// framed puts the prefix of an id before a payload.
func framed(id int, payload ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)
}

// header is the value of the record header that carries a guid.
func header(guid []byte, indexes ...byte) []byte {
	return append(append([]byte{1}, guid...), indexes...)
}
