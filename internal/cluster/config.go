package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// ErrInvalidConfig refuses an unknown key or an impossible value.
var ErrInvalidConfig = errors.New("invalid value")

// Configs are values that somebody has set, by key.
type Configs map[string]string

// Check brings the configs of a topic into the form in which they are kept.
func (c Configs) Check() (Configs, error) {
	out := Configs{}
	for name, value := range c {
		k, ok := TopicKey(name)
		if !ok {
			return nil, fmt.Errorf("%w: unknown topic config %s", ErrInvalidConfig, strconv.Quote(name))
		}
		v, err := k.Check(value)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// admit checks the configs of a topic: what each key takes, and for what was not set before what this server takes.
func (img *Image) admit(c, before Configs) (Configs, error) {
	c, err := c.Check()
	if err != nil || img.refuse == nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if was, set := before[name]; set && was == c[name] {
			continue
		}
		if err := img.refuse(name, c[name]); err != nil {
			return nil, fmt.Errorf("%w %s for %s: %w", ErrInvalidConfig, strconv.Quote(c[name]), name, err)
		}
	}
	return c, nil
}

// Source is where a value comes from, numbered as DescribeConfigs numbers it.
type Source int8

// The sources in use (DescribeConfigsResponse.ConfigSource).
const (
	FromTopic          Source = 1
	FromBroker         Source = 2
	FromClusterDefault Source = 3
	FromStatic         Source = 4
	FromDefault        Source = 5
)

// Synonym is one of the values that a key could take, the first of a list is in force.
type Synonym struct {
	Name, Value string
	Source      Source
}

// ConfigSynonyms lists the values of a topic's key from the strongest to the default. The topic
// may be the zero Topic, to see what the broker gives.
func (img *Image) ConfigSynonyms(t Topic, k Key) []Synonym {
	var all []Synonym
	if v, ok := t.Configs[k.Name]; ok {
		all = append(all, Synonym{k.Name, v, FromTopic})
	}
	return append(all, img.BrokerSynonyms(k)...)
}

// BrokerSynonyms lists a broker's values of a key from the strongest to the default.
func (img *Image) BrokerSynonyms(k Key) []Synonym {
	var all []Synonym
	if k.Broker != "" {
		for _, scope := range []struct {
			configs Configs
			source  Source
		}{{img.BrokerConfigs, FromBroker}, {img.DefaultConfigs, FromClusterDefault}, {img.static, FromStatic}} {
			if v, ok := scope.configs[k.Broker]; ok {
				all = append(all, Synonym{k.Broker, v, scope.source})
			}
		}
	}
	if k.Broker != "" && !k.Unset {
		all = append(all, Synonym{k.Broker, k.Default, FromDefault})
	}
	return all
}

// ConfigValue is the value in force and its source.
func (img *Image) ConfigValue(t Topic, k Key) (string, Source) {
	if all := img.ConfigSynonyms(t, k); len(all) > 0 {
		return all[0].Value, all[0].Source
	}
	return k.Default, FromDefault
}

// TopicConfig is what a topic's configs say, parsed. Times are in milliseconds.
type TopicConfig struct {
	MaxMessageBytes                           int
	CompressionType                           string
	GzipLevel, LZ4Level, ZstdLevel            int
	LogAppendTime                             bool
	TimestampBeforeMaxMs, TimestampAfterMaxMs int64
	Compact, Delete                           bool
	RetentionMs, RetentionBytes               int64 // -1: no limit
	SegmentBytes, SegmentMs                   int64
	DeleteRetentionMs                         int64
	MinCompactionLagMs, MaxCompactionLagMs    int64
	MinCleanableDirtyRatio                    float64
	SeaweedMQPublish, SeaweedMQTopic          string
	SeaweedMQUndecodable                      string
	SeaweedMQDeadLetters                      string      // topic, empty: none
	SeaweedMQMaxLag                           int64       // -1: any
	SeaweedMQSource, SeaweedMQFormat          string      // namespace/topic, empty: none
	SchemaRegistry                            string      // name of a registry; empty: the server's own choice
	Validation                                *Validation // nil: schemas are not looked at
}

// parse reads the configs in force for a topic; values were checked when they were set.
func (img *Image) parse(t Topic) *TopicConfig {
	text := func(name string) string {
		k, _ := TopicKey(name)
		v, _ := img.ConfigValue(t, k)
		return v
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(text(name), 10, 64)
		return n
	}
	dirty, _ := strconv.ParseFloat(text("min.cleanable.dirty.ratio"), 64)
	policies := SplitList(text("cleanup.policy"))
	return &TopicConfig{
		MaxMessageBytes:        int(number("max.message.bytes")),
		CompressionType:        text("compression.type"),
		GzipLevel:              int(number("compression.gzip.level")),
		LZ4Level:               int(number("compression.lz4.level")),
		ZstdLevel:              int(number("compression.zstd.level")),
		LogAppendTime:          text("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs:   number("message.timestamp.before.max.ms"),
		TimestampAfterMaxMs:    number("message.timestamp.after.max.ms"),
		Compact:                slices.Contains(policies, "compact"),
		Delete:                 slices.Contains(policies, "delete"),
		RetentionMs:            number("retention.ms"),
		RetentionBytes:         number("retention.bytes"),
		SegmentBytes:           number("segment.bytes"),
		SegmentMs:              number("segment.ms"),
		DeleteRetentionMs:      number("delete.retention.ms"),
		MinCompactionLagMs:     number("min.compaction.lag.ms"),
		MaxCompactionLagMs:     number("max.compaction.lag.ms"),
		MinCleanableDirtyRatio: dirty,
		SeaweedMQPublish:       text("kelp.seaweedmq.publish"),
		SeaweedMQTopic:         text("kelp.seaweedmq.topic"),
		SeaweedMQUndecodable:   text("kelp.seaweedmq.undecodable"),
		SeaweedMQDeadLetters:   text("kelp.seaweedmq.dead.letter.topic"),
		SeaweedMQMaxLag:        number("kelp.seaweedmq.max.lag.records"),
		SeaweedMQSource:        text("kelp.seaweedmq.source"),
		SeaweedMQFormat:        text("kelp.seaweedmq.source.format"),
		SchemaRegistry:         text(SchemaRegistryKey),
		Validation:             validationOf(text),
	}
}
