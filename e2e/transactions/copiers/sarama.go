package copiers

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// saramaCopy copies with Sarama's transactional producer and a consumer group.
func saramaCopy(ctx context.Context, c *Copier, job Copy) {
	for ctx.Err() == nil {
		if err := saramaRun(ctx, c, job); err != nil && ctx.Err() == nil {
			c.say("anew: %v", err)
		}
	}
}

func saramaRun(ctx context.Context, c *Copier, job Copy) error {
	config := sarama.NewConfig()
	config.Version = sarama.V4_0_0_0
	config.Consumer.IsolationLevel, config.Consumer.Offsets.Initial = sarama.ReadCommitted, sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout, config.Consumer.Group.Heartbeat.Interval = 6*time.Second, 500*time.Millisecond
	config.Producer.Idempotent, config.Producer.Transaction.ID, config.Net.MaxOpenRequests = true, job.ID, 1
	config.Producer.RequiredAcks, config.Producer.Partitioner = sarama.WaitForAll, sarama.NewManualPartitioner
	config.Producer.Return.Successes, config.Producer.Return.Errors = true, true
	group, err := sarama.NewConsumerGroup([]string{job.Addr}, job.Group, config)
	if err != nil {
		return err
	}
	defer group.Close()
	producer, err := sarama.NewSyncProducer([]string{job.Addr}, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	h := &handler{c: c, job: job, producer: producer, lock: make(chan struct{}, 1)}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{job.From}, h); err != nil {
			return err
		}
		if h.failed != nil {
			return h.failed
		}
	}
	return nil
}

// handler copies claims; the one producer is shared by a lock, as it can have one transaction at a time.
type handler struct {
	c        *Copier
	job      Copy
	producer sarama.SyncProducer
	lock     chan struct{}
	n        int
	failed   error
}

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler. Returning ends the session; the next starts at what is committed.
func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		var batch []*sarama.ConsumerMessage
		select {
		case m, more := <-claim.Messages():
			if !more {
				return nil
			}
			batch = append(batch, m)
		case <-s.Context().Done():
			return nil
		}
		for len(batch) < perTransaction && len(claim.Messages()) > 0 {
			batch = append(batch, <-claim.Messages())
		}
		h.lock <- struct{}{}
		err := h.copy(batch)
		<-h.lock
		if err != nil {
			h.c.say("failed: %v", err)
			return err
		}
	}
}

func (h *handler) copy(batch []*sarama.ConsumerMessage) error {
	if h.failed != nil {
		return h.failed
	}
	h.n++
	if h.n%3 == 2 {
		if err := h.transact(batch[:0], &sarama.ProducerMessage{Topic: h.job.To, Value: sarama.StringEncoder("aborted")}); err != nil {
			h.failed = err
			return err
		}
	}
	var out []*sarama.ProducerMessage
	for _, m := range batch {
		out = append(out, &sarama.ProducerMessage{Topic: h.job.To, Partition: m.Partition, Value: sarama.ByteEncoder(m.Value)})
	}
	h.failed = h.transact(batch, out...)
	return h.failed
}

// transact writes messages in a transaction, and commits it with the offsets of what was read, or aborts one that read nothing.
func (h *handler) transact(read []*sarama.ConsumerMessage, write ...*sarama.ProducerMessage) error {
	if err := h.producer.BeginTxn(); err != nil {
		return err
	}
	if err := h.producer.SendMessages(write); err != nil {
		return errors.Join(err, h.producer.AbortTxn())
	}
	if len(read) == 0 {
		return h.producer.AbortTxn()
	}
	if err := h.producer.AddMessageToTxn(read[len(read)-1], h.job.Group, nil); err != nil {
		return errors.Join(err, h.producer.AbortTxn())
	}
	if err := h.producer.CommitTxn(); err != nil {
		return errors.Join(err, h.producer.AbortTxn())
	}
	h.c.say("committed %d", len(read))
	return nil
}
