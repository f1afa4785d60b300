package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
)

// maxConfiguredGroups bounds the groups that have configs of their own.
const maxConfiguredGroups = 10_000

// ErrTooMany refuses configs of one more group.
var ErrTooMany = errors.New("too many groups have configs of their own")

// FromGroup is the source of a value that was set for a group.
const FromGroup Source = 8

// groupKeys are the configs of one consumer group (org.apache.kafka.coordinator.group.GroupConfig).
// Their default is the broker's, under the key that Broker names.
var groupKeys = []Key{
	{
		Name: "consumer.assignment.interval.ms", Kind: Int, Default: "0", Broker: "group.consumer.assignment.interval.ms",
		check: within(0, maxInt), Doc: "How long this group keeps an assignment at least before members that come or go change it.",
	},
	{
		Name: "consumer.heartbeat.interval.ms", Kind: Int, Default: "5000", Broker: "group.consumer.heartbeat.interval.ms",
		check: within(1, maxInt), Doc: "How often a member of this group is told to say that it is there.",
	},
	{
		Name: "consumer.session.timeout.ms", Kind: Int, Default: "45000", Broker: "group.consumer.session.timeout.ms",
		check: within(1, maxInt), Doc: "How long a member of this group may be silent.",
	},
}

// GroupKeys lists the configs of groups by name.
func GroupKeys() []Key { return groupKeys }

