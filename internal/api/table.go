package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// Options are the domain packages the handlers work on.
type Options struct {
	Catalog    *cluster.Catalog
	Partitions *topic.Set
	Groups     Coordinator
	// Dropped frees the bytes of a topic that the metadata no longer has.
	Dropped func(context.Context, cluster.Topic)
	// Advertise gives the host and port that a client is told, from the address that it dialled.
	Advertise         func(*Request) (host string, port int32)
	NodeID            int32
	LeaderEpoch       int32 // of all partitions
	DefaultPartitions int32
	AutoCreate        bool // auto.create.topics.enable
	// Settings are what the broker was started with, in Kafka's names.
	Settings []Setting
	LogDir   func() LogDir
	Now      func() time.Time
	// MaxFetchBytes bounds what one Fetch response may hold, whatever the client asks for.
	MaxFetchBytes int
	// FetchMemoryBytes bounds what all Fetch responses on their way keep in memory.
	FetchMemoryBytes int64
	// MaxFetchSessions bounds the fetch sessions that are remembered.
	MaxFetchSessions int
	Transactions     TransactionCoordinator
	// FeaturesChanged is called after a finalized level may have changed.
	FeaturesChanged func(context.Context)
	// Verifier answers for transactions; nil refuses them.
	Verifier Verifier
	// Validator judges batches by the schemas that they name; nil judges none.
	Validator Validator
	// MirrorLag is how many offsets of a partition are not in SeaweedMQ, -1 before it is followed; nil: nothing is mirrored.
	MirrorLag func(topic [16]byte, partition int32) int64
	// Draining ends when nothing new comes: fetches that wait are answered with what there is.
	Draining context.Context
	// Metrics is where those of topics are registered; nil keeps them to itself.
	Metrics prometheus.Registerer
}

// Setting is a value that the broker was started with, shown by DescribeConfigs.
type Setting struct {
	Name, Value string
	Kind        cluster.Kind
	Default     bool // nobody chose it
	Doc         string
}

