package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"kelp/internal/api"
	"kelp/internal/cluster"
	"kelp/internal/config"
)

// settings shows in Kafka's names what the broker was started with.
func settings(o config.Config) []api.Setting {
	number := func(name string, value, standard int64, doc string) api.Setting {
		return api.Setting{Name: name, Value: strconv.FormatInt(value, 10), Kind: cluster.Int, Default: value == standard, Doc: doc}
	}
	listeners := make([]string, 0, len(o.Listen))
	for _, l := range o.Listen {
		listeners = append(listeners, "PLAINTEXT://"+l)
	}
	return []api.Setting{
		number("node.id", int64(o.NodeID), -1, "Number of this broker."),
		number("broker.id", int64(o.NodeID), -1, "Number of this broker."),
		number("num.partitions", int64(o.Defaults.Partitions), 1, "Partitions of a topic that is created without a count."),
		number("default.replication.factor", 1, 1, "Replicas of a topic that is created without a factor."),
		number("producer.id.expiration.ms", o.Limits.ProducerExpiration.Milliseconds(), 24*60*60000, "How long a silent producer is remembered."),
		number("transaction.max.timeout.ms", o.Limits.TransactionMaxTimeout.Milliseconds(), 900_000, "Longest timeout of a transaction."),
		number("transactional.id.expiration.ms", o.Limits.TransactionalIDExpiration.Milliseconds(), 604_800_000,
			"How long an unused transactional id is remembered."),
		number("transaction.remove.expired.transaction.cleanup.interval.ms", o.Limits.TransactionalIDCheck.Milliseconds(), 3_600_000,
			"How often expired transactional ids are forgotten."),
		number("transaction.abort.timed.out.transaction.cleanup.interval.ms", o.Limits.TransactionAbortCheck.Milliseconds(), 10_000,
			"How often overdue transactions are aborted."),
		{
			Name: "log.cleaner.enable", Value: strconv.FormatBool(o.Cleaner.Enabled), Kind: cluster.Boolean, Default: o.Cleaner.Enabled,
			Doc: "Whether compacted topics are compacted.",
		},
		number("log.cleaner.backoff.ms", o.Cleaner.Backoff.Milliseconds(), 15_000, "How long the cleaner rests."),
		number("log.cleaner.dedupe.buffer.size", int64(o.Cleaner.DedupeBytes), 128<<20, "Most memory for the keys of one cleaning."),
		number("log.retention.check.interval.ms", o.Limits.RetentionCheck.Milliseconds(), 300000, "How often old records are looked for."),
		number("fetch.max.bytes", int64(o.Limits.FetchBytes), 55<<20, "Most bytes that a fetch is answered with."),
		number("socket.request.max.bytes", int64(o.Limits.RequestBytes), 100<<20, "Largest request."),
		number("max.connections", int64(o.Limits.Connections), math.MaxInt32, "Most open connections."),
		number("connections.max.idle.ms", o.Limits.IdleTimeout.Milliseconds(), 600_000, "How long a connection may be silent."),
		number("queued.max.request.bytes", o.Limits.BytesInFlight, -1, "Most bytes of unanswered requests."),
		number("max.incremental.fetch.session.cache.slots", int64(o.Limits.FetchSessions), 1000, "Most fetch sessions."),
		number("group.initial.rebalance.delay.ms", o.Limits.GroupDelay.Milliseconds(), 3000, "How long a new group waits for members."),
		number("group.max.size", int64(o.Limits.GroupMembers), math.MaxInt32, "Most members of a group."),
		{
			Name: "auto.create.topics.enable", Value: strconv.FormatBool(o.AutoCreateTopics), Kind: cluster.Boolean, Default: o.AutoCreateTopics,
			Doc: "Whether asking for an unknown topic creates it.",
		},
		{Name: "listeners", Value: strings.Join(listeners, ","), Kind: cluster.List, Doc: "Addresses the broker listens on."},
		{
			Name: "advertised.listeners", Value: advertised(o.Advertise), Kind: cluster.List, Default: o.Advertise == "",
			Doc: "Address that clients are given; empty gives each the one that it dialled.",
		},
		{Name: "log.dirs", Value: o.Data, Kind: cluster.List, Doc: "Folder of the records."},
		{Name: "delete.topic.enable", Value: "true", Kind: cluster.Boolean, Default: true, Doc: "Whether topics can be deleted."},
	}
}

func advertised(address string) string {
	if address == "" {
		return ""
	}
	return "PLAINTEXT://" + address
}

// brokerConfigs are the defaults of topics and the settings of groups that were given at start, by the broker's keys.
func brokerConfigs(o config.Config) (cluster.Configs, error) {
	given := cluster.Configs{}
	for _, name := range o.Defaults.KafkaKeys() {
		key, ok := cluster.BrokerKey(name)
		if !ok {
			key, ok = cluster.CoordinatorKey(name)
		}
		if !ok {
			return nil, fmt.Errorf("broker-config: %s is no broker config of topics' defaults or of groups; "+
				"use Kafka's broker keys, such as log.retention.ms", name)
		}
		value, err := key.Check(o.Defaults.Kafka[name])
		if err != nil {
			return nil, fmt.Errorf("broker-config: %s: %w", name, err)
		}
		given[name] = value
	}
	if o.Limits.MessageBytes != config.Default().Limits.MessageBytes {
		given["message.max.bytes"] = strconv.Itoa(o.Limits.MessageBytes)
	}
	if o.SeaweedMQ.Publish != config.PublishOff {
		given["kelp.seaweedmq.publish"] = o.SeaweedMQ.Publish
	}
	return given, nil
}
