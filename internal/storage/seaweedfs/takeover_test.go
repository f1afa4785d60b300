package seaweedfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kelp/internal/storage"
)

// TestTakeoversLoseNothing runs nodes one after the other on a SeaweedFS that loses calls: some
// are closed, some just vanish, some are paused in the middle of a call, taken over from, and go
// on later. What was acknowledged must be there, in order, once, and nothing that was never
// appended.
func TestTakeoversLoseNothing(t *testing.T) {
	for seed := range uint64(30) {
		if !t.Run("", func(t *testing.T) { takeovers(t, seed) }) {
			t.Fatalf("seed %d fails", seed)
		}
	}
}

// history is what one partition's appends were told.
type history struct {
	appended map[uint64]bool
	acked    []uint64 // in the order of their offsets
}

func takeovers(t *testing.T, seed uint64) {
	s := newSim(seed)
	random := rand.New(rand.NewPCG(seed, 2))
	s.faults = []float64{0, 0.02, 0.2}[random.IntN(3)]
	o := quick()
	o.Patience, o.SettleBytes, o.SnapshotChunks = 2*time.Second, 200, 10
	if random.IntN(2) == 0 {
		o.Window = time.Millisecond
	}
	parts := []storage.Partition{{Topic: [16]byte{1}}, {Topic: [16]byte{2}, Index: 1}}
	told := make([]history, len(parts))
	for i := range told {
		told[i].appended = map[uint64]bool{}
	}
	value := uint64(0)
	var paused []func()
	for epoch := range int32(6) {
		way := &node{s}
		st, err := Open(t.Context(), way, o)
		if err != nil {
			t.Fatal(err)
		}
		logs := make([]storage.Log, len(parts))
		for i, p := range parts {
			if err := st.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if logs[i], err = st.Open(t.Context(), p, storage.OpenOptions{Epoch: epoch}); err != nil {
				t.Fatal(err)
			}
			told[i].check(t, logs[i])
		}
		type sent struct {
			part int
			v    uint64
			p    storage.Pending
		}
		var pending []sent
		next := make([]int64, len(parts))
		for i := range logs {
			_, next[i] = logs[i].Bounds()
		}
		pausing, appends := random.IntN(3) == 0, 1+random.IntN(60)
		pauseAt := random.IntN(appends)
		for n := range appends {
			if pausing && n == pauseAt {
				goOn := make(chan struct{})
				s.mu.Lock()
				s.frozen[way] = goOn
				s.mu.Unlock()
				paused = append(paused, func() {
					close(goOn)
					s.mu.Lock()
					delete(s.frozen, way)
					s.mu.Unlock()
					<-st.Lost() // its create meets a fence
					_ = st.Close()
				})
			}
			i := random.IntN(len(parts))
			value++
			b := make([]byte, []int{8, 100, inlineBytes + 1}[random.IntN(3)])
			binary.BigEndian.PutUint64(b, value)
			told[i].appended[value] = true
			pending = append(pending, sent{i, value, logs[i].Append(storage.Batch{Base: next[i], Count: 1, Bytes: b})})
			next[i]++
		}
		for _, a := range pending {
			if pausing {
				select {
				case <-a.p.Done():
				default:
					continue
				}
			}
			if err := a.p.Wait(t.Context()); err == nil {
				told[a.part].acked = append(told[a.part].acked, a.v)
			} else if !errors.Is(err, storage.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		switch {
		case pausing:
			st.submit(&op{frame: frame{kind: kindCreate}, done: make(chan struct{})}) // so that it tries once more
		case random.IntN(2) == 0:
			_ = st.Close()
		default: // a crash: nothing more is said
			st.end()
			_ = st.Close()
		}
	}
	st, err := Open(t.Context(), &node{s}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, goOn := range paused {
		goOn()
	}
	for i, p := range parts {
		l, err := st.Open(t.Context(), p, storage.OpenOptions{Epoch: 100})
		if err != nil {
			t.Fatal(err)
		}
		told[i].check(t, l)
	}
}

// check reads a whole log against what was told.
func (h *history) check(t *testing.T, l storage.Log) {
	t.Helper()
	_, end := l.Bounds()
	var got []uint64
	for from := int64(0); from < end; {
		span, err := l.Read(context.Background(), storage.ReadRange{From: from, MaxBytes: 1 << 16, AtLeastOne: true})
		if err != nil {
			t.Fatal(err)
		}
		parts := span.(storage.Buffered).AppendBuffers(nil)
		for _, b := range parts {
			v := binary.BigEndian.Uint64(b)
			if !h.appended[v] || len(bytes.Trim(b[8:], "\x00")) > 0 {
				t.Fatalf("%d was never appended", v)
			}
			got = append(got, v)
		}
		if len(parts) == 0 {
			t.Fatalf("nothing at %d of %d", from, end)
		}
		from += int64(len(parts))
		span.Release()
	}
	if int64(len(got)) != end || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Fatalf("out of order, or twice: %v", got)
	}
	at := 0
	for _, v := range h.acked {
		for at < len(got) && got[at] != v {
			at++
		}
		if at == len(got) {
			t.Fatalf("acknowledged %d is not there: %v", v, got)
		}
	}
}
