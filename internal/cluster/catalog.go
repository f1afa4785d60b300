// Package cluster is the metadata of the cluster: its id, its topics, the producer ids handed out.
// All of it is records in one partition, which is replayed on open. Readers take an immutable
// [Image]; a change is durable before an image holds it.
//
// Invariants: an image never changes. Topic ids are never used twice. Every producer id is handed
// out once, also across crashes: blocks are reserved durably before their first id is used.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// partition is where the metadata lies: a topic id that no topic gets, as it is not random.
var partition = storage.Partition{Topic: [16]byte{15: 1}}

// GroupPartition is where the state of consumer groups lies.
var GroupPartition = storage.Partition{Topic: [16]byte{15: 2}}

// producerIDBlock is how many producer ids one record reserves, as Kafka does.
const producerIDBlock = 1000

// maxPartitions bounds the partitions of one topic.
const maxPartitions = 10_000

// Topic is one topic of an image.
type Topic struct {
	ID         [16]byte
	Name       string
	Partitions int32
}

// Image is the metadata at one moment.
type Image struct {
	ClusterID string
	ByName    map[string]Topic
	ByID      map[[16]byte]Topic
}

// record is one metadata record: JSON with one of the fields set. Version 1.
type record struct {
	Version     int       `json:"v"`
	ClusterID   string    `json:"clusterId,omitempty"`
	Topic       *topicRec `json:"topic,omitempty"`
	DeleteTopic []byte    `json:"deleteTopic,omitempty"` // topic id
	ProducerIDs int64     `json:"producerIds,omitempty"` // first id not reserved
}

type topicRec struct {
	ID         []byte `json:"id"`
	Name       string `json:"name"`
	Partitions int32  `json:"partitions"`
}

// Catalog owns the metadata partition.
type Catalog struct {
	log   storage.Log
	now   func() time.Time
	image atomic.Pointer[Image]

	mu       sync.Mutex // one change at a time: guards what follows
	reserved int64      // first producer id not reserved
	nextID   int64
}

// The reasons for which a change is refused.
var (
	ErrExists            = errors.New("topic exists")
	ErrUnknown           = errors.New("unknown topic")
	ErrInvalidPartitions = fmt.Errorf("partitions must be from 1 to %d", maxPartitions)
)

// Open replays the metadata, giving a new cluster its id.
func Open(ctx context.Context, store storage.Store, now func() time.Time) (*Catalog, error) {
	if err := store.Create(ctx, partition); err != nil {
		return nil, err
	}
	log, err := store.Open(ctx, partition, storage.OpenOptions{})
	if err != nil {
		return nil, err
	}
	c := &Catalog{log: log, now: now}
	c.image.Store(&Image{ByName: map[string]Topic{}, ByID: map[[16]byte]Topic{}})
	if err := c.replay(ctx); err != nil {
		return nil, fmt.Errorf("replay cluster metadata: %w", err)
	}
	c.nextID = c.reserved
	if c.Image().ClusterID == "" {
		var id [16]byte
		_, _ = rand.Read(id[:])
		return c, c.change(ctx, record{ClusterID: base64.RawURLEncoding.EncodeToString(id[:])})
	}
	return c, nil
}

func (c *Catalog) replay(ctx context.Context) error {
	from, end := c.log.Bounds()
	for from < end {
		span, err := c.log.Read(ctx, storage.ReadRange{From: from, MaxBytes: 1, AtLeastOne: true})
		if err != nil {
			return err
		}
		b, err := span.Bytes()
		span.Release()
		if err != nil {
			return err
		}
		for r, err := range batch.Records(b, 1<<20) {
			if err != nil {
				return err
			}
			var rec record
			if err := json.Unmarshal(r.Value, &rec); err != nil {
				return fmt.Errorf("record %d: %w", r.Offset, err)
			}
			c.apply(rec)
			from = r.Offset + 1
		}
	}
	return nil
}

// apply is the only code that changes the image, live and on replay.
func (c *Catalog) apply(r record) {
	old := c.Image()
	img := &Image{ClusterID: old.ClusterID, ByName: maps.Clone(old.ByName), ByID: maps.Clone(old.ByID)}
	switch {
	case r.ClusterID != "":
		img.ClusterID = r.ClusterID
	case r.Topic != nil:
		t := Topic{ID: [16]byte(r.Topic.ID), Name: r.Topic.Name, Partitions: r.Topic.Partitions}
		img.ByName[t.Name], img.ByID[t.ID] = t, t
	case r.DeleteTopic != nil:
		id := [16]byte(r.DeleteTopic)
		delete(img.ByName, img.ByID[id].Name)
		delete(img.ByID, id)
	case r.ProducerIDs != 0:
		c.reserved = r.ProducerIDs
	}
	c.image.Store(img)
}

// change makes one record durable and applies it.
func (c *Catalog) change(ctx context.Context, r record) error {
	r.Version = 1
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, end := c.log.Bounds()
	nowMs := c.now().UnixMilli()
	o := batch.NoProducer()
	o.BaseOffset = end
	b := batch.Encode([]batch.Record{{TimestampMs: nowMs, Value: value}}, o)
	// The fate of the record must be known before the next one: no context may end this wait.
	if err := c.log.Append(storage.Batch{Base: end, Count: 1, MaxTimestampMs: nowMs, Bytes: b}).Wait(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	c.apply(r)
	return nil
}

// Image is the newest metadata.
func (c *Catalog) Image() *Image { return c.image.Load() }

// CreateTopic makes a topic, or with validateOnly just says whether it could be made.
func (c *Catalog) CreateTopic(ctx context.Context, name string, partitions int32, validateOnly bool) (Topic, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.Image().ByName[name]; ok {
		return known, ErrExists
	}
	if partitions < 1 || partitions > maxPartitions {
		return Topic{}, ErrInvalidPartitions
	}
	t := Topic{Name: name, Partitions: partitions}
	_, _ = rand.Read(t.ID[:])
	if validateOnly {
		return t, nil
	}
	return t, c.change(ctx, record{Topic: &topicRec{ID: t.ID[:], Name: name, Partitions: partitions}})
}

// DeleteTopic drops a topic from the metadata; its bytes are the caller's to drop.
func (c *Catalog) DeleteTopic(ctx context.Context, id [16]byte) (Topic, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.Image().ByID[id]
	if !ok {
		return t, ErrUnknown
	}
	return t, c.change(ctx, record{DeleteTopic: id[:]})
}

// Next hands out a producer id.
func (c *Catalog) Next(ctx context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nextID == c.reserved {
		if err := c.change(ctx, record{ProducerIDs: c.reserved + producerIDBlock}); err != nil {
			return -1, err
		}
	}
	id := c.nextID
	c.nextID++
	return id, nil
}

// Internal reports a partition that belongs to the cluster itself and to no topic.
func Internal(p storage.Partition) bool { return p == partition || p == GroupPartition }
