package node

import (
	"strconv"
	"strings"

	"kelp/internal/api"
	"kelp/internal/cluster"
)

// settings shows in Kafka's names what the broker was started with.
func settings(o Options) []api.Setting {
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
		number("num.partitions", int64(o.DefaultPartitions), 1, "Partitions of a topic that is created without a count."),
		number("default.replication.factor", 1, 1, "Replicas of a topic that is created without a factor."),
		number("producer.id.expiration.ms", producerExpirationMs, producerExpirationMs, "How long a silent producer is remembered."),
		number("log.retention.check.interval.ms", retentionCheck.Milliseconds(), retentionCheck.Milliseconds(), "How often old records are looked for."),
		number("fetch.max.bytes", maxFetchBytes, maxFetchBytes, "Most bytes that a fetch is answered with."),
		{
			Name: "auto.create.topics.enable", Value: strconv.FormatBool(o.AutoCreate), Kind: cluster.Boolean, Default: o.AutoCreate,
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
