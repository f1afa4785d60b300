package assign

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func topicID(n int) TopicID { return TopicID{15: byte(n)} }

// world is a random group: topics that grow and go, members that come and go and subscribe anew.
type world struct {
	rng     *rand.Rand
	counts  map[TopicID]int32
	members map[string]*Member
	next    int
	same    bool // all subscribe to the same
}

func (w *world) subscribe(m *Member) {
	m.Topics = nil
	for t := range w.counts {
		if w.same || w.rng.IntN(2) == 0 {
			m.Topics = append(m.Topics, t)
		}
	}
	slices.SortFunc(m.Topics, compareTopics)
}

func (w *world) change() {
	switch w.rng.IntN(6) {
	case 0, 1:
		m := &Member{ID: fmt.Sprintf("m%03d", w.rng.IntN(1000))}
		if w.rng.IntN(3) == 0 {
			m.Instance = &m.ID
		}
		w.subscribe(m)
		w.members[m.ID] = m
	case 2:
		for id := range w.members {
			if len(w.members) > 1 {
				delete(w.members, id)
			}
			break
		}
	case 3:
		w.next++
		w.counts[topicID(w.next)] = int32(1 + w.rng.IntN(20))
	case 4:
		for t := range w.counts {
			w.counts[t] += int32(w.rng.IntN(4))
			break
		}
	case 5:
		for t := range w.counts {
			if len(w.counts) > 1 {
				delete(w.counts, t)
			}
			break
		}
	}
	for _, m := range w.members {
		if w.same || w.rng.IntN(4) == 0 {
			w.subscribe(m)
			continue
		}
		m.Topics = slices.DeleteFunc(m.Topics, func(t TopicID) bool { return w.counts[t] == 0 })
	}
}

func (w *world) list() []Member {
	var all []Member
	for _, m := range w.members { // in Go's random order
		all = append(all, *m)
	}
	return all
}

// check tries the rules that hold for every assignor.
func check(t *testing.T, w *world, got map[string]Partitions) {
	t.Helper()
	if len(got) != len(w.members) {
		t.Fatalf("%d members have an assignment, there are %d", len(got), len(w.members))
	}
	owner := map[spot]string{}
	for id, parts := range got {
		if !slices.IsSortedFunc(parts, func(a, b TopicPartitions) int { return compareTopics(a.Topic, b.Topic) }) {
			t.Fatalf("the topics of %s are not in order", id)
		}
		for _, of := range parts {
			topic, indexes := of.Topic, of.Indexes
			if len(indexes) == 0 || !slices.Contains(w.members[id].Topics, topic) {
				t.Fatalf("%s has %x, to which it does not subscribe", id, topic)
			}
			if !slices.IsSorted(indexes) {
				t.Fatalf("%v is not in order", indexes)
			}
			for _, index := range indexes {
				s := spot{topic, int(index)}
				if other := owner[s]; other != "" || index >= w.counts[topic] {
					t.Fatalf("%v has %s and %s", s, other, id)
				}
				owner[s] = id
			}
		}
	}
	for topic, n := range w.counts {
		wanted := slices.ContainsFunc(w.list(), func(m Member) bool { return slices.Contains(m.Topics, topic) })
		for i := range int(n) {
			if owner[spot{topic, i}] == "" && wanted {
				t.Fatalf("%x/%d has no owner", topic, i)
			}
		}
	}
}

func (p Partitions) size() int {
	n := 0
	for _, of := range p {
		n += len(of.Indexes)
	}
	return n
}

func walk(t *testing.T, same bool, assignor Assignor, each func(t *testing.T, w *world, before []Member, got map[string]Partitions)) {
	t.Helper()
	for seed := range uint64(60) {
		w := &world{rng: rand.New(rand.NewPCG(seed, 7)), counts: map[TopicID]int32{topicID(0): 5}, members: map[string]*Member{}, same: same}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			for range 40 {
				w.change()
				before := w.list()
				got := assignor(before, w.counts)
				check(t, w, got)
				slices.Reverse(before)
				if again := assignor(before, w.counts); !reflect.DeepEqual(got, again) {
					t.Fatal("the order of the members matters")
				}
				each(t, w, before, got)
				for id, m := range w.members {
					m.Owned = got[id]
				}
			}
		})
	}
}

