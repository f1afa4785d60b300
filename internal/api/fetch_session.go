package api

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchSessionEviction is how long a session must have been idle to make room for another.
const fetchSessionEviction = 2 * time.Minute

// The session epochs that are not counted (org.apache.kafka.common.requests.FetchMetadata).
const (
	initialSessionEpoch = 0
	finalSessionEpoch   = -1
)

// wanted is one partition to read.
type wanted struct {
	topic string
	id    [16]byte
	kmsg.FetchRequestTopicPartition
	// What the session told last; -2 before the first answer.
	sentHighWatermark, sentLogStart int64
}

type wantedKey struct {
	topic string
	id    [16]byte
	index int32
}

func (w *wanted) key() wantedKey { return wantedKey{w.topic, w.id, w.Partition} }

// fetchSession is what a client has asked for so far (KIP-227).
type fetchSession struct {
	id          int32
	epoch       int32 // the next request's
	byID        bool  // topics are named by id
	incremental bool  // the request under way is: its answer holds only what changed
	wants       []*wanted
	usedAt      time.Time
	busy        bool
}

// fetchSessions holds the sessions of all connections.
type fetchSessions struct {
	now   func() time.Time
	slots int
	mu    sync.Mutex // guards all below
	all   map[int32]*fetchSession
}

func newFetchSessions(now func() time.Time, slots int) *fetchSessions {
	return &fetchSessions{now: now, slots: slots, all: map[int32]*fetchSession{}}
}

// begin takes a request into its session and lists what to read. The session is nil for a full
// fetch without one; otherwise end must be called when it was answered.
func (f *fetchSessions) begin(req *kmsg.FetchRequest) (*fetchSession, []*wanted, error) {
	if req.Version < 7 {
		return nil, listed(req), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.SessionEpoch == initialSessionEpoch || req.SessionEpoch == finalSessionEpoch {
		delete(f.all, req.SessionID)
		wants := listed(req)
		if req.SessionEpoch == finalSessionEpoch || len(wants) == 0 {
			return nil, wants, nil
		}
		return f.create(req, wants), wants, nil
	}
	s := f.all[req.SessionID]
	switch {
	case s == nil:
		return nil, nil, kerr.FetchSessionIDNotFound
	case s.byID != (req.Version >= 13):
		return nil, nil, kerr.FetchSessionTopicIDError
	case s.epoch != req.SessionEpoch || s.busy:
		return nil, nil, kerr.InvalidFetchSessionEpoch
	}
	s.epoch = nextSessionEpoch(s.epoch)
	s.incremental, s.busy, s.usedAt = true, true, f.now()
	s.update(req)
	return s, slices.Clone(s.wants), nil
}

// create makes a session, nil when all slots are taken by busier ones.
func (f *fetchSessions) create(req *kmsg.FetchRequest, wants []*wanted) *fetchSession {
	now := f.now()
	if len(f.all) >= f.slots {
		oldest := &fetchSession{usedAt: now}
		for _, s := range f.all {
			if s.usedAt.Before(oldest.usedAt) && !s.busy {
				oldest = s
			}
		}
		if now.Sub(oldest.usedAt) < fetchSessionEviction {
			return nil
		}
		delete(f.all, oldest.id)
	}
	id := rand.Int32()
	for id == 0 || f.all[id] != nil {
		id = rand.Int32()
	}
	s := &fetchSession{id: id, epoch: 1, byID: req.Version >= 13, wants: slices.Clone(wants), usedAt: now, busy: true}
	f.all[id] = s
	return s
}

func (f *fetchSessions) end(s *fetchSession) {
	if s == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.busy = false
}

// nextSessionEpoch counts up from 1; after the largest comes 1 again.
func nextSessionEpoch(epoch int32) int32 { return max(1, epoch+1) }

// update takes in what an incremental request changes.
func (s *fetchSession) update(req *kmsg.FetchRequest) {
	if len(req.Topics) == 0 && len(req.ForgottenTopics) == 0 {
		return
	}
	place := make(map[wantedKey]int, len(s.wants))
	for i, w := range s.wants {
		place[w.key()] = i
	}
	for _, w := range listed(req) {
		if i, known := place[w.key()]; known {
			w.sentHighWatermark, w.sentLogStart = s.wants[i].sentHighWatermark, s.wants[i].sentLogStart
			s.wants[i] = w
			continue
		}
		place[w.key()] = len(s.wants)
		s.wants = append(s.wants, w)
	}
	for _, t := range req.ForgottenTopics {
		for _, index := range t.Partitions {
			if i, known := place[wantedKey{t.Topic, t.TopicID, index}]; known {
				s.wants[i] = nil
			}
		}
	}
	s.wants = slices.DeleteFunc(s.wants, func(w *wanted) bool { return w == nil })
}

// worthSending reports whether an answer tells the client anything new, and notes what it is told.
// A partition that gave records goes to the end, so that the others get their turn.
func (s *fetchSession) worthSending(w *wanted, answer *kmsg.FetchResponseTopicPartition, recordBytes int) bool {
	changed := recordBytes > 0 || answer.ErrorCode != 0 || answer.DivergingEpoch.Epoch >= 0 ||
		answer.HighWatermark != w.sentHighWatermark || answer.LogStartOffset != w.sentLogStart
	w.sentHighWatermark, w.sentLogStart = answer.HighWatermark, answer.LogStartOffset
	if answer.ErrorCode != 0 {
		w.sentHighWatermark = -2 // told again when it is well
	}
	if recordBytes > 0 {
		if i := slices.Index(s.wants, w); i >= 0 {
			s.wants = append(slices.Delete(s.wants, i, i+1), w)
		}
	}
	return changed || !s.incremental
}

// listed is what a request names itself.
func listed(req *kmsg.FetchRequest) []*wanted {
	var wants []*wanted
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wants = append(wants, &wanted{
				topic: t.Topic, id: t.TopicID, FetchRequestTopicPartition: p, sentHighWatermark: -2, sentLogStart: -2,
			})
		}
	}
	return wants
}
