package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/api"
	"kelp/internal/cluster"
	"kelp/internal/config"
	"kelp/internal/statelog"
	"kelp/internal/topic"
	"kelp/internal/txn"
)

// How long a marker that could not be written waits for its next try.
const (
	markerRetryFirst = 50 * time.Millisecond
	markerRetryMost  = 5 * time.Second
)

// transactions runs the transaction machine and delivers the markers that it calls for.
type transactions struct {
	*statelog.Runner[*txn.Machine]
	markers api.Markers
	logger  *slog.Logger
	life    context.Context // ends deliveries
	wg      *sync.WaitGroup
}

// openTransactions replays the transactions and completes what was decided before.
func (n *Node) openTransactions(ctx context.Context, p parts, metadata *cluster.Catalog, set *topic.Set) error {
	limits := transactionLimits(p.o.Limits)
	t := &transactions{
		markers: api.Markers{Catalog: metadata, Partitions: set, Groups: n.groups}, logger: p.logger, life: n.life, wg: &n.wg,
	}
	started := make(chan struct{}) // calls may come before Open has returned the runner
	runner, err := statelog.Open(ctx, statelog.Options[*txn.Machine]{
		Log: stateLog(metadata, set, cluster.TransactionState),
		Fresh: func() *txn.Machine {
			return txn.New(limits, metadata.Image().Level(cluster.TransactionVersion))
		},
		Note: func(text string) { p.logger.Info(text) },
		Call: func(c statelog.Call) {
			w := c.(txn.WriteMarkers)
			t.wg.Go(func() {
				<-started
				t.deliver(w)
			})
		},
	})
	if err != nil {
		return fmt.Errorf("transactions: %w", err)
	}
	t.Runner = runner
	close(started)
	n.txns = t
	return p.metrics.Register(&transactionMetrics{runner})
}

func transactionLimits(l config.Limits) txn.Options {
	o := txn.Defaults()
	o.MaxTimeoutMs = int32(l.TransactionMaxTimeout.Milliseconds())
	o.MaxIDs, o.IDExpirationCheck = l.TransactionalIDs, l.TransactionalIDCheck
	o.AbortCheck, o.IDExpiration = l.TransactionAbortCheck, l.TransactionalIDExpiration
	return o
}

// deliver writes the markers of one transaction and says so once all are in.
func (t *transactions) deliver(w txn.WriteMarkers) {
	m := topic.Marker{
		ProducerID: w.ID, ProducerEpoch: w.Epoch, CoordinatorEpoch: w.CoordinatorEpoch, Commit: w.Commit, TransactionVersion: w.Version,
	}
	left := w.Partitions
	for pause := markerRetryFirst; len(left) > 0; pause = min(2*pause, markerRetryMost) {
		if left = t.write(left, m, w.TransactionalID); len(left) == 0 {
			break
		}
		select {
		case <-t.life.Done():
			return // the next start writes them
		case <-time.After(pause):
		}
	}
	// A runner that lost its state has called for the markers anew: then this changes nothing.
	_ = t.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.MarkersWritten(in, w) })
}

// write writes a marker into partitions and gives those where it has to be tried again.
func (t *transactions) write(partitions []txn.Partition, m topic.Marker, id string) (again []txn.Partition) {
	waits := make([]func(context.Context) error, 0, len(partitions))
	for _, p := range partitions {
		waits = append(waits, t.markers.Write(t.life, api.TopicPartition{Topic: p.Topic, Partition: p.Index}, m))
	}
	for i, wait := range waits {
		err := wait(t.life)
		switch {
		case err == nil:
		case errors.Is(err, kerr.UnknownTopicOrPartition): // deleted meanwhile, and its records with it
		case errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.TransactionCoordinatorFenced):
			// Somebody has ended it there under a newer epoch, as an operator may.
			t.logger.Warn("a transaction was ended by somebody else", "transactional id", id,
				"topic", partitions[i].Topic, "partition", partitions[i].Index, "error", err)
		default:
			if t.life.Err() == nil {
				t.logger.Warn("could not write the end of a transaction; it will be tried again", "transactional id", id,
					"topic", partitions[i].Topic, "partition", partitions[i].Index, "error", err)
			}
			again = append(again, partitions[i])
		}
	}
	return again
}

// featuresChanged tells the machine the finalized level.
func (t *transactions) featuresChanged(metadata *cluster.Catalog) func(context.Context) {
	return func(ctx context.Context) {
		level := metadata.Image().Level(cluster.TransactionVersion)
		_, _ = t.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.SetLevel(in, level) }).Wait(ctx)
	}
}
