package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// TestAFailedEditMaySurviveACrash: the sync of the chunk that holds a replacement fails. A power loss
// may keep that chunk all the same, so that the packed file it names stays until a later chunk has
// taken its place.
func TestAFailedEditMaySurviveACrash(t *testing.T) {
	disk := vfs.NewMem()
	var journalSyncs, failAt atomic.Int64
	var acknowledged, early atomic.Bool
	fs := &vfs.Faulty{FS: disk, Fault: func(op vfs.Op, name string) error {
		switch {
		case op == vfs.OpSync && strings.Contains(name, "journal-"):
			if journalSyncs.Add(1) == failAt.Load() {
				return errStorm
			}
		case op == vfs.OpRemove && strings.Contains(name, "packed-") && !acknowledged.Load():
			early.Store(true)
		}
		return nil
	}}
	s, err := Open("log", Options{Sync: true, FileBytes: 64 << 10, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := storage.Partition{Index: 1}
	if err := s.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	l, err := s.Open(t.Context(), p, storage.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := content{p: {}}
	for n := range int64(10) {
		want[p][n] = fmt.Sprint("batch ", n)
		if err := l.Append(storage.Batch{Base: n, Count: 1, Bytes: []byte(want[p][n])}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	with := func(yield func(storage.Batch, error) bool) {
		for n := int64(2); n < 8 && yield(storage.Batch{Base: n, Count: 1, Bytes: []byte(want[p][n])}, nil); n++ {
		}
	}
	failAt.Store(journalSyncs.Load() + 2) // the first is that of the break before it
	if err := l.(storage.Compactor).Replace(context.Background(), 2, 8, with); !errors.Is(err, errStorm) {
		t.Fatalf("replaced: %v", err)
	}
	for range 20 { // a chance to remove what nothing refers to
		s.wakeKeeper()
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // what must not happen cannot be waited for
	}
	for seed := range uint64(30) {
		crashed, err := Open("log", Options{Sync: true, FileBytes: 64 << 10, FS: disk.CrashClone(rand.New(rand.NewPCG(seed, 1)))})
		if err != nil {
			t.Fatal(err)
		}
		if damaged, err := served(crashed, want); err != nil || len(damaged) > 0 {
			t.Errorf("seed %d: damaged %v, %v", seed, damaged, err)
		}
		if err := crashed.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, func() bool { return s.Failed() == nil })
	if early.Load() {
		t.Error("the packed file went before a later chunk was durable")
	}
	acknowledged.Store(true)
	if l, err = s.Open(t.Context(), p, storage.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(storage.Batch{Base: 10, Count: 1, Bytes: []byte("later")}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		names, err := disk.List("log")
		return err == nil && !strings.Contains(strings.Join(names, " "), "packed-")
	})
}
