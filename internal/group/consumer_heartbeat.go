package group

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group/assign"
	"kelp/internal/statelog"
)

// maxRegexBytes bounds a regular expression of topics.
const maxRegexBytes = 4096

// failure refuses a request with words for the client.
type failure struct {
	code *kerr.Error
	text string
}

func fail(code *kerr.Error, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// beat is one heartbeat of a member, or its join with either protocol, on its way.
type beat struct {
	in       statelog.Input
	e        *statelog.Effects
	g        *consumerGroup
	old      *consumerMember          // before
	now      *consumerMember          // as it is to be
	replaces *consumerMember          // the static member whose place it takes
	owned    []assign.TopicPartitions // as the client listed them
	tells    bool                     // the client said what it has
	why      string
	// regexes are the group's with what this beat resolves.
	regexes map[string]*resolvedRegex
}

// ConsumerGroupHeartbeat makes, keeps or takes out a member and leads it to its target (KIP-848).
func (m *Machine) ConsumerGroupHeartbeat(in statelog.Input, client Client, req *kmsg.ConsumerGroupHeartbeatRequest) statelog.Effects {
	var e statelog.Effects
	resp, err := m.consumerHeartbeat(&e, in, client, req)
	if err != nil {
		e = statelog.Effects{} // nothing of it happened
		resp = req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.ErrorCode, resp.ErrorMessage = err.code.Code, &err.text
	}
	reply(&e, in.Ticket, resp)
	return e
}

func (m *Machine) consumerHeartbeat(
	e *statelog.Effects, in statelog.Input, client Client, req *kmsg.ConsumerGroupHeartbeatRequest,
) (*kmsg.ConsumerGroupHeartbeatResponse, *failure) {
	if err := m.checkHeartbeat(req); err != nil {
		return nil, err
	}
	if req.MemberEpoch < 0 {
		return m.consumerLeave(e, in, req)
	}
	joins := req.MemberEpoch == 0
	g, old, err := m.consumerGroupFor(e, in, req.Group, joins)
	if err != nil {
		return nil, err
	}
	if _, moves := m.rebalancing[g.id]; moves && g.phase() == stable {
		m.settled(in, g.id)
	}
	if len(g.members) >= m.o.ConsumerMaxSize && g.members[req.MemberID] == nil {
		return nil, fail(kerr.GroupMaxSizeReached, "the consumer group has as many members as it can: %d", m.o.ConsumerMaxSize)
	}
	b := &beat{in: in, e: e, g: g, tells: req.Topics != nil, owned: ownedBy(req), regexes: g.regexes}
	id := req.MemberID
	if id == "" {
		id = newID(in, "")[1:]
	}
	if err := b.find(id, req.MemberEpoch, req.InstanceID); err != nil {
		return nil, err
	}
	b.now = b.updated(client, req)
	if err := m.advance(b); err != nil {
		return nil, err
	}
	if old != nil {
		m.retire(e, old)
	}
	m.armConsumer(e, in, g.id, b.now)
	interval := m.o.Settings(req.Group).HeartbeatInterval
	resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &b.now.id, b.now.epoch, int32(interval.Milliseconds())
	whole := req.RebalanceTimeoutMillis != -1 && (req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil) && req.Topics != nil
	if joins || whole || !b.now.assigned.equal(b.old.assigned) {
		resp.Assignment = assignmentOf(b.now)
	}
	return resp, nil
}

// checkHeartbeat refuses what makes no sense (GroupCoordinatorService).
func (m *Machine) checkHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) *failure {
	isEmpty := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	invalid := func(text string) *failure { return fail(kerr.InvalidRequest, "%s", text) }
	switch {
	case (req.Version >= 1 || req.MemberEpoch > 0 || req.MemberEpoch == -1) && isEmpty(&req.MemberID):
		return invalid("MemberId can't be empty.")
	case isEmpty(&req.Group):
		return invalid("GroupId can't be empty.")
	case isEmpty(req.InstanceID):
		return invalid("InstanceId can't be empty.")
	case isEmpty(req.RackID):
		return invalid("RackId can't be empty.")
	case req.MemberEpoch < staticLeft:
		return invalid("MemberEpoch is invalid.")
	case req.MemberEpoch == staticLeft && req.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case req.MemberEpoch == 0 && req.RebalanceTimeoutMillis == -1:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case req.MemberEpoch == 0 && (req.Topics == nil || len(req.Topics) > 0):
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case req.MemberEpoch == 0 && req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	if req.ServerAssignor != nil && !slices.Contains(m.o.Assignors, *req.ServerAssignor) {
		return fail(kerr.UnsupportedAssignor, "ServerAssignor %.100s is not supported. Supported assignors: %s.",
			*req.ServerAssignor, strings.Join(m.o.Assignors, ", "))
	}
	if !fits(req.Group) {
		return fail(kerr.InvalidGroupID, "the group id has %d bytes, at most %d can be kept", len(req.Group), maxNameBytes)
	}
	if !fits(req.MemberID) || !fitsOrNil(req.InstanceID) || !fitsOrNil(req.RackID) {
		return fail(kerr.InvalidRequest, "a name has more than %d bytes", maxNameBytes)
	}
	if n := subscriptionBytes(req.SubscribedTopicNames); n > maxMemberBytes {
		return fail(kerr.InvalidRequest, "the subscription has %d bytes, at most %d can be kept", n, maxMemberBytes)
	}
	if req.SubscribedTopicRegex != nil && len(*req.SubscribedTopicRegex) > maxRegexBytes {
		return fail(kerr.InvalidRegularExpression, "the regular expression has %d bytes, at most %d are taken",
			len(*req.SubscribedTopicRegex), maxRegexBytes)
	}
	return nil
}

func ownedBy(req *kmsg.ConsumerGroupHeartbeatRequest) []assign.TopicPartitions {
	out := make([]assign.TopicPartitions, 0, len(req.Topics))
	for _, t := range req.Topics {
		out = append(out, assign.TopicPartitions{Topic: t.TopicID, Indexes: t.Partitions})
	}
	return out
}

func assignmentOf(m *consumerMember) *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	a.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	for _, of := range m.assigned.partitions() {
		t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		t.TopicID, t.Partitions = of.Topic, of.Indexes
		a.Topics = append(a.Topics, t)
	}
	return &a
}

