package api

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func fetchRequest(session, epoch int32, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionID, req.SessionEpoch = 11, session, epoch
	if len(partitions) > 0 {
		t := kmsg.NewFetchRequestTopic()
		t.Topic = "t"
		for _, index := range partitions {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition = index
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func indexes(wants []*wanted) []int32 {
	var all []int32
	for _, w := range wants {
		all = append(all, w.Partition)
	}
	return all
}

func TestSessionsRememberWhatWasAskedFor(t *testing.T) {
	f := newFetchSessions(time.Now, 10)
	ask := func(req *kmsg.FetchRequest, want ...int32) *fetchSession {
		t.Helper()
		s, wants, err := f.begin(req)
		got := indexes(wants)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v, want %v", got, want)
			}
		}
		f.end(s)
		return s
	}
	id := ask(fetchRequest(0, 0, 1, 2), 1, 2).id
	ask(fetchRequest(id, 1), 1, 2)
	ask(fetchRequest(id, 2, 3), 1, 2, 3)
	forget := fetchRequest(id, 3)
	gone := kmsg.NewFetchRequestForgottenTopic()
	gone.Topic, gone.Partitions = "t", []int32{1}
	forget.ForgottenTopics = append(forget.ForgottenTopics, gone)
	ask(forget, 2, 3)
	refused := func(req *kmsg.FetchRequest, want *kerr.Error) {
		t.Helper()
		if _, _, err := f.begin(req); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	refused(fetchRequest(id, 3), kerr.InvalidFetchSessionEpoch)
	refused(fetchRequest(id+1, 1), kerr.FetchSessionIDNotFound)
	byID := fetchRequest(id, 4)
	byID.Version = 13
	refused(byID, kerr.FetchSessionTopicIDError)
	if s := ask(fetchRequest(id, -1, 7), 7); s != nil {
		t.Error("the final request made a session")
	}
	refused(fetchRequest(id, 4), kerr.FetchSessionIDNotFound)
}

func TestIncrementalAnswersHoldWhatChanged(t *testing.T) {
	f := newFetchSessions(time.Now, 10)
	s, wants, err := f.begin(fetchRequest(0, 0, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(high int64, code int16) *kmsg.FetchResponseTopicPartition {
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.ErrorCode = high, code
		return &p
	}
	sent := func(want bool, w *wanted, a *kmsg.FetchResponseTopicPartition, bytes int) {
		t.Helper()
		if got := s.worthSending(w, a, bytes); got != want {
			t.Errorf("partition %d: sent is %v, want %v", w.Partition, got, want)
		}
	}
	sent(true, wants[0], answer(5, 0), 0) // the first answer holds all
	f.end(s)
	if _, wants, err = f.begin(fetchRequest(s.id, 1)); err != nil {
		t.Fatal(err)
	}
	first := wants[0]
	sent(false, first, answer(5, 0), 0)
	sent(true, first, answer(6, 0), 0)
	sent(true, first, answer(6, 3), 0)
	sent(true, first, answer(6, 0), 0) // well again
	sent(false, first, answer(6, 0), 0)
	sent(true, first, answer(6, 0), 10)
	f.end(s)
	if _, wants, _ = f.begin(fetchRequest(s.id, 2)); wants[1] != first {
		t.Error("who gave records is still first: the others starve")
	}
}

func TestSessionsHaveSlots(t *testing.T) {
	now := time.UnixMilli(1)
	f := newFetchSessions(func() time.Time { return now }, 1)
	first, _, _ := f.begin(fetchRequest(0, 0, 1))
	f.end(first)
	if s, wants, err := f.begin(fetchRequest(0, 0, 1)); s != nil || err != nil || len(wants) != 1 {
		t.Fatalf("%v %v: a fetch without a slot is served without a session", s, err)
	}
	now = now.Add(fetchSessionEviction)
	if s, _, _ := f.begin(fetchRequest(0, 0, 1)); s == nil {
		t.Error("an idle session kept its slot")
	}
}
