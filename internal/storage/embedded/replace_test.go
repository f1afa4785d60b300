package embedded

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// A caller that leaves while its replacement is on the way to the journal loses nothing: the new file stays.
func TestAReplacementWhoseCallerLeaves(t *testing.T) {
	var stop atomic.Bool
	var once sync.Once
	reached, goOn := make(chan struct{}), make(chan struct{})
	disk := &vfs.Faulty{FS: vfs.NewMem(), Fault: func(op vfs.Op, name string) error {
		if stop.Load() && op == vfs.OpWrite && strings.Contains(name, "journal") {
			once.Do(func() { close(reached) })
			<-goOn
		}
		return nil
	}}
	s, err := Open("log", Options{Sync: true, FileBytes: 1 << 20, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := storage.Partition{Topic: [16]byte{1}}
	if err := s.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	l, err := s.Open(t.Context(), p, storage.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const batches = 10
	for i := range int64(batches) {
		if err := l.Append(storage.Batch{Base: i, Count: 1, Bytes: []byte{byte(i)}}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	replaced := make(chan error)
	go func() {
		replaced <- l.(storage.Compactor).Replace(ctx, 0, batches-1, func(yield func(storage.Batch, error) bool) {
			yield(storage.Batch{Base: 5, Count: 1, Bytes: []byte("new")}, nil)
			stop.Store(true) // all that the journal gets from here on waits
		})
	}()
	<-reached
	leave()
	select {
	case <-replaced:
		close(goOn)
		t.Fatal("nobody protects the new file while the edit is on its way")
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"live", "after a start"} {
		span, err := l.Read(t.Context(), storage.ReadRange{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(when, err)
		}
		b, err := span.Bytes()
		if err != nil || string(b) != "new\t" {
			t.Fatalf("%s: %q, %v", when, b, err)
		}
		span.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open("log", Options{Sync: true, FileBytes: 1 << 20, FS: disk}); err != nil {
			t.Fatal(err)
		}
		if l, err = s.Open(t.Context(), p, storage.OpenOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
