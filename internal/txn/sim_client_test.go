package txn_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/topic"
	"kelp/internal/txn"
)

// errLost is what a client sees of a request that was lost, or whose answer was.
var errLost = errors.New("lost")

// client is one instance of a producer: it reads, writes and commits offsets in a loop. With first it speaks the protocol
// before KIP-890: partitions are added before they are written, and the end of a transaction leaves the epoch as it is.
type client struct {
	s     *server
	n     int // which producer: its transactional id
	first bool
	yield func(struct{}) bool
	as    member

	id       int64
	epoch    int16
	sequence [outputs]int32
	tags     int
	done     func(input int)
}

func (c *client) name() string { return "producer-" + strconv.Itoa(c.n) }

func (c *client) by() txn.Producer {
	return txn.Producer{TransactionalID: c.name(), ID: c.id, Epoch: c.epoch}
}

// ask sends a request over a network that loses and repeats, to a server that may crash at any moment.
func (c *client) ask(request func() error) (err error) {
	c.pause()
	handle := func() (err error) {
		if !c.s.surviving(func() { err = request() }) {
			return errLost
		}
		return err
	}
	switch c.s.r.IntN(12) {
	case 0:
		return errLost
	case 1:
		_ = handle()
		return errLost
	case 2:
		_ = handle()
	}
	return handle()
}

type stopped struct{}

// pause lets the others go on.
func (c *client) pause() {
	if !c.yield(struct{}{}) {
		panic(stopped{})
	}
}

// run copies what is its own until all inputs are done; what fails begins anew.
func (c *client) run() iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		defer func() {
			if e := recover(); e != nil && e != (stopped{}) {
				panic(e)
			}
		}()
		c.yield = yield
		for {
			if err := c.init(); err == nil {
				c.copy()
			}
		}
	}
}

// copy copies until something fails.
func (c *client) copy() {
	for {
		own, err := c.as.inputs(c)
		if err != nil {
			continue // it joins anew
		}
		pieces, err := c.next(own)
		if err != nil {
			continue
		}
		if len(pieces) == 0 {
			c.pause()
			continue
		}
		if err := c.transact(pieces); err != nil {
			return
		}
	}
}

// piece is a few records of an input.
type piece struct {
	in        int
	at, count int64
}

// next is what follows in inputs, up to all of them in one transaction.
func (c *client) next(own []int) (pieces []piece, err error) {
	for _, in := range own {
		at, err := c.position(in)
		switch {
		case err != nil:
			return nil, err
		case at == inputs:
			c.done(in)
		case len(pieces) == 0 || c.s.r.IntN(2) == 0:
			pieces = append(pieces, piece{in, at, min(1+int64(c.s.r.IntN(3)), inputs-at)})
		}
	}
	return pieces, nil
}

// retry asks again while the request is lost or the server says to; anything else is the answer.
func (c *client) retry(request func() error) error {
	for range 100 {
		err := c.ask(request)
		if !slices.Contains([]error{errLost, kerr.ConcurrentTransactions, kerr.UnstableOffsetCommit, kerr.NotEnoughReplicas}, err) {
			return err
		}
	}
	return errLost
}

func (c *client) init() error {
	return c.retry(func() error {
		req := kmsg.NewPtrInitProducerIDRequest()
		name := c.name()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 5, &name, int32(1000+c.s.r.IntN(10_000))
		if c.first {
			req.Version = 4
		}
		reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects {
			c.s.nextID++
			return c.s.txns.InitProducerID(in, req, c.s.nextID)
		})
		if !ok {
			return errLost
		}
		resp := reply.Response.(*kmsg.InitProducerIDResponse)
		c.id, c.epoch, c.sequence = resp.ProducerID, resp.ProducerEpoch, [outputs]int32{}
		return codeError(resp.ErrorCode)
	})
}

func codeError(code int16) error { return kerr.ErrorForCode(code) }

func (c *client) position(in int) (at int64, err error) {
	err = c.retry(func() error {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.RequireStable = 9, true
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = c.as.group()
		if id, epoch := c.as.name(); id != "" && c.as.consumer() {
			g.MemberID, g.MemberEpoch = &id, epoch
		}
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: input.Name, Partitions: []int32{int32(in)}}}
		req.Groups = append(req.Groups, g)
		resp := c.s.groupStep(func(in statelog.Input) statelog.Effects { return c.s.groups.OffsetFetch(in, req) }).Response
		answer := resp.(*kmsg.OffsetFetchResponse).Groups[0]
		if err := codeError(answer.ErrorCode); err != nil {
			return err
		}
		p := answer.Topics[0].Partitions[0]
		at = max(p.Offset, 0)
		return codeError(p.ErrorCode)
	})
	return at, err
}

// transact copies pieces. When the group refuses the offsets, as another member has an input now, the transaction is aborted.
func (c *client) transact(pieces []piece) error {
	c.tags++
	tag := fmt.Sprintf("%d/%d/%d", c.id, c.epoch, c.tags)
	for out := range outputs {
		if c.first {
			if err := c.retry(func() error { return c.add(out) }); err != nil {
				return err
			}
		}
		for _, p := range pieces {
			if err := c.produce(out, p, tag); err != nil {
				return err
			}
		}
	}
	if c.first {
		if err := c.retry(c.addOffsets); err != nil {
			return err
		}
	}
	err := c.retry(func() error { return c.offsets(pieces) })
	refused := slices.Contains([]error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.StaleMemberEpoch, kerr.FencedMemberEpoch}, err)
	if refused {
		c.s.did.refused++
	} else if err != nil {
		return err
	}
	commit := !refused && c.s.r.IntN(5) > 0
	return c.retry(func() error { return c.end(commit) })
}