// New builds the handlers and returns the table of what is served.
func New(o Options) []Entry {
	r := &records{
		catalog: o.Catalog, partitions: o.Partitions, sessions: newFetchSessions(o.Now, o.MaxFetchSessions), logDir: o.LogDir,
		meters: newMeters(o.Metrics), memory: fetchMemory{limit: o.FetchMemoryBytes},
		maxFetchBytes: o.MaxFetchBytes, draining: o.Draining, verifier: o.Verifier, validator: o.Validator,
		mirrorLag: o.MirrorLag,
	}
	r.lanes.init(o.Metrics)
	t := &topics{
		catalog: o.Catalog, dropped: r.dropped(o.Dropped), advertise: o.Advertise, nodeID: o.NodeID, leaderEpoch: o.LeaderEpoch,
		defaultPartitions: o.DefaultPartitions, autoCreate: o.AutoCreate, settings: o.Settings,
		warm: o.Partitions.Warm, featuresChanged: o.FeaturesChanged,
	}
	g := &groups{coordinator: o.Groups, catalog: o.Catalog, advertise: o.Advertise, nodeID: o.NodeID}
	x := &transactions{
		coordinator: o.Transactions, groups: o.Groups, catalog: o.Catalog,
		markers: Markers{Catalog: o.Catalog, Partitions: o.Partitions, Groups: o.Groups},
	}
	table := []Entry{
		{Key: kmsg.Produce, Min: 0, Max: 13, Handle: r.produce, Refuse: refuseProduce},
		{Key: kmsg.Fetch, Min: 0, Max: 18, Handle: r.fetch, Refuse: refuseFetch},
		{Key: kmsg.ListOffsets, Min: 0, Max: 11, Handle: r.listOffsets, Refuse: refuseListOffsets},
		{Key: kmsg.Metadata, Min: 0, Max: 13, Handle: t.metadata, Refuse: refuseMetadata},
		{Key: kmsg.OffsetCommit, Min: 0, Max: 10, Handle: g.offsetCommit, Refuse: refuseOffsetCommit},
		{Key: kmsg.OffsetFetch, Min: 0, Max: 10, Handle: g.offsetFetch, Refuse: refuseOffsetFetch},
		{Key: kmsg.FindCoordinator, Min: 0, Max: 6, Handle: g.findCoordinator, Refuse: refuseFindCoordinator},
		{Key: kmsg.JoinGroup, Min: 0, Max: 9, Handle: g.joinGroup, Refuse: refuseJoinGroup},
		{Key: kmsg.Heartbeat, Min: 0, Max: 4, Handle: g.heartbeat, Refuse: refuseHeartbeat},
		{Key: kmsg.LeaveGroup, Min: 0, Max: 5, Handle: g.leaveGroup, Refuse: refuseLeaveGroup},
		{Key: kmsg.SyncGroup, Min: 0, Max: 5, Handle: g.syncGroup, Refuse: refuseSyncGroup},
		{Key: kmsg.DescribeGroups, Min: 0, Max: 6, Handle: g.describeGroups, Refuse: refuseDescribeGroups},
		{Key: kmsg.ListGroups, Min: 0, Max: 5, Handle: g.listGroups, Refuse: refuseListGroups},
		{Key: kmsg.DeleteGroups, Min: 0, Max: 3, Handle: g.deleteGroups, Refuse: refuseDeleteGroups},
		{
			Key: kmsg.ConsumerGroupHeartbeat, Min: 0, Max: 1,
			Handle: g.consumerGroupHeartbeat, Refuse: refuseConsumerGroupHeartbeat,
		},
		{Key: kmsg.ConsumerGroupDescribe, Min: 0, Max: 1, Handle: g.consumerGroupDescribe, Refuse: refuseConsumerGroupDescribe},
		{Key: kmsg.OffsetDelete, Min: 0, Max: 0, Handle: g.offsetDelete, Refuse: refuseOffsetDelete},
		{Key: kmsg.CreateTopics, Min: 0, Max: 7, Handle: t.createTopics, Refuse: refuseCreateTopics},
		{Key: kmsg.DeleteTopics, Min: 0, Max: 6, Handle: t.deleteTopics, Refuse: refuseDeleteTopics},
		{Key: kmsg.DeleteRecords, Min: 0, Max: 2, Handle: r.deleteRecords, Refuse: refuseDeleteRecords},
		{Key: kmsg.InitProducerID, Min: 0, Max: 5, Handle: x.initProducerID, Refuse: refuseInitProducerID},
		{Key: kmsg.AddPartitionsToTxn, Min: 0, Max: 5, Handle: x.addPartitionsToTxn, Refuse: refuseAddPartitionsToTxn},
		{Key: kmsg.AddOffsetsToTxn, Min: 0, Max: 4, Handle: x.addOffsetsToTxn, Refuse: refuseAddOffsetsToTxn},
		{Key: kmsg.EndTxn, Min: 0, Max: 5, Handle: x.endTxn, Refuse: refuseEndTxn},
		{Key: kmsg.WriteTxnMarkers, Min: 1, Max: 2, Handle: x.writeTxnMarkers, Refuse: refuseWriteTxnMarkers},
		{Key: kmsg.TxnOffsetCommit, Min: 0, Max: 5, Handle: x.txnOffsetCommit, Refuse: refuseTxnOffsetCommit},
		{Key: kmsg.UpdateFeatures, Min: 0, Max: 2, Handle: t.updateFeatures, Refuse: refuseUpdateFeatures},
		{Key: kmsg.DescribeTransactions, Min: 0, Max: 0, Handle: x.describeTransactions, Refuse: refuseDescribeTransactions},
		{Key: kmsg.ListTransactions, Min: 0, Max: 2, Handle: x.listTransactions, Refuse: refuseListTransactions},
		{Key: kmsg.DescribeConfigs, Min: 0, Max: 4, Handle: t.describeConfigs, Refuse: refuseDescribeConfigs},
		{Key: kmsg.AlterConfigs, Min: 0, Max: 2, Handle: t.alterConfigs, Refuse: refuseAlterConfigs},
		{Key: kmsg.DescribeLogDirs, Min: 0, Max: 5, Handle: r.describeLogDirs, Refuse: refuseDescribeLogDirs},
		{Key: kmsg.CreatePartitions, Min: 0, Max: 3, Handle: t.createPartitions, Refuse: refuseCreatePartitions},
		{Key: kmsg.ElectLeaders, Min: 0, Max: 2, Handle: t.electLeaders, Refuse: refuseElectLeaders},
		{Key: kmsg.IncrementalAlterConfigs, Min: 0, Max: 1, Handle: t.incrementalAlterConfigs, Refuse: refuseIncrementalAlterConfigs},
		{
			Key: kmsg.ListPartitionReassignments, Min: 0, Max: 0,
			Handle: t.listPartitionReassignments, Refuse: refuseListPartitionReassignments,
		},
		{Key: kmsg.DescribeCluster, Min: 0, Max: 2, Handle: t.describeCluster, Refuse: refuseDescribeCluster},
		{Key: kmsg.DescribeProducers, Min: 0, Max: 0, Handle: r.describeProducers, Refuse: refuseDescribeProducers},
		{Key: kmsg.DescribeTopicPartitions, Min: 0, Max: 0, Handle: t.describeTopicPartitions, Refuse: refuseDescribeTopicPartitions},
		{Key: kmsg.OffsetForLeaderEpoch, Min: 0, Max: 4, Handle: r.offsetForLeaderEpoch, Refuse: refuseOffsetForLeaderEpoch},
	}
	v := &versions{catalog: o.Catalog, nodeID: o.NodeID}
	table = append(table, Entry{Key: kmsg.ApiVersions, Min: 0, Max: 5, Handle: v.apiVersions, Refuse: refuseApiVersions})
	v.table = oneAtATime(table)
	return table
}

func partitionOf(t cluster.Topic, index int32) storage.Partition {
	return storage.Partition{Topic: t.ID, Index: index}
}
