package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func txnCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "txn", Short: "List, describe and abort transactions",
		Long: "Works on the transactions of any Kafka cluster, at --server.",
	}
	servers := serverFlag(c)
	c.AddCommand(txnList(servers), txnDescribe(servers), txnAbort(servers))
	return c
}

func txnList(servers *[]string) *cobra.Command {
	var states []string
	var longer time.Duration
	c := &cobra.Command{
		Use: "list", Short: "List transactional ids with the states of their transactions",
		Example: `  kelp txn list --state Ongoing --longer-than 10m`,
		Args:    needs(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				listed, err := a.ListTransactions(ctx, nil, states)
				if err != nil {
					return err
				}
				described, err := a.DescribeTransactions(ctx, listed.TransactionalIDs()...)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "TRANSACTIONAL ID\tSTATE\tPRODUCER ID\tEPOCH\tTIMEOUT\tOPEN FOR")
				for _, t := range described.Sorted() {
					open := openFor(t, time.Now())
					if t.Err == nil && open >= longer {
						fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", t.TxnID, t.State, t.ProducerID, t.ProducerEpoch, timeout(t), dash(open))
					}
				}
				return w.Flush()
			})
		},
	}
	c.Flags().StringSliceVar(&states, "state", nil,
		"only transactions in these states: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort")
	c.Flags().DurationVar(&longer, "longer-than", 0, "only transactions that have been open for at least this long")
	return c
}

// openFor is how long a transaction has been undecided or without its markers; zero when none is.
func openFor(t kadm.DescribedTransaction, now time.Time) time.Duration {
	if t.StartTimestamp < 0 || t.State != "Ongoing" && !strings.HasPrefix(t.State, "Prepare") {
		return 0
	}
	return now.Sub(time.UnixMilli(t.StartTimestamp)).Round(time.Second)
}

func timeout(t kadm.DescribedTransaction) time.Duration {
	return time.Duration(t.TimeoutMillis) * time.Millisecond
}

func dash(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.String()
}

func txnDescribe(servers *[]string) *cobra.Command {
	return &cobra.Command{
		Use: "describe ID...", Short: "Show transactions with their partitions", Args: needs(1, -1, "at least one transactional ID"),
		RunE: func(c *cobra.Command, ids []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				described, err := a.DescribeTransactions(ctx, ids...)
				if err != nil {
					return err
				}
				return each(described.Sorted(), func(t kadm.DescribedTransaction) error {
					if t.Err != nil {
						return fmt.Errorf("transactional id %s: %w", t.TxnID, t.Err)
					}
					w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
					fmt.Fprintf(w, "transactional id %s, %s, producer %d epoch %d, timeout %s, open for %s\n",
						t.TxnID, t.State, t.ProducerID, t.ProducerEpoch, timeout(t), dash(openFor(t, time.Now())))
					for _, topic := range t.Topics.Sorted() {
						fmt.Fprintf(w, "%s\t%v\n", topic.Topic, topic.Partitions)
					}
					return w.Flush()
				})
			})
		},
	}
}

func txnAbort(servers *[]string) *cobra.Command {
	var at hanging
	c := &cobra.Command{
		Use: "abort [ID]", Short: "Abort the open transaction of a transactional id, or one that hangs in a partition",
		Long: `With an ID its coordinator aborts the transaction, and whoever had the id is fenced.

With --topic, --partition and --start-offset it ends a transaction in that one partition which no coordinator
knows any more, and which keeps readers of committed records from going on. kelp txn abort --find lists those.`,
		Example: `  kelp txn abort billing-7
  kelp txn abort --find --topic orders
  kelp txn abort --topic orders --partition 3 --start-offset 1234`,
		Args: needs(0, 1, "one transactional ID at most"),
		RunE: func(c *cobra.Command, args []string) error {
			return withClient(c, *servers, func(ctx context.Context, cl *kgo.Client) error {
				switch {
				case at.find:
					return findHanging(ctx, c, cl, at.topic)
				case at.topic != "" && len(args) == 0:
					return abortHanging(ctx, c, cl, at)
				case len(args) == 1 && at.topic == "":
					return abortID(ctx, c, cl, args[0])
				}
				return errors.New("give a transactional ID, or --topic with --partition and --start-offset; see kelp txn abort --help")
			})
		},
	}
	c.Flags().StringVar(&at.topic, "topic", "", "topic in which a transaction hangs")
	c.Flags().Int32Var(&at.partition, "partition", 0, "partition in which it hangs")
	c.Flags().Int64Var(&at.start, "start-offset", -1, "offset at which it began")
	c.Flags().BoolVar(&at.find, "find", false, "list the transactions of a topic that no coordinator knows")
	return c
}

