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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// partition is where the metadata lies: a topic id that no topic gets, as it is not random.
var partition = storage.Partition{Topic: fixedID(1)}

// producerIDBlock is how many producer ids one record reserves, as Kafka does.
const producerIDBlock = 1000

// maxPartitions bounds the partitions of one topic.
const maxPartitions = 10_000

// Topic is one topic of an image. What it points to never changes.
type Topic struct {
	ID         [16]byte
	Name       string
	Partitions int32
	Configs    Configs      // what was set on this topic
	Config     *TopicConfig // what is in force
}

// Image is the metadata at one moment.
type Image struct {
	ClusterID      string
	ByName         map[string]Topic
	ByID           map[[16]byte]Topic
	DefaultConfigs Configs          // set for all brokers
	BrokerConfigs  Configs          // set for this broker
	static         Configs          // given at start
	levels         map[string]int16 // finalized features, where somebody chose
	FeaturesEpoch  int64            // counts their changes
}

// record is one metadata record: JSON with one of the fields set. Version 1.
type record struct {
	Version     int         `json:"v"`
	ClusterID   string      `json:"clusterId,omitempty"`
	Topic       *topicRec   `json:"topic,omitempty"`
	DeleteTopic []byte      `json:"deleteTopic,omitempty"` // topic id
	ProducerIDs int64       `json:"producerIds,omitempty"` // first id not reserved
	Configs     *confRec    `json:"brokerConfigs,omitempty"`
	Feature     *featureRec `json:"feature,omitempty"`
}

// topicRec is a topic as it is from now on: new, grown or configured anew.
type topicRec struct {
	ID         []byte  `json:"id"`
	Name       string  `json:"name"`
	Partitions int32   `json:"partitions"`
	Configs    Configs `json:"configs,omitempty"`
}

// confRec replaces the configs of all brokers or of this one.
type confRec struct {
	AllBrokers bool    `json:"allBrokers,omitempty"`
	Configs    Configs `json:"configs"`
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
	ErrExists            = errors.New("topic already exists")
	ErrUnknown           = errors.New("unknown topic")
	ErrInvalidPartitions = fmt.Errorf("partitions must be from 1 to %d", maxPartitions)
	ErrCollides          = errors.New("the name differs from that of another topic only in . and _")
)

// Options of a catalog.
type Options struct {
	Now func() time.Time
	// Static are the broker's values given at start, by the broker's keys.
	Static Configs
}

// Open replays the metadata, giving a new cluster its id.
func Open(ctx context.Context, store storage.Store, o Options) (*Catalog, error) {
	if err := store.Create(ctx, partition); err != nil {
		return nil, err
	}
	log, err := store.Open(ctx, partition, storage.OpenOptions{})
	if err != nil {
		return nil, err
	}
	c := &Catalog{log: log, now: o.Now}
	img := &Image{ByName: map[string]Topic{}, ByID: map[[16]byte]Topic{}, static: o.Static}
	if err := c.replay(ctx, img); err != nil {
		return nil, fmt.Errorf("replay cluster metadata: %w", err)
	}
	c.image.Store(img)
	c.nextID = c.reserved
	if c.Image().ClusterID == "" {
		var id [16]byte
		_, _ = rand.Read(id[:])
		return c, c.change(ctx, record{ClusterID: base64.RawURLEncoding.EncodeToString(id[:])})
	}
	return c, nil
}

func (c *Catalog) replay(ctx context.Context, img *Image) error {
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
			c.apply(img, rec)
			from = r.Offset + 1
		}
	}
	return nil
}

// apply is the only code that changes an image, live on a copy and on replay.
func (c *Catalog) apply(img *Image, r record) {
	switch {
	case r.ClusterID != "":
		img.ClusterID = r.ClusterID
	case r.Topic != nil:
		img.put(Topic{ID: [16]byte(r.Topic.ID), Name: r.Topic.Name, Partitions: r.Topic.Partitions, Configs: r.Topic.Configs})
	case r.DeleteTopic != nil:
		id := [16]byte(r.DeleteTopic)
		delete(img.ByName, img.ByID[id].Name)
		delete(img.ByID, id)
	case r.ProducerIDs != 0:
		c.reserved = r.ProducerIDs
	case r.Feature != nil:
		img.finalize(*r.Feature)
	case r.Configs != nil:
		if r.Configs.AllBrokers {
			img.DefaultConfigs = r.Configs.Configs
		} else {
			img.BrokerConfigs = r.Configs.Configs
		}
		for _, t := range img.ByName {
			img.put(t)
		}
	}
}