// find gives the beat its member: a known one, a new one, or one that takes the place of the static
// member that went before it.
func (b *beat) find(id string, epoch int32, instance *string) *failure {
	g, joins := b.g, epoch == 0
	var known *consumerMember
	if instance == nil {
		known = g.members[id]
	} else {
		known = g.static(*instance)
	}
	switch {
	case known == nil && !joins && instance != nil:
		return fail(kerr.UnknownMemberID, "Instance id %s is unknown.", *instance)
	case known == nil && !joins:
		return fail(kerr.UnknownMemberID, "Member %s is not a member of group %s.", id, g.id)
	case known == nil:
		b.old, b.why = newConsumerMember(id), fmt.Sprintf("member %s joins", id)
		return nil
	case instance != nil && joins:
		if known.classic == nil && known.epoch != staticLeft {
			return fail(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id "+
				"is owned by %s member.", id, *instance, known.id)
		}
		b.replace(known, id)
		return nil
	case known.id != id:
		return fencedBy(known, id, *instance)
	}
	b.old = known
	return b.checkEpoch(epoch)
}

func fencedBy(known *consumerMember, id, instance string) *failure {
	return fail(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", id, instance, known.id)
}

// checkEpoch fences a member that lives in another epoch than ours. The epoch before is fine for one
// that has nothing but what it was given: our answer was lost.
func (b *beat) checkEpoch(epoch int32) *failure {
	switch m := b.old; {
	case epoch == 0 || epoch == m.epoch:
		return nil
	case epoch > m.epoch:
		return fail(kerr.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group "+
			"coordinator (%d). The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	case epoch == m.previous && b.tells && within(b.owned, m.assigned):
		return nil
	default:
		return fail(kerr.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group "+
			"coordinator (%d). The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	}
}

func within(owned []assign.TopicPartitions, h held) bool {
	for _, of := range owned {
		for _, index := range of.Indexes {
			if _, has := h[of.Topic][index]; !has {
				return false
			}
		}
	}
	return true
}

// replace gives a static member's place and partitions to its next incarnation.
func (b *beat) replace(known *consumerMember, id string) {
	next := *known
	next.id, next.epoch, next.previous = id, 0, 0
	b.old, b.replaces = &next, known
	b.why = fmt.Sprintf("static member %s comes back as %s", *known.instance, id)
	b.emit(b.g.forgetMember(known.id)...)
	for _, key := range memberTimers(b.g.id, known.id) {
		cancel(b.e, key)
	}
	b.emit(b.g.memberRecord(&next), b.g.targetRecord(id, b.g.targets[known.id]), b.g.currentRecord(&next))
}

func (b *beat) emit(records ...statelog.Record) { b.e.Records = append(b.e.Records, records...) }

// updated is the member with what the request says anew.
func (b *beat) updated(client Client, req *kmsg.ConsumerGroupHeartbeatRequest) *consumerMember {
	next := *b.old
	next.clientID, next.host, next.classic = client.ID, client.Host, nil
	if req.InstanceID != nil {
		next.instance = req.InstanceID
	}
	if req.RackID != nil {
		next.rack = req.RackID
	}
	if req.RebalanceTimeoutMillis != -1 {
		next.rebalanceMs = req.RebalanceTimeoutMillis
	}
	if req.ServerAssignor != nil {
		next.assignor = *req.ServerAssignor
	}
	if req.SubscribedTopicNames != nil {
		next.topics = distinct(req.SubscribedTopicNames)
	}
	if req.SubscribedTopicRegex != nil {
		next.regex = *req.SubscribedTopicRegex
	}
	return &next
}

// distinct is a list in order, each name once.
func distinct(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// same says whether two states of a member have the same record.
func (m *consumerMember) same(other *consumerMember) bool {
	return equalOrNil(m.instance, other.instance) && equalOrNil(m.rack, other.rack) && m.clientID == other.clientID &&
		m.host == other.host && m.rebalanceMs == other.rebalanceMs && m.assignor == other.assignor && m.regex == other.regex &&
		slices.Equal(m.topics, other.topics) && m.classic.same(other.classic)
}

func (c *classicMember) same(other *classicMember) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.sessionMs == other.sessionMs && sameProtocols(c.protocols, other.protocols)
}

func equalOrNil(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// advance carries a beat out: it writes the member, bumps the group's epoch when what is read has
// changed, assigns anew when the epoch is ahead of the targets, and leads the member on.
func (m *Machine) advance(b *beat) *failure {
	g := b.g
	if g.members[b.now.id] == nil && b.replaces == nil || !b.now.same(b.old) {
		b.emit(g.memberRecord(b.now))
	}
	renamed := !slices.Equal(b.now.topics, b.old.topics)
	rematched, err := m.matchRegex(b)
	if err != nil {
		return err
	}
	epoch := m.bump(b, renamed || rematched)
	targetEpoch, target := g.targetEpoch, g.targets[b.now.id]
	switch {
	case epoch > targetEpoch && m.mayAssign(b):
		targetEpoch, target = epoch, m.retarget(b, epoch)
	case b.replaces != nil:
		target = g.targets[b.replaces.id]
	}
	m.reconcile(b, targetEpoch, target, renamed || rematched)
	return nil
}

// bump looks whether the group reads something else than before and gives its epoch.
func (m *Machine) bump(b *beat, changed bool) int32 {
	g, all := b.g, m.o.Topics()
	if !changed && g.seen == all {
		return g.epoch
	}
	if g.seen != all && m.refresh(b, all) {
		changed, b.why = true, "other topics match a regular expression"
	}
	hash := metadataHash(all, b.reads())
	g.seen = all
	if !changed && hash == g.hash {
		return g.epoch
	}
	if b.why == "" {
		b.why = "topics that it reads have changed"
		if changed {
			b.why = fmt.Sprintf("member %s subscribes anew", b.now.id)
		}
	}
	b.emit(g.epochRecord(g.epoch+1, hash))
	m.noteRebalance(b.e, b.in, g, b.why)
	return g.epoch + 1
}

func (m *Machine) noteRebalance(e *statelog.Effects, in statelog.Input, g *consumerGroup, why string) {
	m.counted.consumer++
	m.begun(in, g.id)
	e.Notes = append(e.Notes, fmt.Sprintf("group %s rebalances after epoch %d: %s", g.id, g.epoch, why))
}

// reads lists, in order, what the group reads once the beat is done.
func (b *beat) reads() []string {
	all := map[string]bool{}
	for name, n := range b.g.names {
		if n > 0 {
			all[name] = true
		}
	}
	for _, gone := range []*consumerMember{b.g.members[b.now.id], b.replaces} {
		if gone == nil {
			continue
		}
		for _, name := range gone.topics {
			if b.g.names[name] == 1 {
				delete(all, name)
			}
		}
	}
	for _, name := range b.now.topics {
		all[name] = true
	}
	for regex, r := range b.regexes {
		if regex == b.now.regex || b.usedByOthers(regex) {
			for _, name := range r.topics {
				all[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// usedByOthers says whether members beside the beat's use a regex.
func (b *beat) usedByOthers(regex string) bool {
	n := b.g.regexUsers[regex]
	if known := b.g.members[b.now.id]; known != nil && known.regex == regex {
		n--
	}
	if b.replaces != nil && b.replaces.id != b.now.id && b.replaces.regex == regex {
		n--
	}
	return n > 0
}

// matchRegex resolves the member's regex when it is new, and forgets one that nobody uses any more.
func (m *Machine) matchRegex(b *beat) (changed bool, err *failure) {
	was, is := b.old.regex, b.now.regex
	if was == is {
		return false, nil
	}
	b.regexes = maps.Clone(b.regexes)
	if was != "" && !b.usedByOthers(was) {
		delete(b.regexes, was)
		b.emit(tombstone(consumerKey(keyRegex, b.g.id, was)))
	}
	if is == "" || b.regexes[is] != nil {
		return true, nil
	}
	re, bad := compileRegex(is)
	if bad != nil {
		return false, fail(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %v.", is, bad)
	}
	r := &resolvedRegex{re: re}
	r.match(m.o.Topics(), b.in.Now)
	b.regexes[is] = r
	b.emit(b.g.regexRecord(is, r))
	return true, nil
}

// compileRegex takes RE2 for matchesWhole. Go takes two groups of one name, RE2/J does not.
func compileRegex(text string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, name := range re.SubexpNames() {
		if name != "" && names[name] {
			return nil, fmt.Errorf("duplicate capture group name: %s", name)
		}
		names[name] = true
	}
	re.Longest() // the longest match from the front is the whole text if any match is
	return re, nil
}

// matchesWhole says whether a regular expression of compileRegex matches all of a name.
func matchesWhole(re *regexp.Regexp, name string) bool {
	at := re.FindStringIndex(name)
	return at != nil && at[0] == 0 && at[1] == len(name)
}

func (r *resolvedRegex) match(all Topics, now time.Time) {
	r.topics, r.atMs = nil, now.UnixMilli()
	for name := range all.Names() {
		if matchesWhole(r.re, name) {
			r.topics = append(r.topics, name)
		}
	}
	slices.Sort(r.topics)
}

// refresh matches the group's regexes against other topics; it says whether any gives others now.
func (m *Machine) refresh(b *beat, all Topics) (changed bool) {
	cloned := false
	for _, regex := range slices.Sorted(maps.Keys(b.regexes)) {
		r := b.regexes[regex]
		if r.re == nil {
			re, err := compileRegex(regex)
			if err != nil {
				continue // written by somebody with another syntax
			}
			r.re = re
		}
		next := &resolvedRegex{re: r.re}
		next.match(all, b.in.Now)
		if slices.Equal(next.topics, r.topics) {
			continue
		}
		if !cloned {
			b.regexes, cloned = maps.Clone(b.regexes), true
		}
		b.regexes[regex] = next
		b.emit(b.g.regexRecord(regex, next))
		changed = true
	}
	return changed
}
