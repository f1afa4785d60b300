package cluster

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is the type of a config value, numbered as DescribeConfigs v3 numbers it.
type Kind int8

// The kinds in use (org.apache.kafka.clients.admin.ConfigEntry.ConfigType in wire order).
const (
	Boolean Kind = 1
	String  Kind = 2
	Int     Kind = 3
	Long    Kind = 5
	Double  Kind = 6
	List    Kind = 7
)

// Key is one config key of topics: Kafka's name, type and default, and the broker's key for the same.
type Key struct {
	Name    string
	Kind    Kind
	Default string
	// Broker is the key under which brokers hold the default of all topics, empty where there is none.
	Broker string
	// Unset says that the broker's key has no value unless somebody sets it: Default then comes
	// from Kafka's coarser key (log.retention.hours for log.retention.ms).
	Unset bool
	// ReadOnly: a broker's key that cannot be changed while the broker runs.
	ReadOnly bool
	Doc      string
	check    func(string) error
}

func atLeast(low int64) func(string) error { return within(low, math.MaxInt64) }

func within(low, high int64) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return nil
	}
}

func ratio(v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("must be a number from 0 to 1")
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

func listOf(words ...string) func(string) error {
	return func(v string) error {
		for _, w := range SplitList(v) {
			if !slices.Contains(words, w) {
				return fmt.Errorf("must be a list of %s", strings.Join(words, ", "))
			}
		}
		return nil
	}
}

// gzipLevel takes the levels of zlib and its default, -1, but not 0 (stored).
func gzipLevel(v string) error {
	if v == "0" {
		return fmt.Errorf("must be -1 or from 1 to 9")
	}
	return within(-1, 9)(v)
}

// throttled is a list of partition:replica pairs, or * for all.
func throttled(v string) error {
	if v == "*" {
		return nil
	}
	for _, pair := range SplitList(v) {
		p, r, ok := strings.Cut(pair, ":")
		if !ok || atLeast(0)(p) != nil || atLeast(0)(r) != nil {
			return fmt.Errorf("must be * or a list of partition:replica")
		}
	}
	return nil
}

// SchemaRegistryKey is the config of a topic that names its schema registry. It takes a name and no address, so that
// who may configure a topic cannot make the server call wherever they like.
const SchemaRegistryKey = "kelp.schema.registry"

// maxRegistryName bounds the name of a registry.
const maxRegistryName = 64

func registryName(v string) error {
	if len(v) > maxRegistryName || strings.ContainsFunc(v, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) {
		return fmt.Errorf("must be empty or the name of a registry, of at most %d letters, digits, '.', '_' and '-'", maxRegistryName)
	}
	return nil
}

// seaweedMQTopic is name or namespace/name, in what SeaweedFS takes for the names of folders.
func seaweedMQTopic(v string) error {
	if v == "" {
		return nil
	}
	namespace, name, both := strings.Cut(v, "/")
	if both && namespace == "" || !both && v == "" || both && name == "" || strings.ContainsAny(v, " \t\n\\") || strings.Contains(name, "/") ||
		len(v) > 249 || strings.HasPrefix(namespace, ".") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("must be name or namespace/name")
	}
	return nil
}

// deadLetterTopic is empty or the name of a topic that records can be written to.
func deadLetterTopic(v string) error {
	if len(v) > 249 || v == "." || v == ".." || strings.HasPrefix(v, "__") || strings.ContainsFunc(v, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) {
		return fmt.Errorf("must be empty or the name of a topic of users")
	}
	return nil
}

const (
	maxLong = "9223372036854775807"
	maxInt  = math.MaxInt32
)

// topicKeys are all keys of topics, by name.
var topicKeys = sorted(kafkaKeys, validationKeys, sourceKeys)

