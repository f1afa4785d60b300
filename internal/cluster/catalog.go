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
	"slices"
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

const (
	replayBytes    = 1 << 20 // read at a time
	maxRecordBytes = 8 << 20 // most that one batch of records unfolds to
)

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
	DefaultConfigs Configs            // set for all brokers
	BrokerConfigs  Configs            // set for this broker
	GroupConfigs   map[string]Configs // set for consumer groups, by group
	static         Configs            // given at start
	refuse         func(key, value string) error
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
	Group       *groupRec   `json:"groupConfigs,omitempty"`
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
	store  storage.Store
	static Configs
	refuse func(key, value string) error
	now    func() time.Time
	image  atomic.Pointer[Image]

	mu       sync.Mutex // one change at a time: guards what follows
	log      storage.Log
	failed   error // of a change that storage did not take: see Revive
	reserved int64 // first producer id not reserved
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
	// Refuse says why a value that a key takes cannot be set on a topic of this server; nil refuses none. Values that
	// were set before are not asked about again.
	Refuse func(key, value string) error
}

// Open replays the metadata, giving a new cluster its id.
func Open(ctx context.Context, store storage.Store, o Options) (*Catalog, error) {
	if err := store.Create(ctx, partition); err != nil {
		return nil, err
	}
	c := &Catalog{store: store, static: o.Static, refuse: o.Refuse, now: o.Now}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
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
		span, err := c.log.Read(ctx, storage.ReadRange{From: from, MaxBytes: replayBytes, AtLeastOne: true})
		if err != nil {
			return err
		}
		b, err := span.Bytes()
		for err == nil && len(b) > 0 {
			from, b, err = c.replayBatch(img, b)
		}
		span.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// replayBatch folds in the batch at the front of b and gives the offset behind it and what follows.
func (c *Catalog) replayBatch(img *Image, b []byte) (next int64, rest []byte, err error) {
	h, err := batch.ReadHeader(b)
	if err != nil {
		return 0, nil, err
	}
	for r, err := range batch.Records(b, maxRecordBytes) {
		if err != nil {
			return 0, nil, err
		}
		var rec record
		if err := json.Unmarshal(r.Value, &rec); err != nil {
			return 0, nil, fmt.Errorf("record %d: %w", r.Offset, err)
		}
		c.apply(img, rec)
	}
	return h.LastOffset() + 1, b[h.TotalBytes():], nil
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
	case r.Group != nil:
		img.putGroup(*r.Group)
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

// change makes records durable, all or none, and applies them.
func (c *Catalog) change(ctx context.Context, all ...record) error {
	if c.failed != nil {
		return fmt.Errorf("cluster metadata is read again as soon as storage works: %w", c.failed)
	}
	_, end := c.log.Bounds()
	nowMs := c.now().UnixMilli()
	encoded := make([]batch.Record, 0, len(all))
	for _, r := range all {
		r.Version = 1
		value, err := json.Marshal(r)
		if err != nil {
			return err
		}
		encoded = append(encoded, batch.Record{TimestampMs: nowMs, Value: value})
	}
	o := batch.NoProducer()
	o.BaseOffset = end
	b := storage.Batch{Base: end, Count: int32(len(all)), MaxTimestampMs: nowMs, Bytes: batch.Encode(encoded, o)}
	// The fate of the records must be known before the next ones: no context may end this wait.
	if err := c.log.Append(b).Wait(context.WithoutCancel(ctx)); err != nil {
		c.failed = err
		return err
	}
	img := c.Image().clone()
	for _, r := range all {
		c.apply(img, r)
	}
	c.image.Store(img)
	return nil
}

// Image is the newest metadata.
func (c *Catalog) Image() *Image { return c.image.Load() }

// CreateTopic is CreateTopics of one.
func (c *Catalog) CreateTopic(ctx context.Context, t Topic, validateOnly bool) (Topic, error) {
	made, errs := c.CreateTopics(ctx, []Topic{t}, validateOnly)
	return made[0], errs[0]
}

// CreateTopics makes topics, or with validateOnly just says whether they could be made. Only Name,
// Partitions and Configs of each are used. One fails without the others, those that can be made become
// durable together: thousands cost one append.
func (c *Catalog) CreateTopics(ctx context.Context, asked []Topic, validateOnly bool) (made []Topic, errs []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	made, errs = slices.Clone(asked), make([]error, len(asked))
	if !validateOnly {
		for i, t := range asked {
			if s, state := StateTopicByName(t.Name); state {
				errs[i] = c.show(ctx, s)
			}
		}
	}
	img := c.Image()
	if len(asked) > 1 {
		img = img.clone() // each sees those before it
	}
	var all []record
	for i := range made {
		if errs[i] == nil {
			errs[i] = img.check(&made[i])
		}
		if errs[i] == nil && !validateOnly {
			all = append(all, made[i].record())
		}
		if errs[i] == nil && len(asked) > 1 {
			img.put(made[i])
		}
	}
	if len(all) == 0 {
		return made, errs
	}
	if err := c.change(ctx, all...); err != nil {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	}
	return made, errs
}

// check completes a topic that can be made, or gives the one that is there with the reason why not.
func (img *Image) check(t *Topic) error {
	if known, ok := img.ByName[t.Name]; ok {
		*t = known
		return fmt.Errorf("%w: %s", ErrExists, t.Name)
	}
	if other, ok := img.collision(t.Name); ok {
		return fmt.Errorf("%w: %s", ErrCollides, other)
	}
	if t.Partitions < 1 || t.Partitions > maxPartitions {
		return ErrInvalidPartitions
	}
	configs, err := img.admit(t.Configs, nil)
	if err != nil {
		return err
	}
	_, _ = rand.Read(t.ID[:])
	t.Configs = configs
	t.Config = img.parse(*t)
	return nil
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
		next, err = img.admit(next, t.Configs)
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
