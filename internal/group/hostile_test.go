package group

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// What clients send must neither stop the machine nor reach a record that cannot be read again. Other
// groups go on.
func TestHostileMembersAreRefusedAndHarmNobody(t *testing.T) {
	s := newScript(t)
	s.cluster = s.cluster.with(map[string]string{"t": "2"})
	s.command(strings.Fields("join good - v=3"))
	s.command(strings.Fields("beat better a 0 topics=t"))
	long := strings.Repeat("x", 32<<10)
	million := make([]string, 1_000_000)
	for i := range million {
		million[i] = fmt.Sprint(i)
	}
	join := func(change func(*kmsg.JoinGroupRequest)) func(statelog.Input) statelog.Effects {
		req := s.join([]string{"bad", "-"}, map[string]string{"v": "3"})
		change(req)
		return func(in statelog.Input) statelog.Effects { return s.m.JoinGroup(in, Client{ID: "c"}, req) }
	}
	beat := func(change func(*kmsg.ConsumerGroupHeartbeatRequest)) func(statelog.Input) statelog.Effects {
		req := s.beat([]string{"worse", "m", "0"}, map[string]string{"topics": "t"})
		change(req)
		return func(in statelog.Input) statelog.Effects { return s.m.ConsumerGroupHeartbeat(in, Client{ID: "c"}, req) }
	}
	huge := func(topics []string) []byte {
		meta := kmsg.NewConsumerMemberMetadata()
		meta.Topics = topics
		return meta.AppendTo(nil)
	}
	for name, f := range map[string]struct {
		step func(statelog.Input) statelog.Effects
		want int16
	}{
		"a member id of 32 KiB": {join(func(r *kmsg.JoinGroupRequest) { r.MemberID = long }), kerr.UnknownMemberID.Code},
		"a group id of 32 KiB":  {join(func(r *kmsg.JoinGroupRequest) { r.Group = long }), kerr.InvalidGroupID.Code},
		"an instance of 32 KiB": {join(func(r *kmsg.JoinGroupRequest) { r.InstanceID = &long }), kerr.InvalidRequest.Code},
		"a million topics":      {join(func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Metadata = huge(million) }), kerr.InvalidRequest.Code},
		"no protocols":          {join(func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }), kerr.InconsistentGroupProtocol.Code},
		"another protocol type": {
			join(func(r *kmsg.JoinGroupRequest) { r.Group, r.ProtocolType = "good", "connect" }), kerr.InconsistentGroupProtocol.Code,
		},
		"a session of no time":   {join(func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 0 }), kerr.InvalidSessionTimeout.Code},
		"a session of weeks":     {join(func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 }), kerr.InvalidSessionTimeout.Code},
		"consumer: a long id":    {beat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = long }), kerr.InvalidRequest.Code},
		"consumer: a long group": {beat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = long }), kerr.InvalidGroupID.Code},
		"consumer: a long rack":  {beat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = &long }), kerr.InvalidRequest.Code},
		"consumer: a million topics": {
			beat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = million }), kerr.InvalidRequest.Code,
		},
		"consumer: a long regex": {
			beat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = &long }), kerr.InvalidRegularExpression.Code,
		},
		"consumer: a regex that would explode": {
			beat(func(r *kmsg.ConsumerGroupHeartbeatRequest) {
				r.SubscribedTopicRegex = kmsg.StringPtr("(((a{1000}){1000}){1000})")
			}),
			kerr.InvalidRegularExpression.Code,
		},
	} {
		before := len(s.log)
		s.ticket++
		e := f.step(statelog.Input{Now: s.now, Ticket: s.ticket, NewID: func() [16]byte { return [16]byte{9} }})
		if len(e.Records) > 0 || len(s.log) != before {
			t.Errorf("%s: leaves records", name)
		}
		var code int16
		switch r := e.Replies[0].Response.(type) {
		case *kmsg.JoinGroupResponse:
			code = r.ErrorCode
		case *kmsg.ConsumerGroupHeartbeatResponse:
			code = r.ErrorCode
		}
		if code != f.want {
			t.Errorf("%s: %v, want %v", name, kerr.ErrorForCode(code), kerr.ErrorForCode(f.want))
		}
	}
	s.out.Reset()
	s.command(strings.Fields("heartbeat good $1 1"))
	s.command(strings.Fields("beat better a 2"))
	if got := s.out.String(); strings.Contains(got, "ErrorCode") {
		t.Errorf("others are harmed: %s", got)
	}
}

// Members that say much are bounded together as well: their group is one record.
func TestAGroupIsBoundedInBytes(t *testing.T) {
	s := newScript(t)
	refused := 0
	for i := range 64 {
		req := s.join([]string{"g", "-"}, map[string]string{"v": "3"})
		req.Protocols[0].Metadata = make([]byte, maxMemberBytes-100)
		in := statelog.Input{Now: s.now, Ticket: statelog.Ticket(i + 1), NewID: func() [16]byte { return [16]byte{byte(i)} }}
		e := s.m.JoinGroup(in, Client{}, req)
		for _, r := range e.Replies {
			if resp, ok := r.Response.(*kmsg.JoinGroupResponse); ok && resp.ErrorCode == kerr.GroupMaxSizeReached.Code {
				refused++
			}
		}
	}
	if n := s.m.groups["g"].memberBytes(""); n > maxGroupBytes || refused == 0 {
		t.Errorf("%d bytes, %d refused", n, refused)
	}
}

// A client id may be as long as a name can be; the member id that is made of it is not longer.
func TestALongClientIDMakesAMemberIDThatFits(t *testing.T) {
	s := newScript(t)
	for _, id := range []string{strings.Repeat("x", maxNameBytes), strings.Repeat("ü", maxNameBytes/2)} {
		s.ticket++
		req := s.join([]string{"g", "-"}, map[string]string{"v": "3"})
		client := Client{ID: id}
		s.step(func(in statelog.Input) statelog.Effects { return s.m.JoinGroup(in, client, req) })
	}
	for id := range s.m.groups["g"].members {
		if !fits(id) || !strings.HasPrefix(id, "x") && !strings.HasPrefix(id, "ü") {
			t.Errorf("%d bytes: %.20s", len(id), id)
		}
	}
}
