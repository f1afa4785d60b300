package diff

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sentinel is a topic that no regular expression of the test matches. Apache Kafka matches in the background: a member
// whose subscription has it as well knows by it that the matching is done.
const sentinel = "sentinel.topic"

// names are topics for regular expressions to match, beside diff and other.
var names = []string{"diff.a", "diff.b", "DIFF", "x-1", "x_22", sentinel}

// regexes are RE2, and what is not: anchors, classes, flags, groups, bounds, and what only other engines know.
var regexes = []string{
	"diff", "dif", "d.*", "^diff$", "^di", "ff$", `\Adiff\z`, "(?i)diff", "(?i:D)iff", "(?s).iff", "(?U)d.*f", "(?m)^diff$", "diff|other", "(diff|other)",
	"dif{2}", "d{4,2}", "a{1000}", "a{1001}", "[[:alpha:]]+", "[[:upper:]]{4}", "[^d].*", "[d-a]", "[a-", "[", "(", ")", "*", "+d", "d**", "d++",
	`\d+`, `x-\d`, `\w+`, `x\W1`, `\pL+`, `\p{Lu}+`, `\p{Greek}`, `\p{Nope}`, `\x64iff`, `\x{64}iff`, `\u0064iff`, `\064iff`, `\Qdiff.a\E`, `\Qdiff`, `diff\.[ab]`, `diff.\C`,
	`(?P<n>diff)`, `(?<n>diff)`, `(?P<n>d)(?P<n>i)`, `(d)\1`, `(?=d)diff`, `(?!x)diff`, `(?<=d)iff`, `(?>diff)`, `(?#note)diff`, `\bdiff\b`, `\h`, `\R`, `\Zdiff`, `diff\Z`,
	" ", "", "x?-1", `\`, "(?", "(?i", "(?z)diff", ".*?", "d|diff|diff.a", "(diff)?(.a)?",
}

// larger are regular expressions that Apache Kafka takes and Kelp does not: they nest or repeat more than Go's RE2 allows,
// which bounds what one of them costs.
var larger = []string{"(a{100}){100}", strings.Repeat("(", 1001) + strings.Repeat(")", 1001)}

// matching is a member of a group of its own that subscribes by a regular expression.
type matching struct {
	s     *session
	group string
	epoch int32
	owned []kmsg.ConsumerGroupHeartbeatRequestTopic
}

// beat sends a heartbeat and takes what the answer assigns.
func (m *matching) beat(ctx context.Context, change func(*kmsg.ConsumerGroupHeartbeatRequest)) error {
	answer, err := m.s.ask(ctx, at(heartbeat(m.group, "m", m.epoch, change), 1))
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.ConsumerGroupHeartbeatResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	m.epoch = resp.MemberEpoch
	if resp.Assignment != nil {
		m.owned = nil
		for _, t := range resp.Assignment.Topics {
			m.owned = append(m.owned, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
		}
	}
	return nil
}

// has lists the topics of which the member has partitions.
func (m *matching) has(named map[[16]byte]string) []string {
	var all []string
	for _, t := range m.owned {
		name := named[t.TopicID]
		if name == "" {
			name = "another topic"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// join subscribes by a regular expression.
func (m *matching) join(ctx context.Context, regex string) error {
	return m.beat(ctx, both(joining(), func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.SubscribedTopicNames, r.SubscribedTopicRegex = nil, &regex
	}))
}

// until heartbeats until the member's topics are as they should be, and tells the server what it has.
func (m *matching) until(ctx context.Context, named map[[16]byte]string, holds func(has []string) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds(m.has(named)) {
		if err := m.beat(ctx, func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.Topics = append([]kmsg.ConsumerGroupHeartbeatRequestTopic{}, m.owned...)
		}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("has %v: %w", m.has(named), ctx.Err())
		}
	}
	return nil
}

// topicIDs gives the names of the topics of a server by their ids.
func topicIDs(ctx context.Context, t *testing.T, s *session) map[[16]byte]string {
	t.Helper()
	answer, err := s.ask(ctx, at(kmsg.NewPtrMetadataRequest(), 12))
	if err != nil {
		t.Fatal(err)
	}
	out := map[[16]byte]string{}
	for _, topic := range answer.(*kmsg.MetadataResponse).Topics {
		out[topic.TopicID] = *topic.Topic
	}
	return out
}

// matchesAreKafkas joins with each regular expression: both take the same ones, and those match the same topics.
func matchesAreKafkas(ctx context.Context, t *testing.T, sides [2]*session) {
	ids := [2]map[[16]byte]string{}
	for i, s := range sides {
		ids[i] = topicIDs(ctx, t, s)
	}
	for n, regex := range slices.Concat(regexes, larger) {
		said, has := [2]error{}, [2][]string{}
		for i, s := range sides {
			m := &matching{s: s, group: fmt.Sprint("regex-", n)}
			if said[i] = m.join(ctx, regex); said[i] != nil {
				continue
			}
			m = &matching{s: s, group: fmt.Sprint("regex-or-", n)}
			if err := m.join(ctx, "(?:"+regex+")|"+sentinel); err != nil {
				said[i] = fmt.Errorf("with an alternative: %w", err)
				continue
			}
			if err := m.until(ctx, ids[i], func(has []string) bool { return slices.Contains(has, sentinel) }); err != nil {
				t.Fatalf("%q on %s: %v", regex, s.addr, err)
			}
			has[i] = m.has(ids[i])
		}
		if slices.Contains(larger, regex) {
			if said[0] != nil || !errors.Is(said[1], kerr.InvalidRegularExpression) {
				t.Errorf("%.40q: %v, Apache Kafka says %v", regex, said[1], said[0])
			}
			continue
		}
		if fmt.Sprint(said[0]) != fmt.Sprint(said[1]) || !slices.Equal(has[0], has[1]) {
			t.Errorf("%.40q: %v and matches %v, Apache Kafka says %v and matches %v", regex, said[1], has[1], said[0], has[0])
		}
	}
}

// matchesFollowTopics has a topic come and go that a regular expression matches.
func matchesFollowTopics(ctx context.Context, t *testing.T, sides [2]*session) {
	for _, s := range sides {
		m := &matching{s: &session{addr: s.addr}, group: "follows"}
		named := topicIDs(ctx, t, s)
		if err := m.join(ctx, `diff\..*`); err != nil {
			t.Fatal(err)
		}
		is := func(want ...string) {
			t.Helper()
			if err := m.until(ctx, named, func(has []string) bool { return slices.Equal(has, want) }); err != nil {
				t.Fatalf("%s: %v, want %v", s.addr, err, want)
			}
		}
		is("diff.a", "diff.b")
		if got := outcome(ctx, s, at(create("diff.new", 1, false), 5)); got["outcome"] != "" {
			t.Fatal(got)
		}
		named = topicIDs(ctx, t, s)
		is("diff.a", "diff.b", "diff.new")
		drop := kmsg.NewPtrDeleteTopicsRequest()
		drop.TimeoutMillis, drop.TopicNames = 10_000, []string{"diff.a"}
		if got := outcome(ctx, s, at(drop, 5)); got["outcome"] != "" {
			t.Fatal(got)
		}
		is("diff.b", "diff.new")
		m.s.conn.Close()
	}
}