func sorted(groups ...[]Key) []Key {
	all := slices.Concat(groups...)
	slices.SortFunc(all, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// kafkaKeys are Kafka's (org.apache.kafka.common.config.TopicConfig and LogConfig).
var kafkaKeys = []Key{
	{
		Name: "cleanup.policy", Kind: List, Default: "delete", Broker: "log.cleanup.policy", check: listOf("compact", "delete"),
		Doc: "What happens to old records: delete removes them by age and size, compact keeps the newest of each key, both may be given.",
	},
	{
		Name: "compression.gzip.level", Kind: Int, Default: "-1", Broker: "compression.gzip.level", check: gzipLevel,
		Doc: "Level used when compression.type is gzip; -1 is the codec's own default.",
	},
	{
		Name: "compression.lz4.level", Kind: Int, Default: "9", Broker: "compression.lz4.level", check: within(1, 17),
		Doc: "Level used when compression.type is lz4.",
	},
	{
		Name: "compression.type", Kind: String, Default: "producer", Broker: "compression.type",
		check: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
		Doc:   "Codec of stored batches; producer keeps what the producer chose.",
	},
	{
		Name: "compression.zstd.level", Kind: Int, Default: "3", Broker: "compression.zstd.level", check: within(-131072, 22),
		Doc: "Level used when compression.type is zstd.",
	},
	{
		Name: "delete.retention.ms", Kind: Long, Default: "86400000", Broker: "log.cleaner.delete.retention.ms", check: atLeast(0),
		Doc: "How long a compacted topic keeps tombstones after they were compacted.",
	},
	{
		Name: "file.delete.delay.ms", Kind: Long, Default: "60000", Broker: "log.segment.delete.delay.ms", check: atLeast(0),
		Doc: "Accepted for compatibility; freed space is given back when nobody reads it any more.",
	},
	{
		Name: "flush.messages", Kind: Long, Default: maxLong, Broker: "log.flush.interval.messages", check: atLeast(1),
		Doc: "Accepted for compatibility; durability is the broker's own setting.",
	},
	{
		Name: "flush.ms", Kind: Long, Default: maxLong, Broker: "log.flush.interval.ms", Unset: true, check: atLeast(0),
		Doc: "Accepted for compatibility; durability is the broker's own setting.",
	},
	{
		Name: "follower.replication.throttled.replicas", Kind: List, check: throttled,
		Doc: "Accepted for compatibility; there is no replication to throttle.",
	},
	{
		Name: "index.interval.bytes", Kind: Int, Default: "4096", Broker: "log.index.interval.bytes", check: within(0, maxInt),
		Doc: "Accepted for compatibility; the log chooses the spacing of its indexes.",
	},
	{
		Name: SchemaRegistryKey, Kind: String, check: registryName,
		Doc: "Name of the schema registry that this topic's records refer to: one of --topic-registry, or embedded; " +
			"empty is the registry that the server uses for all.",
	},
	{
		Name: "kelp.seaweedmq.dead.letter.topic", Kind: String, check: deadLetterTopic,
		Doc: "Topic that undecodable records of a structured topic are written to as well, with headers that say where they come from and why; " +
			"empty is none. It must exist.",
	},
	{
		Name: "kelp.seaweedmq.max.lag.records", Kind: Long, Default: "-1", Broker: "kelp.seaweedmq.max.lag.records", check: atLeast(-1),
		Doc: "Offsets that a mirrored partition may have which are not in SeaweedMQ; beyond them Produce is refused with NOT_ENOUGH_REPLICAS, " +
			"which producers try again. -1 never refuses.",
	},
	{
		Name: "kelp.seaweedmq.publish", Kind: String, Default: "off", Broker: "kelp.seaweedmq.publish", check: oneOf("off", "raw", "structured"),
		Doc: "Whether records are mirrored to SeaweedMQ: raw as the bytes that they are, structured with the fields of their values as columns.",
	},
	{
		Name: "kelp.seaweedmq.topic", Kind: String, check: seaweedMQTopic,
		Doc: "Topic in SeaweedMQ, as name or namespace/name; empty is the topic's own name in the namespace of the server.",
	},
	{
		Name: "kelp.seaweedmq.undecodable", Kind: String, Default: "keep", Broker: "kelp.seaweedmq.undecodable", check: oneOf("keep", "drop"),
		Doc: "What a structured topic does with a value that is not what its schema says: keep it without its fields and with the column " +
			"kafka_error, or drop it.",
	},
	{
		Name: "leader.replication.throttled.replicas", Kind: List, check: throttled,
		Doc: "Accepted for compatibility; there is no replication to throttle.",
	},
	{
		Name: "local.retention.bytes", Kind: Long, Default: "-2", Broker: "log.local.retention.bytes", check: atLeast(-2),
		Doc: "Accepted for compatibility; nothing is tiered.",
	},
	{
		Name: "local.retention.ms", Kind: Long, Default: "-2", Broker: "log.local.retention.ms", check: atLeast(-2),
		Doc: "Accepted for compatibility; nothing is tiered.",
	},
	{
		Name: "max.compaction.lag.ms", Kind: Long, Default: maxLong, Broker: "log.cleaner.max.compaction.lag.ms", check: atLeast(1),
		Doc: "A record is compacted at the latest this long after it was written.",
	},
	{
		Name: "max.message.bytes", Kind: Int, Default: "1048588", Broker: "message.max.bytes", check: within(0, maxInt),
		Doc: "Largest record batch taken, in bytes after compression.",
	},
	{
		Name: "message.timestamp.after.max.ms", Kind: Long, Default: "3600000", Broker: "log.message.timestamp.after.max.ms", check: atLeast(0),
		Doc: "How far a record's timestamp may lie after the broker's clock; not checked with LogAppendTime.",
	},
	{
		Name: "message.timestamp.before.max.ms", Kind: Long, Default: maxLong, Broker: "log.message.timestamp.before.max.ms", check: atLeast(0),
		Doc: "How far a record's timestamp may lie before the broker's clock; not checked with LogAppendTime.",
	},
	{
		Name: "message.timestamp.type", Kind: String, Default: "CreateTime", Broker: "log.message.timestamp.type",
		check: oneOf("CreateTime", "LogAppendTime"),
		Doc:   "Whether a record's timestamp is the producer's or the time of appending.",
	},
	{
		Name: "min.cleanable.dirty.ratio", Kind: Double, Default: "0.5", Broker: "log.cleaner.min.cleanable.ratio", check: ratio,
		Doc: "Share of not yet compacted bytes from which a compacted topic is compacted again.",
	},
	{
		Name: "min.compaction.lag.ms", Kind: Long, Default: "0", Broker: "log.cleaner.min.compaction.lag.ms", check: atLeast(0),
		Doc: "A record is not compacted before it is this old.",
	},
	{
		Name: "min.insync.replicas", Kind: Int, Default: "1", Broker: "min.insync.replicas", check: within(1, maxInt),
		Doc: "Replicas that must have a record before acks=all is answered; here a durable record counts as in sync everywhere.",
	},
	{
		Name: "preallocate", Kind: Boolean, Default: "false", Broker: "log.preallocate", check: oneOf("true", "false"),
		Doc: "Accepted for compatibility; the log decides how it lays out its files.",
	},
	{
		Name: "remote.log.copy.disable", Kind: Boolean, Default: "false", check: oneOf("true", "false"),
		Doc: "Accepted for compatibility; nothing is tiered.",
	},
	{
		Name: "remote.log.delete.on.disable", Kind: Boolean, Default: "false", check: oneOf("true", "false"),
		Doc: "Accepted for compatibility; nothing is tiered.",
	},
	{
		Name: "remote.storage.enable", Kind: Boolean, Default: "false", check: oneOf("false"),
		Doc: "Tiered storage, which is not available: only false is taken.",
	},
	{
		Name: "retention.bytes", Kind: Long, Default: "-1", Broker: "log.retention.bytes", check: atLeast(-1),
		Doc: "Size from which a partition drops its oldest records; -1 is no limit.",
	},
	{
		Name: "retention.ms", Kind: Long, Default: "604800000", Broker: "log.retention.ms", Unset: true, check: atLeast(-1),
		Doc: "Age from which records are dropped; -1 is never.",
	},
	{
		Name: "segment.bytes", Kind: Int, Default: "1073741824", Broker: "log.segment.bytes", check: within(1<<20, maxInt),
		Doc: "Size of a segment, the unit of retention and compaction.",
	},
	{
		Name: "segment.index.bytes", Kind: Int, Default: "10485760", Broker: "log.index.size.max.bytes", check: within(4, maxInt),
		Doc: "Accepted for compatibility; the log chooses the size of its indexes.",
	},
	{
		Name: "segment.jitter.ms", Kind: Long, Default: "0", Broker: "log.roll.jitter.ms", Unset: true, check: atLeast(0),
		Doc: "Accepted for compatibility; segments of different topics do not roll together here.",
	},
	{
		Name: "segment.ms", Kind: Long, Default: "604800000", Broker: "log.roll.ms", Unset: true, check: atLeast(1),
		Doc: "Age at which a segment is closed even when it is not full.",
	},
	{
		Name: "unclean.leader.election.enable", Kind: Boolean, Default: "false", Broker: "unclean.leader.election.enable",
		check: oneOf("true", "false"),
		Doc:   "Accepted for compatibility; a leader always has every acknowledged record.",
	},
}

// TopicKeys lists the config keys of topics by name.
func TopicKeys() []Key { return topicKeys }

// TopicKey finds a topic's key by its name.
func TopicKey(name string) (Key, bool) {
	i, ok := slices.BinarySearchFunc(topicKeys, name, func(k Key, n string) int { return strings.Compare(k.Name, n) })
	if !ok {
		return Key{}, false
	}
	return topicKeys[i], true
}

// BrokerKey finds the topic's key for which a broker holds the default under the given name.
func BrokerKey(name string) (Key, bool) {
	for _, k := range topicKeys {
		if k.Broker != "" && k.Broker == name {
			return k, true
		}
	}
	return Key{}, false
}

// Check brings a value into the form in which it is kept, or says what it must be.
func (k Key) Check(value string) (string, error) {
	value = strings.TrimSpace(value)
	if k.Kind == Boolean {
		value = strings.ToLower(value)
	}
	if k.Kind == List {
		value = strings.Join(SplitList(value), ",")
	}
	if (k.Kind == Int && within(math.MinInt32, maxInt)(value) != nil) || k.check(value) != nil {
		err := k.check(value)
		if err == nil {
			err = fmt.Errorf("must be a whole number of 32 bits")
		}
		return "", fmt.Errorf("%w %s for %s: it %w", ErrInvalidConfig, strconv.Quote(value), k.Name, err)
	}
	return value, nil
}

// SplitList takes a list value apart.
func SplitList(v string) []string {
	var words []string
	for w := range strings.SplitSeq(v, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}
