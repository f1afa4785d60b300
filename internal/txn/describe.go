package txn

import (
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// maxPatternBytes bounds the pattern of ListTransactions.
const maxPatternBytes = 4096

// Describe answers DescribeTransactions.
func (m *Machine) Describe(in statelog.Input, req *kmsg.DescribeTransactionsRequest) statelog.Effects {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		resp.TransactionStates = append(resp.TransactionStates, m.describe(id))
	}
	return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Response: resp}}}
}

func (m *Machine) describe(id string) kmsg.DescribeTransactionsResponseTransactionState {
	out := kmsg.NewDescribeTransactionsResponseTransactionState()
	out.TransactionalID = id
	t, known := m.byID[id]
	switch {
	case id == "":
		out.ErrorCode = kerr.InvalidRequest.Code
	case !known:
		out.ErrorCode = kerr.TransactionalIDNotFound.Code
	default:
		out.State, out.TimeoutMillis, out.StartTimestamp = t.state.String(), t.timeoutMs, t.startedMs
		out.ProducerID, out.ProducerEpoch = t.producerID, t.epoch
	}
	for _, p := range t.partitions {
		if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != p.Topic {
			topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			topic.Topic = p.Topic
			out.Topics = append(out.Topics, topic)
		}
		last := &out.Topics[len(out.Topics)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
	return out
}

// List answers ListTransactions, filtered by state, producer id, age and pattern.
func (m *Machine) List(in statelog.Input, req *kmsg.ListTransactionsRequest) statelog.Effects {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	e := statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Response: resp}}}
	f, err := newFilter(req)
	if err != nil {
		resp.ErrorCode = err.Code
		return e
	}
	resp.UnknownStateFilters = f.unknown
	for _, t := range m.sorted(func(t transaction) bool { return f.takes(t, in.Now.UnixMilli()) }) {
		out := kmsg.NewListTransactionsResponseTransactionState()
		out.TransactionalID, out.ProducerID, out.TransactionState = t.id, t.producerID, t.state.String()
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return e
}

type filter struct {
	req     *kmsg.ListTransactionsRequest
	states  []State
	unknown []string
	pattern *regexp.Regexp
}

func newFilter(req *kmsg.ListTransactionsRequest) (filter, *kerr.Error) {
	f := filter{req: req}
	for _, name := range req.StateFilters {
		if i := slices.Index(stateNames, name); i >= 0 {
			f.states = append(f.states, State(i))
		} else {
			f.unknown = append(f.unknown, name)
		}
	}
	if req.TransactionalIDPattern == nil || *req.TransactionalIDPattern == "" {
		return f, nil
	}
	if len(*req.TransactionalIDPattern) > maxPatternBytes {
		return f, kerr.InvalidRegularExpression
	}
	pattern, err := regexp.Compile("^(?:" + *req.TransactionalIDPattern + ")$")
	if err != nil {
		return f, kerr.InvalidRegularExpression
	}
	f.pattern = pattern
	return f, nil
}

func (f filter) takes(t transaction, nowMs int64) bool {
	switch {
	case len(f.req.ProducerIDFilters) > 0 && !slices.Contains(f.req.ProducerIDFilters, t.producerID):
		return false
	case len(f.req.StateFilters) > 0 && !slices.Contains(f.states, t.state):
		return false
	case f.req.DurationFilterMillis >= 0 && nowMs-t.startedMs <= f.req.DurationFilterMillis:
		return false
	}
	return f.pattern == nil || f.pattern.MatchString(t.id)
}