// GroupKey finds a group's key by its name.
func GroupKey(name string) (Key, bool) {
	for _, k := range groupKeys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// coordinatorKeys are the broker's configs of groups, given at start (GroupCoordinatorConfig).
var coordinatorKeys = []Key{
	{
		Name: "group.consumer.assignment.interval.ms", Kind: Int, Default: "0", check: within(0, maxInt),
		Doc: "How long consumer groups keep an assignment at least before members that come or go change it; 0: not at all.",
	},
	{
		Name: "group.consumer.assignor.offload.enable", Kind: Boolean, Default: "true", check: oneOf("true", "false"),
		Doc: "Accepted for compatibility: assignments are made in the heartbeat that needs them.",
	},
	{
		Name: "group.consumer.assignors", Kind: List, Default: "uniform,range", check: listOf("uniform", "range"),
		Doc: "Server-side assignors that members may ask for; the first is used when none is asked for.",
	},
	{
		Name: "group.consumer.heartbeat.interval.ms", Kind: Int, Default: "5000", check: within(1, maxInt),
		Doc: "How often members of consumer groups are told to say that they are there.",
	},
	{
		Name: "group.consumer.max.assignment.interval.ms", Kind: Int, Default: "15000", check: within(0, maxInt),
		Doc: "Longest assignment interval that a group may be given.",
	},
	{
		Name: "group.consumer.max.heartbeat.interval.ms", Kind: Int, Default: "15000", check: within(1, maxInt),
		Doc: "Longest heartbeat interval that a group may be given.",
	},
	{
		Name: "group.consumer.max.session.timeout.ms", Kind: Int, Default: "60000", check: within(1, maxInt),
		Doc: "Longest session timeout that a group may be given.",
	},
	{
		Name: "group.consumer.max.size", Kind: Int, Default: "10000", check: within(1, maxInt),
		Doc: "Most members of a group of the consumer protocol.",
	},
	{
		Name: "group.consumer.migration.policy", Kind: String, Default: "bidirectional",
		check: oneOf("bidirectional", "upgrade", "downgrade", "disabled"),
		Doc:   "Whether groups with members may go from the classic protocol to the consumer protocol and back.",
	},
	{
		Name: "group.consumer.min.assignment.interval.ms", Kind: Int, Default: "0", check: within(0, maxInt),
		Doc: "Shortest assignment interval that a group may be given.",
	},
	{
		Name: "group.consumer.min.heartbeat.interval.ms", Kind: Int, Default: "5000", check: within(1, maxInt),
		Doc: "Shortest heartbeat interval that a group may be given.",
	},
	{
		Name: "group.consumer.min.session.timeout.ms", Kind: Int, Default: "45000", check: within(1, maxInt),
		Doc: "Shortest session timeout that a group may be given.",
	},
	{
		Name: "group.consumer.regex.refresh.interval.ms", Kind: Int, Default: "600000", check: within(10_000, maxInt),
		Doc: "Accepted for compatibility: regular expressions are matched again whenever topics change.",
	},
	{
		Name: "group.consumer.session.timeout.ms", Kind: Int, Default: "45000", check: within(1, maxInt),
		Doc: "How long a member of a consumer group may be silent.",
	},
	{
		Name: "group.max.session.timeout.ms", Kind: Int, Default: "1800000", check: within(1, maxInt),
		Doc: "Longest session timeout that a member of a classic group may ask for.",
	},
	{
		Name: "group.min.session.timeout.ms", Kind: Int, Default: "6000", check: within(1, maxInt),
		Doc: "Shortest session timeout that a member of a classic group may ask for.",
	},
	{
		Name: "offset.metadata.max.bytes", Kind: Int, Default: "4096", check: within(0, maxInt),
		Doc: "Longest text that a client may keep with an offset.",
	},
	{
		Name: "offsets.retention.check.interval.ms", Kind: Long, Default: "600000", check: atLeast(1),
		Doc: "How often expired offsets are looked for.",
	},
	{
		Name: "offsets.retention.minutes", Kind: Int, Default: "10080", check: within(1, maxInt),
		Doc: "How long offsets of a group without members are kept.",
	},
}

// CoordinatorKeys lists the broker's configs of groups by name.
func CoordinatorKeys() []Key { return coordinatorKeys }

// CoordinatorKey finds one of them.
func CoordinatorKey(name string) (Key, bool) {
	for _, k := range coordinatorKeys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// Coordinator is the value of a coordinator key: what was given at start, or the default.
func (img *Image) Coordinator(name string) (value string, given bool) {
	if v, ok := img.static[name]; ok {
		return v, true
	}
	k, _ := CoordinatorKey(name)
	return k.Default, false
}

// CoordinatorNumber is the value of a coordinator key that is a number.
func (img *Image) CoordinatorNumber(name string) int {
	v, _ := img.Coordinator(name)
	n, _ := strconv.Atoi(v)
	return n
}

// GroupSynonyms lists the values of a group's key from the strongest to the default.
func (img *Image) GroupSynonyms(group string, k Key) []Synonym {
	var all []Synonym
	if v, ok := img.GroupConfigs[group][k.Name]; ok {
		all = append(all, Synonym{k.Name, v, FromGroup})
	}
	if v, given := img.Coordinator(k.Broker); given {
		all = append(all, Synonym{k.Broker, v, FromStatic})
	}
	broker, _ := CoordinatorKey(k.Broker)
	return append(all, Synonym{k.Broker, broker.Default, FromDefault})
}

// GroupNumber is the value in force of a group's key.
func (img *Image) GroupNumber(group, name string) int {
	k, _ := GroupKey(name)
	n, _ := strconv.Atoi(img.GroupSynonyms(group, k)[0].Value)
	return n
}

// groupRec replaces the configs of one group.
type groupRec struct {
	Group   string  `json:"group"`
	Configs Configs `json:"configs"`
}

func (img *Image) putGroup(r groupRec) {
	img.GroupConfigs = maps.Clone(img.GroupConfigs)
	if img.GroupConfigs == nil {
		img.GroupConfigs = map[string]Configs{}
	}
	img.GroupConfigs[r.Group] = r.Configs
	if len(r.Configs) == 0 {
		delete(img.GroupConfigs, r.Group)
	}
}

// ConfigureGroup replaces a group's configs by what edit makes of them. The group need not be there.
func (c *Catalog) ConfigureGroup(ctx context.Context, group string, edit func(*Image) (Configs, error), validateOnly bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.Image()
	next, err := edit(img)
	if err == nil {
		next, err = img.checkGroup(next)
	}
	if err != nil || validateOnly {
		return err
	}
	if _, known := img.GroupConfigs[group]; !known && len(next) > 0 && len(img.GroupConfigs) >= maxConfiguredGroups {
		return fmt.Errorf("%w: %d", ErrTooMany, maxConfiguredGroups)
	}
	return c.change(ctx, record{Group: &groupRec{Group: group, Configs: next}})
}

// checkGroup holds a group's values against the broker's bounds and each other.
func (img *Image) checkGroup(given Configs) (Configs, error) {
	next := Configs{}
	for name, value := range given {
		k, known := GroupKey(name)
		if !known {
			return nil, fmt.Errorf("%w: unknown group config %s", ErrInvalidConfig, strconv.Quote(name))
		}
		v, err := k.Check(value)
		if err != nil {
			return nil, err
		}
		next[name] = v
	}
	number := func(name string) int {
		if v, set := next[name]; set {
			n, _ := strconv.Atoi(v)
			return n
		}
		k, _ := GroupKey(name)
		return img.CoordinatorNumber(k.Broker)
	}
	session, heartbeat := number("consumer.session.timeout.ms"), number("consumer.heartbeat.interval.ms")
	for _, bound := range []struct {
		name, low, high string
		value           int
	}{
		{
			"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms",
			number("consumer.assignment.interval.ms"),
		},
		{"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms", heartbeat},
		{"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms", session},
	} {
		if low := img.CoordinatorNumber(bound.low); bound.value < low {
			return nil, fmt.Errorf("%w: %s must be greater than or equal to %s, which is %d", ErrInvalidConfig, bound.name, bound.low, low)
		}
		if high := img.CoordinatorNumber(bound.high); bound.value > high {
			return nil, fmt.Errorf("%w: %s must be less than or equal to %s, which is %d", ErrInvalidConfig, bound.name, bound.high, high)
		}
	}
	if session <= heartbeat {
		return nil, fmt.Errorf("%w: consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms", ErrInvalidConfig)
	}
	return next, nil
}
