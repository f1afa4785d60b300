package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

func open(t testing.TB, store storage.Store) (*Registry, *statelog.Runner[*schema.Machine]) {
	t.Helper()
	at := storage.Partition{Topic: [16]byte{4}}
	runner, err := statelog.Open(t.Context(), statelog.Options[*schema.Machine]{
		Log: func(ctx context.Context) (storage.Log, error) {
			if err := store.Create(ctx, at); err != nil {
				return nil, err
			}
			return store.Open(ctx, at, storage.OpenOptions{})
		},
		Fresh: schema.New,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	return New(Options{Steps: runner, Formats: []schema.Format{avro.Format{}}}), runner
}

func record(fields ...string) schema.Draft {
	var b strings.Builder
	b.WriteString(`{"type":"record","name":"R","fields":[`)
	for i, f := range fields {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"name":%q,"type":"int","default":0}`, f)
	}
	b.WriteString("]}")
	return schema.Draft{Type: schema.Avro, Text: b.String(), ID: schema.NoID}
}

// 32 writers register the same and different schemas in the same and different subjects at once: one
// id for each schema, versions without a gap, and everybody is told the same.
func TestManyWriters(t *testing.T) {
	const writers, rounds = 32, 10
	r, _ := open(t, memory.New())
	var mu sync.Mutex
	ids := map[string]int32{}         // by text
	versions := map[string][]string{} // by subject, in order
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for round := range rounds {
				subject := fmt.Sprintf("s%d", (w+round)%3)
				d := record(fmt.Sprintf("f%d", round), fmt.Sprintf("g%d", w%4))
				v, err := r.Register(t.Context(), subject, d, false)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if known, ok := ids[v.Text]; ok && known != v.ID {
					t.Errorf("%s has the ids %d and %d", v.Text, known, v.ID)
				}
				ids[v.Text] = v.ID
				for len(versions[subject]) < int(v.Number) {
					versions[subject] = append(versions[subject], "")
				}
				if known := versions[subject][v.Number-1]; known != "" && known != v.Text {
					t.Errorf("version %d of %s is two schemas", v.Number, subject)
				}
				versions[subject][v.Number-1] = v.Text
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for subject, texts := range versions {
		seen := map[string]bool{}
		for i, text := range texts {
			if text == "" || seen[text] {
				t.Errorf("%s has a gap or a repetition at version %d", subject, i+1)
			}
			seen[text] = true
		}
		if listed, err := r.Versions(t.Context(), subject, schema.WithDeleted); err != nil || len(listed) != len(texts) {
			t.Errorf("%s lists %d versions, %d were given out: %v", subject, len(listed), len(texts), err)
		}
	}
	if highest, _ := r.MaxID(t.Context(), ""); int(highest) != len(ids) {
		t.Errorf("%d schemas took ids up to %d", len(ids), highest)
	}
}

// Everything that was answered is there after reopening the log, with its id and number.
func TestReopening(t *testing.T) {
	store := memory.New()
	r, runner := open(t, store)
	var want []*schema.Version
	for i := range 50 {
		v, err := r.Register(t.Context(), fmt.Sprintf("s%d", i%7), record(fmt.Sprintf("f%d", i)), false)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, v)
	}
	runner.Close()
	if _, err := r.ByID(t.Context(), "", 1); schema.CodeOf(err) != schema.CodeStore {
		t.Error(err)
	}
	r, _ = open(t, store)
	for _, w := range want {
		v, err := r.Version(t.Context(), w.Subject, w.Number)
		if err != nil || v.ID != w.ID || v.GUID != w.GUID || v.TimestampMs < w.TimestampMs {
			t.Errorf("%+v, want %+v: %v", v, w, err)
		}
	}
}

// A registration that waits for its turn ends with its context.
func TestWaitingEndsWithTheContext(t *testing.T) {
	r, _ := open(t, memory.New())
	leave, err := r.queues.enter(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.Register(ctx, "s", record("a"), false)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	leave()
	if _, err := r.Register(t.Context(), "s", record("a"), false); err != nil || len(r.queues.queues) != 0 {
		t.Error(err, r.queues.queues)
	}
}

func TestTheParsedCacheIsBounded(t *testing.T) {
	var c parsedCache
	c.init(2, 100)
	put := func(b byte, bytes int) { c.put(parsedKey{b}, nil, bytes) }
	put(1, 10)
	put(2, 10)
	put(2, 10)
	put(3, 10)
	if c.used.Len() != 2 || c.bytes != 20 || c.byKey[parsedKey{1}] != nil {
		t.Error(c.used.Len(), c.bytes)
	}
	put(4, 1000)
	if c.used.Len() != 0 || c.bytes != 0 || len(c.byKey) != 0 {
		t.Error(c.used.Len(), c.bytes)
	}
}

// What one writer is doing does not make the plans of another stale for ever, even when the global
// config changes all the time.
func TestRegistrationsEndWhileTheConfigChanges(t *testing.T) {
	r, _ := open(t, memory.New())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.SetConfig(t.Context(), "", schema.ConfigUpdate{"alias": []byte(fmt.Sprintf(`"a%d"`, i))}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 20 {
		if _, err := r.Register(t.Context(), "s", record(fmt.Sprintf("f%d", i)), false); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkRegister(b *testing.B) {
	r, _ := open(b, memory.New())
	i := 0
	for b.Loop() {
		i++
		if _, err := r.Register(b.Context(), fmt.Sprintf("s%d", i), record(fmt.Sprintf("f%d", i)), false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRegisterAgain(b *testing.B) {
	r, _ := open(b, memory.New())
	for b.Loop() {
		if _, err := r.Register(b.Context(), "s", record("a", "b", "c"), false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkByID(b *testing.B) {
	r, _ := open(b, memory.New())
	if _, err := r.Register(b.Context(), "s", record("a", "b", "c"), false); err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := r.ByID(b.Context(), "", 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
