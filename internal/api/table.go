package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/storage"
	"kelp/internal/topic"
)

// Options are the domain packages the handlers work on.
type Options struct {
	Catalog    Catalog
	Partitions *topic.Set
	Producers  ProducerIDs
	Groups     Coordinator
	// Advertise gives the host and port that a client is told, from the address that it dialled.
	Advertise  func(*Request) (host string, port int32)
	NodeID     int32
	AutoCreate bool // auto.create.topics.enable
	Now        func() time.Time
	// MaxFetchBytes bounds what one Fetch response may hold, whatever the client asks for.
	MaxFetchBytes int
}

// Topic is what the handlers know of a topic.
type Topic struct {
	ID         [16]byte
	Name       string
	Partitions int32
	Internal   bool
}

// Catalog is the cluster's metadata as the handlers see it. Reads are of the newest image; the
// changing methods return once the change is durable.
type Catalog interface {
	ClusterID() string
	Topics() []Topic
	ByName(name string) (Topic, bool)
	ByID(id [16]byte) (Topic, bool)
	CreateTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) (*kmsg.CreateTopicsResponse, error)
	DeleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsResponse, error)
}

// ProducerIDs hands out producer ids, each once, also across restarts.
type ProducerIDs interface {
	Next(ctx context.Context) (int64, error)
}

// New builds the handlers and returns the table of what is served.
func New(o Options) []Entry {
	r := &records{catalog: o.Catalog, partitions: o.Partitions, producers: o.Producers, now: o.Now, maxFetchBytes: o.MaxFetchBytes}
	t := &topics{catalog: o.Catalog, advertise: o.Advertise, nodeID: o.NodeID, autoCreate: o.AutoCreate}
	g := &groups{coordinator: o.Groups, advertise: o.Advertise, nodeID: o.NodeID}
	table := []Entry{
		{Key: kmsg.Produce, Min: 3, Max: 13, Handle: r.produce, Refuse: refuseProduce},
		{Key: kmsg.Fetch, Min: 4, Max: 18, Handle: r.fetch, Refuse: refuseFetch},
		{Key: kmsg.ListOffsets, Min: 1, Max: 11, Handle: r.listOffsets, Refuse: refuseListOffsets},
		{Key: kmsg.Metadata, Min: 0, Max: 13, Handle: t.metadata, Refuse: refuseMetadata},
		{Key: kmsg.OffsetCommit, Min: 0, Max: 9, Handle: g.offsetCommit, Refuse: refuseGroup},
		{Key: kmsg.OffsetFetch, Min: 0, Max: 9, Handle: g.offsetFetch, Refuse: refuseGroup},
		{Key: kmsg.FindCoordinator, Min: 0, Max: 6, Handle: g.findCoordinator, Refuse: refuseFindCoordinator},
		{Key: kmsg.JoinGroup, Min: 0, Max: 9, Handle: g.joinGroup, Refuse: refuseGroup},
		{Key: kmsg.Heartbeat, Min: 0, Max: 4, Handle: g.heartbeat, Refuse: refuseGroup},
		{Key: kmsg.LeaveGroup, Min: 0, Max: 5, Handle: g.leaveGroup, Refuse: refuseGroup},
		{Key: kmsg.SyncGroup, Min: 0, Max: 5, Handle: g.syncGroup, Refuse: refuseGroup},
		{Key: kmsg.CreateTopics, Min: 0, Max: 7, Handle: t.createTopics, Refuse: refuseCreateTopics},
		{Key: kmsg.DeleteTopics, Min: 0, Max: 6, Handle: t.deleteTopics, Refuse: refuseDeleteTopics},
		{Key: kmsg.DeleteRecords, Min: 0, Max: 2, Handle: r.deleteRecords, Refuse: refuseDeleteRecords},
		{Key: kmsg.InitProducerID, Min: 0, Max: 5, Handle: r.initProducerID, Refuse: refuseInitProducerID},
		{Key: kmsg.OffsetForLeaderEpoch, Min: 0, Max: 4, Handle: r.offsetForLeaderEpoch, Refuse: refuseOffsetForLeaderEpoch},
	}
	v := &versions{}
	table = append(table, Entry{Key: kmsg.ApiVersions, Min: 0, Max: 5, Handle: v.apiVersions, Refuse: refuseApiVersions})
	v.table = table
	return table
}

func partitionOf(t Topic, index int32) storage.Partition {
	return storage.Partition{Topic: t.ID, Index: index}
}
