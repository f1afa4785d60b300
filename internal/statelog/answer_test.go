package statelog

import (
	"context"
	"errors"
	"sync"
	"testing"

	"kelp/internal/storage/embedded"
)

func TestAnAnswerTellsOnceThatItIsThere(t *testing.T) {
	told := 0
	early := &Answer{}
	early.Notify(func() { told++ })
	if told != 0 {
		t.Fatal("told before there was anything")
	}
	early.give(1, nil)
	early.give(2, ErrMoved)
	if got, err := early.Wait(t.Context()); got != 1 || err != nil || told != 1 {
		t.Fatalf("%v, %v, told %d times", got, err, told)
	}
	early.Notify(func() { told++ })
	if told != 2 {
		t.Fatal("not told of what is there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Answer{}).Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// However a submission meets the end of the runner, whoever was promised to be told is told.
func TestEveryAnswerIsGivenWhenTheRunnerEnds(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 20 {
		r, err := Open(t.Context(), Options[*counter]{Log: opener(t, s), Fresh: func() *counter { return &counter{} }})
		if err != nil {
			t.Fatal(err)
		}
		var submitting, told sync.WaitGroup
		silent := func(*counter, Input) Effects { return Effects{} } // waits until the end
		for range 4 {
			submitting.Go(func() {
				for range 50 {
					told.Add(2)
					r.Submit((*counter).add).Notify(told.Done)
					a := r.Submit(silent)
					go func() {
						defer told.Done()
						if _, err := a.Wait(context.Background()); !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
					}()
				}
			})
		}
		r.Close()
		submitting.Wait()
		told.Wait()
	}
}