// hanging names a transaction by where it began.
type hanging struct {
	topic     string
	partition int32
	start     int64
	find      bool
}

// abortID takes over the transactional id, which aborts what is open.
func abortID(ctx context.Context, c *cobra.Command, cl *kgo.Client, id string) error {
	described, err := kadm.NewClient(cl).DescribeTransactions(ctx, id)
	if err != nil {
		return err
	}
	t := described[id]
	if t.Err != nil {
		return fmt.Errorf("transactional id %s: %w", id, t.Err)
	}
	if t.State != "Ongoing" {
		return fmt.Errorf("transactional id %s has no open transaction: it is %s", id, t.State)
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, t.TimeoutMillis
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	// CONCURRENT_TRANSACTIONS says that the abort is decided and under way.
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil && !errors.Is(err, kerr.ConcurrentTransactions) {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "aborted the transaction of %s\n", id)
	return nil
}

// openIn yields the transactions that are open in the partitions of a topic.
func openIn(ctx context.Context, cl *kgo.Client, topic string) ([]kadm.DescribedProducer, error) {
	var set kadm.TopicsSet
	set.Add(topic)
	described, err := kadm.NewClient(cl).DescribeProducers(ctx, set)
	if err != nil {
		return nil, err
	}
	var open []kadm.DescribedProducer
	for _, t := range described.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			if p.Err != nil {
				return nil, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, p.Err)
			}
			for _, producer := range p.ActiveProducers.Sorted() {
				if producer.CurrentTxnStartOffset >= 0 {
					open = append(open, producer)
				}
			}
		}
	}
	return open, nil
}

// findHanging lists open transactions whose producer id no coordinator has an open transaction for.
func findHanging(ctx context.Context, c *cobra.Command, cl *kgo.Client, topic string) error {
	open, err := openIn(ctx, cl, topic)
	if err != nil {
		return err
	}
	listed, err := kadm.NewClient(cl).ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	known := map[int64]bool{}
	for _, t := range listed.Sorted() {
		known[t.ProducerID] = true
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tSTART OFFSET\tPRODUCER ID\tEPOCH")
	for _, p := range open {
		if !known[p.ProducerID] {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", p.Topic, p.Partition, p.CurrentTxnStartOffset, p.ProducerID, p.ProducerEpoch)
		}
	}
	return w.Flush()
}

// abortHanging writes the abort marker into one partition.
func abortHanging(ctx context.Context, c *cobra.Command, cl *kgo.Client, at hanging) error {
	open, err := openIn(ctx, cl, at.topic)
	if err != nil {
		return err
	}
	for _, p := range open {
		if p.Partition != at.partition || p.CurrentTxnStartOffset != at.start {
			continue
		}
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch = p.ProducerID, p.ProducerEpoch, max(p.CoordinatorEpoch, 0)
		m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: at.topic, Partitions: []int32{at.partition}}}
		req.Markers = append(req.Markers, m)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.Markers[0].Topics[0].Partitions[0].ErrorCode); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "aborted the transaction of producer %d at %s/%d from offset %d\n",
			p.ProducerID, at.topic, at.partition, at.start)
		return nil
	}
	return fmt.Errorf("no transaction is open at %s/%d from offset %d; kelp txn abort --find --topic %s lists those that hang",
		at.topic, at.partition, at.start, at.topic)
}
