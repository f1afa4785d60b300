package diff

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keys are the configs of consumer groups; Apache Kafka has those of share groups and streams groups as well.
var keys = []string{"consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "consumer.assignment.interval.ms"}

func describeGroup(group string, synonyms bool) kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeGroupConfig, group, keys
	req.Resources, req.IncludeSynonyms = append(req.Resources, r), synonyms
	return at(req, 4)
}

// alterGroup changes one config of a group.
func alterGroup(group, key string, op kmsg.IncrementalAlterConfigOp, value *string, validate bool) kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op, c.Value = key, op, value
	r.Configs = append(r.Configs, c)
	req.Resources, req.ValidateOnly = append(req.Resources, r), validate
	return at(req, 1)
}

// groupConfigs sets configs of a group that need not be there, well and badly.
func groupConfigs(named func(string) string, add adding) {
	g := named("configured")
	describe := func(name string) {
		add(name, func(*session) kmsg.Request { return describeGroup(g, true) })
		add(name+", without synonyms", func(*session) kmsg.Request { return describeGroup(g, false) })
	}
	const set, remove, appends, subtract = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete,
		kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	timeout, heartbeat, interval := keys[0], keys[1], keys[2]
	describe("configs of a group")
	for _, c := range []struct {
		name, group, key string
		op               kmsg.IncrementalAlterConfigOp
		value            *string
		validate         bool
	}{
		{"set a session timeout", g, timeout, set, ptr("50000"), false},
		{"set a session timeout that is too short", g, timeout, set, ptr("1000"), false},
		{"set a session timeout that is too long", g, timeout, set, ptr("60001"), false},
		{"set a session timeout just to see", g, timeout, set, ptr("55000"), true},
		{"set a bad session timeout just to see", g, timeout, set, ptr("1"), true},
		{"set a heartbeat interval that is too long", g, heartbeat, set, ptr("20000"), false},
		{"set a heartbeat interval that is too short", g, heartbeat, set, ptr("4999"), false},
		{"set a heartbeat interval that is no number", g, heartbeat, set, ptr("soon"), false},
		{"set a heartbeat interval beyond an int", g, heartbeat, set, ptr("3000000000"), false},
		{"set a heartbeat interval", g, heartbeat, set, ptr("15000"), false},
		{"set a heartbeat interval with spaces", g, heartbeat, set, ptr(" 6000 "), false},
		{"set an assignment interval", g, interval, set, ptr("15000"), false},
		{"set an assignment interval that is too long", g, interval, set, ptr("15001"), false},
		{"set a negative assignment interval", g, interval, set, ptr("-1"), false},
		{"set an empty assignment interval", g, interval, set, ptr(""), false},
		{"set no assignment interval", g, interval, set, nil, false},
		{"set an unknown config of a group", g, "consumer.colour", set, ptr("blue"), false},
		{"delete an unknown config of a group", g, "consumer.colour", remove, nil, false},
		{"set a topic's config of a group", g, "retention.ms", set, ptr("1000"), false},
		{"append to a number", g, timeout, appends, ptr("1"), false},
		{"subtract from a number", g, timeout, subtract, ptr("1"), false},
		{"set a config of no group", "", timeout, set, ptr("50000"), false},
	} {
		add(c.name, func(*session) kmsg.Request { return alterGroup(c.group, c.key, c.op, c.value, c.validate) })
	}
	describe("configs of a group that were set")
	add("delete a session timeout", func(*session) kmsg.Request { return alterGroup(g, timeout, remove, nil, false) })
	add("delete it again", func(*session) kmsg.Request { return alterGroup(g, timeout, remove, nil, false) })
	describe("configs of a group of which one was deleted")
	add("configs of no group", func(*session) kmsg.Request { return describeGroup("", true) })
}

// intervals is a group that may not be assigned anew for a while: who comes meanwhile has nothing.
func intervals(named func(string) string, beat beating, add adding, v int16) {
	g := named("slow")
	describe := func(name string) {
		add(name, func(*session) kmsg.Request {
			req := kmsg.NewPtrConsumerGroupDescribeRequest()
			req.Groups = []string{g}
			return at(req, v)
		})
	}
	set := func(name, value string) {
		add(name, func(*session) kmsg.Request {
			return alterGroup(g, "consumer.assignment.interval.ms", kmsg.IncrementalAlterConfigOpSet, &value, false)
		})
	}
	set("assign every 15 seconds at most", "15000")
	beat("the first join is assigned", "slow", "a", 0, joining("diff"))
	beat("the next must wait", "slow", "b", 0, joining("diff"))
	describe("describe while one waits")
	beat("the first goes on", "slow", "a", 2)
	beat("the second goes on", "slow", "b", 2)
	beat("the second leaves before it got anything", "slow", "b", -1)
	beat("the second comes back", "slow", "b", 0, joining("diff"))
	describe("describe while it waits again")
	set("assign whenever it is needed", "0")
	beat("the second is heard of", "slow", "b", 2)
	describe("describe what was assigned")
	beat("the first is told to give up its share", "slow", "a", 2)
}
