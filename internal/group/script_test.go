package group

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect by what happens")

// TestScripts runs testdata/*.txt: commands, a line of dashes, and all effects of the commands. With
// -update the effects are rewritten; the difference is then for a person to read.
//
//	join GROUP MEMBER [v=9] [instance=x] [protocols=range,roundrobin] [topics=t,u] [owned=t:0,1]
//	sync GROUP MEMBER GENERATION [MEMBER=t:0,1;u:2 ...]
//	heartbeat GROUP MEMBER GENERATION            leave GROUP MEMBER [instance=x]
//	beat GROUP MEMBER EPOCH [v=1] [topics=t,u] [regex=t.*] [owned=t:0,1;u:2] [instance=x] [assignor=range] [rebalance=30s]
//	commit GROUP MEMBER GENERATION t:0=17 ... [v=9]     fetch GROUP t:0 ... [member=x epoch=3]
//	list | describe GROUP | delete GROUP | topics t=3 u=1 | wait 10s | options name=value ... | restart | compact
//
// A member id of - is none, and ids that the machine made are written $1, $2 in the order of their making.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).run(want)
			if bytes.Equal(got, want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			wants := strings.Split(string(want), "\n")
			for i, line := range strings.Split(string(got), "\n") {
				if i >= len(wants) || line != wants[i] {
					t.Fatalf("%s:%d: got\n%s\n(go test ./internal/group -run TestScripts -update rewrites; read the difference)", file, i+1, line)
				}
			}
			t.Fatalf("%s: fewer effects than written", file)
		})
	}
}

// script is a machine with a clock, a log and a cluster of its own.
type script struct {
	t       *testing.T
	o       Options
	m       *Machine
	now     time.Time
	ticket  statelog.Ticket
	ids     int
	made    map[string]string // ids that were made, by how they are shown
	timers  map[string]time.Time
	log     []statelog.Record
	cluster *testTopics
	out     strings.Builder
}

func newScript(t *testing.T) *script {
	s := &script{t: t, now: time.UnixMilli(0).UTC(), made: map[string]string{}, cluster: &testTopics{}, timers: map[string]time.Time{}}
	s.o = Defaults()
	s.o.InitialRebalanceDelay = 0
	s.o.Topics = func() Topics { return s.cluster }
	s.m = New(s.o)
	return s
}

