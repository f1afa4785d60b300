package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/protobuf"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
	"kelp/internal/seaweedmq/source"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// sourceGroup is the consumer group whose offsets say how far topics were read from SeaweedMQ.
const sourceGroup = "kelp-seaweedmq-source"

// openSources fills topics from SeaweedMQ, if a master is named.
func (n *Node) openSources(p parts, metadata *cluster.Catalog, set *topic.Set) error {
	o := p.o.SeaweedMQ
	if len(o.Masters) == 0 {
		return nil
	}
	security, err := storeSecurity(p.o)
	if err != nil {
		return err
	}
	client := mq.New(mq.Options{Brokers: o.Brokers, Masters: o.Masters, TLS: security.GRPC})
	connection := &oneFiler{dial: func(ctx context.Context) (*seaweed.Client, error) {
		return seaweed.Dial(ctx, seaweed.Options{Masters: o.Masters, Filer: o.Filer, Security: security})
	}}
	sources := source.New(source.Options{
		Image: metadata.Image,
		Partition: func(ctx context.Context, id storage.Partition) (source.Log, error) {
			return set.Get(ctx, id)
		},
		Client: client, Filer: connection.get, Registries: &n.schemas,
		Formats: map[schema.Type]schema.Format{
			schema.Avro: avro.Format{}, schema.Protobuf: protobuf.Format{}, schema.JSON: jsonschema.Format{},
		},
		Places: sourcePlaces{groupOffsets{n.groups, sourceGroup}}, Logger: p.logger, Now: time.Now, Metrics: p.metrics,
	})
	n.wg.Go(func() {
		sources.Run(n.life)
		client.Close()
		connection.close()
	})
	return nil
}

// sourcePlaces keeps places in the metadata of the offsets of sourceGroup.
type sourcePlaces struct{ offsets groupOffsets }

// Load gives how far a partition was read.
func (s sourcePlaces) Load(ctx context.Context, name string, partition int32) (p source.Place, err error) {
	offset, metadata, err := s.offsets.load(ctx, name, partition)
	if err != nil || offset < 0 {
		return p, err
	}
	if err := json.Unmarshal([]byte(metadata), &p); err != nil {
		return p, fmt.Errorf("the offset of group %s for %s/%d was not committed here: %w", sourceGroup, name, partition, err)
	}
	return p, nil
}

// Save keeps how far a partition was read.
func (s sourcePlaces) Save(ctx context.Context, name string, partition int32, next int64, p source.Place) error {
	metadata, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.offsets.save(ctx, name, partition, next, string(metadata))
}
