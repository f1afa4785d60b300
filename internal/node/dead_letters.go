package node

import (
	"context"
	"errors"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// errNoDeadLetterTopic is what the mirror waits out: it makes no topics, since their partitions and
// retention are the user's choice.
var errNoDeadLetterTopic = errors.New("there is no such topic; create it and the mirror goes on")

// deadLetters appends to topics of users as a producer without an id does.
type deadLetters struct {
	metadata *cluster.Catalog
	set      *topic.Set
}

// Append waits until the record is durable.
func (d deadLetters) Append(ctx context.Context, name string, partition int32, r batch.Record) error {
	t, ok := d.metadata.Image().ByName[name]
	if !ok || t.Partitions == 0 {
		return errNoDeadLetterTopic
	}
	p, err := d.set.Get(ctx, storage.Partition{Topic: t.ID, Index: partition % t.Partitions})
	if err != nil {
		return err
	}
	a, err := p.Produce(batch.Encode([]batch.Record{r}, batch.NoProducer()), topic.Client{})
	if err != nil {
		return err
	}
	return a.Pending.Wait(ctx)
}
