package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

const txnStatTimeout = 5 * time.Second

// transactionMetrics asks the machine of the transactions whenever somebody looks.
type transactionMetrics struct {
	txns *statelog.Runner[*txn.Machine]
}

var (
	txnIDsDesc     = describe("transactional_ids", "Transactional ids by the state of their transaction; Ongoing are open.", "state")
	txnEndedDesc   = describe("transactions_ended_total", "Transactions whose last marker was written.", "end")
	txnOverdueDesc = describe("transactions_overdue_total", "Transactions aborted for being open longer than their timeout.")
	txnFencedDesc  = describe("transactions_fenced_total", "Transactions aborted as another producer came with their transactional id.")
	txnRefusedDesc = describe("transactional_ids_refused_total", "New transactional ids refused, as no more may be remembered.")
	txnLastedDesc  = describe("transaction_seconds", "Time from the first partition of a transaction to its last marker.")
	txnMarkedDesc  = describe("transaction_markers_seconds", "Time from the decision on a transaction to its last marker.")
	txnOldestDesc  = describe("transaction_oldest_open_seconds", "How long the oldest open transaction has been open.")
	txnHeldDesc    = describe("transaction_held_requests", "Requests that wait for the markers of the transaction before theirs.")
)

// Describe implements prometheus.Collector.
func (t *transactionMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		txnIDsDesc, txnEndedDesc, txnOverdueDesc, txnFencedDesc, txnRefusedDesc, txnLastedDesc, txnMarkedDesc, txnOldestDesc, txnHeldDesc,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector. A machine that does not answer in time shows nothing.
func (t *transactionMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), txnStatTimeout)
	defer cancel()
	answer, err := t.txns.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects {
		return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Response: m.Stats(in.Now)}}}
	}).Wait(ctx)
	if err != nil {
		return
	}
	s := answer.(txn.Stats)
	value := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, state := range []txn.State{txn.Empty, txn.Ongoing, txn.PrepareCommit, txn.PrepareAbort, txn.CompleteCommit, txn.CompleteAbort} {
		value(txnIDsDesc, prometheus.GaugeValue, float64(s.IDs[state]), state.String())
	}
	value(txnEndedDesc, prometheus.CounterValue, float64(s.Committed), "commit")
	value(txnEndedDesc, prometheus.CounterValue, float64(s.Aborted), "abort")
	value(txnOverdueDesc, prometheus.CounterValue, float64(s.Overdue))
	value(txnFencedDesc, prometheus.CounterValue, float64(s.Fenced))
	value(txnRefusedDesc, prometheus.CounterValue, float64(s.Refused))
	to <- prometheus.MustNewConstHistogram(txnLastedDesc, s.Lasted.Number, s.Lasted.Sum.Seconds(), s.Lasted.Cumulative())
	to <- prometheus.MustNewConstHistogram(txnMarkedDesc, s.Marked.Number, s.Marked.Sum.Seconds(), s.Marked.Cumulative())
	value(txnOldestDesc, prometheus.GaugeValue, s.Oldest.Seconds())
	value(txnHeldDesc, prometheus.GaugeValue, float64(s.Held))
}
