package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/protobuf"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
	"kelp/internal/seaweedmq"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// mirrorGroup is the consumer group whose offsets are the checkpoints of the mirror, so that every tool
// for groups shows its lag.
const mirrorGroup = "kelp-seaweedmq"

// openMirror publishes topics to SeaweedMQ, if a master is named.
func (n *Node) openMirror(p parts, metadata *cluster.Catalog, set *topic.Set) error {
	o := p.o.SeaweedMQ
	if len(o.Masters) == 0 {
		return nil
	}
	security, err := storeSecurity(p.o)
	if err != nil {
		return err
	}
	if o.Agent != "" && security.GRPC != nil {
		return errors.New("seaweedmq-transport: agents speak no TLS, which --store-security or --store-ca asks for; use the transport broker")
	}
	client := mq.New(mq.Options{Brokers: o.Brokers, Masters: o.Masters, TLS: security.GRPC})
	n.mirror = seaweedmq.New(seaweedmq.Options{
		Image: metadata.Image,
		Partition: func(ctx context.Context, id storage.Partition) (seaweedmq.Log, error) {
			return set.Get(ctx, id)
		},
		Client: client,
		Filer: func(ctx context.Context) (*seaweed.Client, error) {
			return seaweed.Dial(ctx, seaweed.Options{Masters: o.Masters, Filer: o.Filer, Security: security})
		},
		Registry: n.Schemas(),
		Formats: map[schema.Type]schema.Format{
			schema.Avro: avro.Format{}, schema.Protobuf: protobuf.Format{}, schema.JSON: jsonschema.Format{},
		},
		Checkpoints: mirrorCheckpoints{groupOffsets{n.groups, mirrorGroup}}, DeadLetters: deadLetters{metadata, set}, Agent: o.Agent,
		Namespace: o.Namespace, Logger: p.logger, Now: time.Now,
	})
	n.wg.Go(func() {
		defer client.Close()
		n.mirror.Run(n.life)
	})
	return p.metrics.Register(n.mirror)
}

// mirrorLag is what Produce asks for topics that want a mirror which keeps up.
func (n *Node) mirrorLag() func([16]byte, int32) int64 {
	if n.mirror == nil {
		return nil
	}
	return n.mirror.Lag
}

// mirrorCheckpoints keeps checkpoints as the offsets of mirrorGroup, with the rest in their metadata.
type mirrorCheckpoints struct{ offsets groupOffsets }

// Load gives the committed offset of a partition.
func (c mirrorCheckpoints) Load(ctx context.Context, name string, partition int32) (cp seaweedmq.Checkpoint, found bool, err error) {
	offset, metadata, err := c.offsets.load(ctx, name, partition)
	if err != nil || offset < 0 {
		return cp, false, err
	}
	if err := json.Unmarshal([]byte(metadata), &cp); err != nil {
		return cp, false, fmt.Errorf("the offset of group %s for %s/%d was not committed by a mirror: %w", mirrorGroup, name, partition, err)
	}
	cp.Next = offset
	return cp, true, nil
}

// Save commits the offset of a partition.
func (c mirrorCheckpoints) Save(ctx context.Context, name string, partition int32, cp seaweedmq.Checkpoint) error {
	rest, err := json.Marshal(cp)
	if err != nil {
		return err
	}
	return c.offsets.save(ctx, name, partition, cp.Next, string(rest))
}

// withMirror adds the mirror's status to what is served over HTTP.
func (n *Node) withMirror(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /seaweedmq/status", func(w http.ResponseWriter, _ *http.Request) {
		if n.mirror == nil {
			http.Error(w, "topics are not mirrored: give --seaweedmq-master", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(n.mirror.Status())
	})
	return mux
}