// add and addOffsets are the first protocol's.
func (c *client) add(out int) error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, c.name(), c.id, c.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "out", Partitions: []int32{int32(out)}}}
	reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects { return c.s.txns.AddPartitions(in, req) })
	if !ok {
		return errLost
	}
	return codeError(reply.Response.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode)
}

func (c *client) addOffsets() error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 4, c.name(), c.id, c.epoch, c.as.group()
	reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects { return c.s.txns.AddOffsets(in, req, ofGroups) })
	if !ok {
		return errLost
	}
	return codeError(reply.Response.(*kmsg.AddOffsetsToTxnResponse).ErrorCode)
}

// ofGroups is the partition that keeps the offsets of groups.
var ofGroups = txn.Partition{Topic: cluster.ConsumerOffsets.Name}

// joins asks the coordinator about a partition as the server does: it joins the transaction, or must have been added.
func (c *client) joins(by txn.Producer, p txn.Partition) (verdict error, ok bool) {
	reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects {
		if c.first {
			return c.s.txns.Verify(in, by, p)
		}
		return c.s.txns.Join(in, by, p)
	})
	if members, checked := reply.Response.([]bool); reply.Err == nil && checked && !members[0] {
		return kerr.TransactionAbortable, ok
	}
	return reply.Err, ok
}

// produce writes a piece to an output; each record says its input, its number and its transaction.
func (c *client) produce(out int, p piece, tag string) error {
	by, sequence := c.by(), c.sequence[out]
	err := c.retry(func() error {
		var recs []batch.Record
		for i := p.at; i < p.at+p.count; i++ {
			recs = append(recs, batch.Record{TimestampMs: 1_000_000, Key: []byte(tag), Value: fmt.Appendf(nil, "%d:%d", p.in, i)})
		}
		b := batch.Encode(recs, batch.Options{ProducerID: by.ID, ProducerEpoch: by.Epoch, BaseSequence: sequence, Transactional: true})
		c.s.moment()
		a, err := c.s.parts[out].Produce(b, topic.Client{Transactional: true, Implicit: !c.first})
		if err != nil {
			return bare(err)
		}
		if a.Verify != nil {
			verdict, ok := c.joins(by, txn.Partition{Topic: "out", Index: int32(out)})
			if !ok {
				a.Verify.Done(kerr.ConcurrentTransactions) // the client does not wait for it; it may still be added
				return errLost
			}
			a.Verify.Done(verdict)
		}
		if a.Pending == nil {
			return nil
		}
		err = bare(a.Pending.Wait(c.s.t.Context()))
		c.s.moment()
		return err
	})
	c.sequence[out] += int32(p.count)
	return err
}

// bare is the code in an error.
func bare(err error) error {
	for e := err; e != nil; {
		if k, ok := e.(*kerr.Error); ok { //nolint:errorlint // walks the chain
			return k
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return err
}

func (c *client) offsets(pieces []piece) error {
	guard := c.s.groupStep(func(in statelog.Input) statelog.Effects { return c.s.groups.TxnGuard(in, c.id, c.epoch) }).Response.(group.Guard)
	if !guard.Open {
		verdict, ok := c.joins(c.by(), ofGroups)
		if !ok {
			return errLost
		}
		if verdict != nil {
			return verdict
		}
	}
	for len(c.s.calls) > 0 && c.s.r.IntN(3) == 0 { // markers may come between the question and the commit
		c.s.deliver(c.s.r.IntN(len(c.s.calls)))
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.Group, req.ProducerID, req.ProducerEpoch = 5, c.as.group(), c.id, c.epoch
	if c.first {
		req.Version = 4
	}
	req.MemberID, req.Generation = c.as.name()
	t := kmsg.TxnOffsetCommitRequestTopic{Topic: input.Name}
	for _, p := range pieces {
		t.Partitions = append(t.Partitions, kmsg.TxnOffsetCommitRequestTopicPartition{
			Partition: int32(p.in), Offset: p.at + p.count, LeaderEpoch: -1,
		})
	}
	req.Topics = append(req.Topics, t)
	resp := c.s.groupStep(func(in statelog.Input) statelog.Effects { return c.s.groups.TxnOffsetCommit(in, req, guard) }).Response
	for _, p := range resp.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions {
		if err := codeError(p.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) end(commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 5, c.name(), c.id, c.epoch, commit
	if c.first {
		req.Version = 4
	}
	reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects {
		c.s.nextID++
		return c.s.txns.EndTxn(in, req, c.s.nextID)
	})
	if !ok {
		return errLost
	}
	resp := reply.Response.(*kmsg.EndTxnResponse)
	if err := codeError(resp.ErrorCode); err != nil {
		return err
	}
	if !c.first {
		c.id, c.epoch, c.sequence = resp.ProducerID, resp.ProducerEpoch, [outputs]int32{}
	}
	return nil
}