func (img *Image) put(t Topic) {
	t.Config = img.parse(t)
	img.ByName[t.Name], img.ByID[t.ID] = t, t
}

func (img *Image) clone() *Image {
	next := *img
	next.ByName, next.ByID = maps.Clone(img.ByName), maps.Clone(img.ByID)
	return &next
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
	img := c.Image().clone()
	c.apply(img, r)
	c.image.Store(img)
	return nil
}

// Image is the newest metadata.
func (c *Catalog) Image() *Image { return c.image.Load() }

// CreateTopic makes a topic, or with validateOnly just says whether it could be made. Only Name,
// Partitions and Configs of t are used.
func (c *Catalog) CreateTopic(ctx context.Context, t Topic, validateOnly bool) (Topic, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, state := StateTopicByName(t.Name); state && !validateOnly {
		if err := c.show(ctx, s); err != nil {
			return t, err
		}
	}
	img := c.Image()
	if known, ok := img.ByName[t.Name]; ok {
		return known, fmt.Errorf("%w: %s", ErrExists, t.Name)
	}
	if other, ok := img.collision(t.Name); ok {
		return t, fmt.Errorf("%w: %s", ErrCollides, other)
	}
	if t.Partitions < 1 || t.Partitions > maxPartitions {
		return t, ErrInvalidPartitions
	}
	configs, err := t.Configs.Check()
	if err != nil {
		return t, err
	}
	_, _ = rand.Read(t.ID[:])
	t.Configs = configs
	t.Config = img.parse(t)
	if validateOnly {
		return t, nil
	}
	return t, c.change(ctx, t.record())
}

func (t Topic) record() record {
	return record{Topic: &topicRec{ID: t.ID[:], Name: t.Name, Partitions: t.Partitions, Configs: t.Configs}}
}

// collision finds a topic whose name becomes the same in metrics, where . is written as _.
func (img *Image) collision(name string) (string, bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	flat := strings.ReplaceAll(name, ".", "_")
	for other := range img.ByName {
		if len(other) == len(name) && strings.ReplaceAll(other, ".", "_") == flat {
			return other, true
		}
	}
	return "", false
}

// Grow gives a topic more partitions.
func (c *Catalog) Grow(ctx context.Context, name string, partitions int32, validateOnly bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.Image().ByName[name]
	switch {
	case !ok:
		return ErrUnknown
	case Reserved(storage.Partition{Topic: t.ID}):
		return fmt.Errorf("%w: %s keeps its partitions", ErrState, name)
	case partitions < 1 || partitions > maxPartitions:
		return ErrInvalidPartitions
	case partitions == t.Partitions:
		return fmt.Errorf("%w: the topic already has %d", ErrInvalidPartitions, t.Partitions)
	case partitions < t.Partitions:
		return fmt.Errorf("%w: the topic has %d, which cannot become fewer", ErrInvalidPartitions, t.Partitions)
	case validateOnly:
		return nil
	}
	t.Partitions = partitions
	return c.change(ctx, t.record())
}

// ConfigureTopic replaces a topic's configs by what edit makes of them.
func (c *Catalog) ConfigureTopic(ctx context.Context, name string, edit func(Topic, *Image) (Configs, error), validateOnly bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.Image()
	t, ok := img.ByName[name]
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	next, err := edit(t, img)
	if err == nil {
		next, err = next.Check()
	}
	if err != nil || validateOnly {
		return err
	}
	t.Configs = next
	return c.change(ctx, t.record())
}

// ConfigureBroker replaces the configs of all brokers, or of this one, by what edit makes of them.
func (c *Catalog) ConfigureBroker(ctx context.Context, allBrokers bool, edit func(*Image) (Configs, error), validateOnly bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := edit(c.Image())
	if err != nil || validateOnly {
		return err
	}
	return c.change(ctx, record{Configs: &confRec{AllBrokers: allBrokers, Configs: next}})
}

// DeleteTopic drops a topic from the metadata; its bytes are the caller's to drop.
func (c *Catalog) DeleteTopic(ctx context.Context, id [16]byte) (Topic, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.Image().ByID[id]
	if !ok {
		return t, ErrUnknown
	}
	if Reserved(storage.Partition{Topic: id}) {
		return t, fmt.Errorf("%w: %s cannot be deleted", ErrState, t.Name)
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