func (s *script) run(text []byte) []byte {
	var out strings.Builder
	skip := false
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		line := scan.Text()
		switch {
		case line == "":
			skip = false
		case skip:
			continue
		case line == "----":
			skip = true
			line += "\n" + strings.TrimSuffix(s.out.String(), "\n")
			s.out.Reset()
		case strings.HasPrefix(line, "#"):
		default:
			s.command(strings.Fields(line))
		}
		out.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	return []byte(out.String())
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// step runs one step and prints its effects.
func (s *script) step(f func(in statelog.Input) statelog.Effects) {
	s.ticket++
	in := statelog.Input{Now: s.now, Ticket: s.ticket, NewID: func() [16]byte {
		s.ids++
		id := [16]byte{byte(s.ids >> 8), byte(s.ids)}
		return id
	}}
	s.effects(f(in))
}

func (s *script) effects(e statelog.Effects) {
	for _, n := range e.Notes {
		s.printf("note %s", s.short(n))
	}
	for _, r := range e.Records {
		r.TimestampMs = s.now.UnixMilli()
		if err := s.m.Apply(r); err != nil {
			s.t.Fatal(err)
		}
		s.printf("record %s", s.short(showRecord(s.cluster, r)))
		s.log = append(s.log, r)
	}
	for _, r := range e.Replies {
		to := ""
		if r.To != s.ticket {
			to = fmt.Sprintf(" to the request of step %d", r.To)
		}
		if r.Response != nil {
			s.printf("reply%s %s", to, s.short(showResponse(s.cluster, r.Response.(kmsg.Response))))
		}
	}
	last := map[string]time.Time{}
	for _, tm := range e.Timers {
		last[tm.Key] = tm.At
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		at, had := s.timers[key]
		what, member, group := parseKey(key)
		name := s.short(strings.Join(strings.Fields(what+" "+group+" "+member), " "))
		switch {
		case last[key].IsZero() && had:
			delete(s.timers, key)
			s.printf("cancel %s", name)
		case !last[key].IsZero() && !last[key].Equal(at):
			s.timers[key] = last[key]
			if what != "expire" {
				s.printf("timer %s in %s", name, last[key].Sub(s.now))
			}
		}
	}
}

// short shows ids that the machine made as $1, $2.
func (s *script) short(text string) string {
	for i := 1; i <= s.ids; i++ {
		var id [16]byte
		id[0], id[1] = byte(i>>8), byte(i)
		h := hex.EncodeToString(id[:])
		made := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		for _, prefix := range []string{"c-", "x-", ""} {
			shown := fmt.Sprintf("$%d", i)
			if strings.Contains(text, prefix+made) {
				s.made[shown] = prefix + made
				text = strings.ReplaceAll(text, prefix+made, shown)
			}
		}
	}
	return text
}

// id is a member id as a script writes it.
func (s *script) id(text string) string {
	if text == "-" {
		return ""
	}
	if id, made := s.made[text]; made {
		return id
	}
	return text
}

func (s *script) wait(d time.Duration) {
	until := s.now.Add(d)
	for {
		next := ""
		for key, at := range s.timers {
			if !at.After(until) && (next == "" || at.Before(s.timers[next]) || at.Equal(s.timers[next]) && key < next) {
				next = key
			}
		}
		if next == "" {
			break
		}
		s.now = s.timers[next]
		delete(s.timers, next)
		what, member, group := parseKey(next)
		if what != "expire" {
			s.printf("due %s", s.short(strings.Join(strings.Fields(what+" "+group+" "+member), " ")))
		}
		s.step(func(in statelog.Input) statelog.Effects { return s.m.Timeout(in, next) })
	}
	s.now = until
}

// restart replays the log; the machine that rebuilt itself as records must be the same.
func (s *script) restart(log []statelog.Record) {
	s.m, s.timers = New(s.o), map[string]time.Time{}
	for _, r := range log {
		if err := s.m.Apply(r); err != nil {
			s.t.Fatal(err)
		}
	}
	s.step(func(in statelog.Input) statelog.Effects { return s.m.Loaded(in) })
}

func (s *script) command(words []string) {
	plain, named := arguments(words[1:])
	switch words[0] {
	case "topics":
		s.cluster = s.cluster.with(named)
	case "options":
		s.options(named)
	case "wait":
		d, err := time.ParseDuration(plain[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(d)
	case "restart":
		s.restart(s.log)
	case "compact":
		s.log = slices.Collect(s.m.Records())
		s.restart(s.log)
	case "list":
		req := kmsg.NewPtrListGroupsRequest()
		req.Version = 5
		s.step(func(in statelog.Input) statelog.Effects { return s.m.ListGroups(in, req) })
	case "delete":
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = plain
		s.step(func(in statelog.Input) statelog.Effects { return s.m.DeleteGroups(in, req) })
	case "describe":
		s.describe(plain[0])
	case "join":
		s.step(func(in statelog.Input) statelog.Effects {
			return s.m.JoinGroup(in, Client{ID: "c", Host: "/h"}, s.join(plain, named))
		})
	case "sync":
		s.step(func(in statelog.Input) statelog.Effects { return s.m.SyncGroup(in, s.sync(plain, named)) })
	case "heartbeat":
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 4, plain[0], s.id(plain[1]), number(plain[2])
		req.InstanceID = textOrNil(named, "instance")
		s.step(func(in statelog.Input) statelog.Effects { return s.m.Heartbeat(in, req) })
	case "leave":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version, req.Group = 5, plain[0]
		l := kmsg.NewLeaveGroupRequestMember()
		l.MemberID, l.InstanceID = s.id(plain[1]), textOrNil(named, "instance")
		req.Members = append(req.Members, l)
		s.step(func(in statelog.Input) statelog.Effects { return s.m.LeaveGroup(in, req) })
	case "beat":
		req := s.beat(plain, named)
		s.step(func(in statelog.Input) statelog.Effects {
			return s.m.ConsumerGroupHeartbeat(in, Client{ID: "c", Host: "/h"}, req)
		})
	case "commit":
		req := s.commit(plain, named)
		s.step(func(in statelog.Input) statelog.Effects { return s.m.OffsetCommit(in, req) })
	case "fetch":
		req := s.fetch(plain, named)
		s.step(func(in statelog.Input) statelog.Effects { return s.m.OffsetFetch(in, req) })
	default:
		s.t.Fatalf("no such command: %v", words)
	}
}

func (s *script) describe(id string) {
	if s.m.consumers[id] != nil {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Version, req.Groups = 1, []string{id}
		s.step(func(in statelog.Input) statelog.Effects { return s.m.ConsumerGroupDescribe(in, req) })
		return
	}
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 6, []string{id}
	s.step(func(in statelog.Input) statelog.Effects { return s.m.DescribeGroups(in, req) })
}

func (s *script) options(named map[string]string) {
	for name, value := range named {
		d, _ := time.ParseDuration(value)
		switch name {
		case "migration":
			s.o.Migration = Migration(value)
		case "delay":
			s.o.InitialRebalanceDelay = d
		case "size":
			s.o.MaxSize, s.o.ConsumerMaxSize = int(number(value)), int(number(value))
		case "retention":
			s.o.OffsetsRetention = d
		case "session":
			s.set(func(of *Settings) { of.SessionTimeout, of.HeartbeatInterval = d, d/9 })
		case "interval":
			s.set(func(of *Settings) { of.AssignmentInterval = d })
		default:
			s.t.Fatalf("no such option: %s", name)
		}
	}
	s.m.o = s.o
}

// set changes the settings of all groups.
func (s *script) set(change func(*Settings)) {
	of := s.o.Settings("")
	change(&of)
	s.o.Settings = func(string) Settings { return of }
}

func arguments(words []string) (plain []string, named map[string]string) {
	named = map[string]string{}
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok {
			named[name] = value
		} else {
			plain = append(plain, w)
		}
	}
	return plain, named
}

func number(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

func textOrNil(named map[string]string, name string) *string {
	if v, given := named[name]; given {
		return &v
	}
	return nil
}

func valueOr(named map[string]string, name, otherwise string) string {
	if v, given := named[name]; given {
		return v
	}
	return otherwise
}

// parts reads t:0,1;u:2.
func parts(text string) map[string][]int32 {
	out := map[string][]int32{}
	for of := range strings.SplitSeq(text, ";") {
		topic, list, _ := strings.Cut(of, ":")
		for p := range strings.SplitSeq(list, ",") {
			if p != "" {
				out[topic] = append(out[topic], number(p))
			}
		}
	}
	return out
}

func subscription(topics string, owned map[string][]int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Generation = 3, -1
	meta.Topics = strings.Split(topics, ",")
	for _, t := range slices.Sorted(maps.Keys(owned)) {
		o := kmsg.NewConsumerMemberMetadataOwnedPartition()
		o.Topic, o.Partitions = t, owned[t]
		meta.OwnedPartitions = append(meta.OwnedPartitions, o)
	}
	return meta.AppendTo(nil)
}

func (s *script) join(plain []string, named map[string]string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID = int16(number(valueOr(named, "v", "9"))), plain[0], s.id(plain[1])
	req.ProtocolType, req.InstanceID = valueOr(named, "type", "consumer"), textOrNil(named, "instance")
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 20_000
	for name := range strings.SplitSeq(valueOr(named, "protocols", "range"), ",") {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription(valueOr(named, "topics", "t"), parts(named["owned"]))
		if named["metadata"] != "" {
			p.Metadata = []byte(named["metadata"])
		}
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

func (s *script) sync(plain []string, named map[string]string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 5, plain[0], s.id(plain[1]), number(plain[2])
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr(valueOr(named, "protocol", "range"))
	req.InstanceID = textOrNil(named, "instance")
	for _, to := range slices.Sorted(maps.Keys(named)) {
		if to == "instance" || to == "protocol" {
			continue
		}
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = s.id(to), encoded(parts(named[to]))
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func encoded(of map[string][]int32) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	for _, t := range slices.Sorted(maps.Keys(of)) {
		at := kmsg.NewConsumerMemberAssignmentTopic()
		at.Topic, at.Partitions = t, of[t]
		a.Topics = append(a.Topics, at)
	}
	return a.AppendTo(nil)
}

func (s *script) beat(plain []string, named map[string]string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group = int16(number(valueOr(named, "v", "1"))), plain[0]
	req.MemberID, req.MemberEpoch, req.InstanceID = s.id(plain[1]), number(plain[2]), textOrNil(named, "instance")
	req.SubscribedTopicRegex, req.ServerAssignor = textOrNil(named, "regex"), textOrNil(named, "assignor")
	if d, err := time.ParseDuration(named["rebalance"]); err == nil {
		req.RebalanceTimeoutMillis = int32(d.Milliseconds())
	} else if req.MemberEpoch == 0 {
		req.RebalanceTimeoutMillis = 30_000
	}
	if topics, given := named["topics"]; given {
		req.SubscribedTopicNames = slices.DeleteFunc(strings.Split(topics, ","), func(t string) bool { return t == "" })
	}
	if owned, given := named["owned"]; given || req.MemberEpoch == 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for _, name := range slices.Sorted(maps.Keys(parts(owned))) {
			t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			known, _ := s.cluster.ByName(name)
			t.TopicID, t.Partitions = known.ID, parts(owned)[name]
			req.Topics = append(req.Topics, t)
		}
	}
	return req
}

func (s *script) commit(plain []string, named map[string]string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group = int16(number(valueOr(named, "v", "9"))), plain[0]
	req.MemberID, req.Generation = s.id(plain[1]), number(plain[2])
	for _, at := range slices.Sorted(maps.Keys(named)) {
		topic, index, ok := strings.Cut(at, ":")
		if !ok {
			continue
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = number(index), int64(number(named[at]))
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = topic, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (s *script) fetch(plain []string, named map[string]string) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 9
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = plain[0], -1
	if id, given := named["member"]; given {
		id = s.id(id)
		g.MemberID, g.MemberEpoch = &id, number(named["epoch"])
	}
	for _, at := range plain[1:] {
		topic, index, _ := strings.Cut(at, ":")
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = topic, []int32{number(index)}
		g.Topics = append(g.Topics, t)
	}
	req.Groups = append(req.Groups, g)
	return req
}

// showRecord reads a record as tools do, without the machine's own reader where there is another.
func showRecord(all Topics, r statelog.Record) string {
	k := kbin.Reader{Src: r.Key}
	kind := k.Int16()
	name := map[int16]string{
		0: "Offset", 1: "Offset", 2: "Group", keyConsumerGroup: "Epoch", keyConsumerMember: "Member", keyTargetEpoch: "TargetEpoch",
		keyTarget: "Target", keyCurrent: "Current", keyRegex: "Regex", keyPartitionMetadata: "Topics",
	}[kind]
	key := k.String()
	switch kind {
	case 0, 1:
		key += fmt.Sprintf(" %s:%d", k.String(), k.Int32())
	case keyConsumerMember, keyTarget, keyCurrent, keyRegex:
		key += " " + k.String()
	}
	if r.Value == nil {
		return fmt.Sprintf("%s %s is gone", name, key)
	}
	return fmt.Sprintf("%s %s %s", name, key, showValue(all, kind, r.Value))
}

func showValue(all Topics, kind int16, value []byte) string {
	r := &reader{kbin.Reader{Src: value}}
	switch kind {
	case 0, 1:
		v := kmsg.NewOffsetCommitValue()
		_ = v.ReadFrom(value)
		return show(all, v)
	case 2:
		v := kmsg.NewGroupMetadataValue()
		_ = v.ReadFrom(value)
		return show(all, v)
	}
	r.Int16()
	switch kind {
	case keyConsumerGroup, keyTargetEpoch:
		return fmt.Sprint(r.Int32())
	case keyConsumerMember:
		m := r.member(nil, "")
		text := fmt.Sprintf("topics=%s", strings.Join(m.topics, ","))
		for name, v := range map[string]*string{"instance": m.instance} {
			if v != nil {
				text += fmt.Sprintf(" %s=%s", name, *v)
			}
		}
		if m.regex != "" {
			text += " regex=" + m.regex
		}
		if m.assignor != "" {
			text += " assignor=" + m.assignor
		}
		if m.classic != nil {
			text += " classic"
		}
		return text
	case keyTarget:
		return showParts(all, heldAt(r.partitions(), 0), false)
	case keyCurrent:
		m := r.current(nil, "")
		state := map[memberState]string{memberStable: "stable", memberUnrevoked: "unrevoked", memberUnreleased: "unreleased"}[m.state]
		text := fmt.Sprintf("epoch=%d previous=%d %s has %s", m.epoch, m.previous, state, showParts(all, m.assigned, true))
		if len(m.revoke) > 0 {
			text += " gives up " + showParts(all, m.revoke, true)
		}
		return text
	case keyRegex:
		return strings.Join(r.strings(), ",")
	}
	return fmt.Sprintf("%x", value)
}

func showParts(all Topics, h held, epochs bool) string {
	var out []string
	for _, id := range topicsInOrder(h) {
		t, _ := all.ByID(id)
		var list []string
		for _, index := range slices.Sorted(maps.Keys(h[id])) {
			text := fmt.Sprint(index)
			if epochs {
				text += fmt.Sprintf("@%d", h[id][index])
			}
			list = append(list, text)
		}
		out = append(out, t.Name+":"+strings.Join(list, ","))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ";")
}

func showResponse(all Topics, r kmsg.Response) string {
	return kmsg.NameForKey(r.Key()) + " " + show(all, r)
}

func errorName(code int16) string {
	if code == 0 {
		return ""
	}
	return kerr.TypedErrorForCode(code).Message
}
