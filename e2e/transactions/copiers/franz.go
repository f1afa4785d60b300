package copiers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// perTransaction is how many records one transaction copies at most.
const perTransaction = 20

// franz copies with a GroupTransactSession.
func franz(ctx context.Context, c *Copier, job Copy) {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(job.Addr), kgo.TransactionalID(job.ID), kgo.ConsumerGroup(job.Group),
			kgo.ConsumeTopics(job.From), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.TransactionTimeout(30*time.Second))
		if err != nil {
			c.say("new: %v", err)
			continue
		}
		for n := 0; ctx.Err() == nil; n++ {
			if err := franzStep(ctx, c, s, job, n%3 == 2); err != nil {
				c.say("anew: %v", err)
				break
			}
		}
		s.Close()
	}
}

func franzStep(ctx context.Context, c *Copier, s *kgo.GroupTransactSession, job Copy, abort bool) error {
	fetches := s.PollRecords(ctx, perTransaction)
	if ctx.Err() != nil || fetches.NumRecords() == 0 {
		return nil
	}
	if err := s.Begin(); err != nil {
		return err
	}
	var promise kgo.FirstErrPromise
	fetches.EachRecord(func(r *kgo.Record) {
		out := &kgo.Record{Topic: job.To, Partition: r.Partition, Value: r.Value}
		if abort {
			out.Value = []byte("aborted")
		}
		s.Produce(context.WithoutCancel(ctx), out, promise.Promise())
	})
	err := promise.Err()
	committed, ended := s.End(context.WithoutCancel(ctx), kgo.TransactionEndTry(err == nil && !abort))
	c.say("produced %v, committed %t %d, %v", err, committed, fetches.NumRecords(), ended)
	return ended
}