func TestUniformOfTheSameSubscriptionsIsEvenAndSticky(t *testing.T) {
	walk(t, true, Uniform, func(t *testing.T, w *world, before []Member, got map[string]Partitions) {
		if len(before) == 0 {
			return
		}
		total := 0
		for _, n := range w.counts {
			total += int(n)
		}
		each, more := total/len(before), total%len(before)
		stay, could := 0, 0
		var had []int
		for _, m := range before {
			n := got[m.ID].size()
			if n != each && n != each+1 {
				t.Fatalf("%s has %d of %d in %d members", m.ID, n, total, len(before))
			}
			kept := 0
			for _, of := range m.Owned {
				for _, index := range of.Indexes {
					if w.counts[of.Topic] > 0 {
						kept++
						if slices.Contains(got[m.ID].Of(of.Topic), index) {
							stay++
						}
					}
				}
			}
			had = append(had, kept)
		}
		slices.SortFunc(had, func(a, b int) int { return b - a })
		for rank, n := range had { // the most that any even assignment could leave where it is
			quota := each
			if rank < more {
				quota++
			}
			could += min(n, quota)
		}
		if stay != could {
			t.Fatalf("%d partitions stay, %d could", stay, could)
		}
	})
}

func TestUniformOfDifferentSubscriptionsCannotBeMadeMoreEven(t *testing.T) {
	walk(t, false, Uniform, func(t *testing.T, w *world, before []Member, got map[string]Partitions) {
		for _, a := range before {
			for _, b := range before {
				for _, of := range got[a.ID] {
					topic := of.Topic
					if slices.Contains(b.Topics, topic) && got[a.ID].size()-got[b.ID].size() > 1 {
						t.Fatalf("%s has %d, %s has %d and reads %x as well", a.ID, got[a.ID].size(), b.ID, got[b.ID].size(), topic)
					}
				}
			}
		}
		for _, m := range before {
			m.Owned = got[m.ID]
			*w.members[m.ID] = m
		}
		if again := Uniform(w.list(), w.counts); !reflect.DeepEqual(again, got) {
			t.Fatal("what is even moves again")
		}
	})
}

func TestRangeGivesRunsThatDifferByAtMostOne(t *testing.T) {
	walk(t, false, Range, func(t *testing.T, w *world, before []Member, got map[string]Partitions) {
		for topic, n := range w.counts {
			least, most := int(n), 0
			for _, m := range before {
				if !slices.Contains(m.Topics, topic) {
					continue
				}
				indexes := got[m.ID].Of(topic)
				least, most = min(least, len(indexes)), max(most, len(indexes))
				for i, index := range indexes {
					if index != indexes[0]+int32(i) {
						t.Fatalf("%v is no run", indexes)
					}
				}
			}
			if most > least+1 {
				t.Fatalf("from %d to %d partitions", least, most)
			}
		}
	})
}

// Topics with as many partitions are divided alike, static members first.
func TestRangeDividesCopartitionedTopicsAlike(t *testing.T) {
	instance := func(s string) *string { return &s }
	topics := []TopicID{topicID(1), topicID(2)}
	members := []Member{{ID: "a", Topics: topics}, {ID: "c", Topics: topics, Instance: instance("z")}, {ID: "b", Topics: topics}}
	got := Range(members, map[TopicID]int32{topics[0]: 4, topics[1]: 4})
	want := map[string]Partitions{
		"c": {{topics[0], []int32{0, 1}}, {topics[1], []int32{0, 1}}},
		"a": {{topics[0], []int32{2}}, {topics[1], []int32{2}}},
		"b": {{topics[0], []int32{3}}, {topics[1], []int32{3}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%v", got)
	}
}

func BenchmarkUniformOfAThousandMembers(b *testing.B) {
	var members []Member
	for i := range 1000 {
		members = append(members, Member{ID: fmt.Sprint(i), Topics: []TopicID{topicID(1)}})
	}
	counts := map[TopicID]int32{topicID(1): 5000}
	for id, owned := range Uniform(members, counts) {
		for i := range members {
			if members[i].ID == id {
				members[i].Owned = owned
			}
		}
	}
	for b.Loop() {
		Uniform(members[1:], counts)
	}
}
