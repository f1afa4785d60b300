// Package api answers Kafka requests: one file per API key, named by number and verb, and one
// table of keys and versions. A handler authorizes, checks and hands over to the domain packages
// (topic, group, txn, cluster); it holds no state and never waits for a disk or a peer in the
// ordered part. kmsg is the only request vocabulary.
//
// Handlers are methods on small structs, one per family, each with only the fields that it uses.
// Errors of every layer become Kafka codes in one place, [codeOf].
package api

import (
	"context"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/storage"
)

// Request is one decoded request with what the connection knows about its sender. Body may alias
// the connection's read buffer, which lives until the reply has been written or, for a request
// that gets none, until its Reply's wait has returned.
type Request struct {
	Body       kmsg.Request // version is set
	ClientID   string
	ConnID     uint64   // unique in the process; fetch sessions and quotas are keyed by it
	LocalAddr  net.Addr // what the client dialled: the address to advertise when none is configured
	RemoteAddr net.Addr
	Software   Software // what the client said in ApiVersions v3+, empty before
}

// Software names a client library (KIP-511).
type Software struct{ Name, Version string }

// ClientHost is the form in which Kafka shows a client's address, such as /127.0.0.1.
func (r *Request) ClientHost() string {
	host, _, err := net.SplitHostPort(r.RemoteAddr.String())
	if err != nil {
		return "/" + r.RemoteAddr.String()
	}
	return "/" + host
}

// Entry is one row of the table: an API key, the versions served, and its handler.
type Entry struct {
	Key      kmsg.Key
	Min, Max int16
	// Handle is the ordered part: requests of a connection are handled one after the other in
	// arrival order. It must not wait; what waits goes into Later.
	Handle func(context.Context, *Request) Reply
	// Refuse builds the response that fails the whole request in this key's own shape.
	Refuse func(kmsg.Request, error) kmsg.Response
	// Alone says that the request is handled once all before it on its connection are answered.
	Alone bool
}

// Reply is what a handler gives back: a response now, later, or none.
type Reply struct {
	response kmsg.Response
	wait     func(context.Context) (kmsg.Response, error)
	err      error
	silent   bool
	notify   func(f func())
}

// Now answers at once.
func Now(r kmsg.Response) Reply { return Reply{response: r} }

// Later answers when wait returns: durability, min bytes, a rebalance. Waits of one connection
// overlap, replies keep arrival order. An error is answered through the entry's Refuse.
func Later(wait func(context.Context) (kmsg.Response, error)) Reply { return Reply{wait: wait} }

// Failed answers through the entry's Refuse.
func Failed(err error) Reply { return Reply{err: err} }

// Nothing answers nothing (acks=0). A wait, when given, keeps the request's buffer alive until it
// returns; a non-nil error closes the connection, as Kafka does to tell such a producer.
func Nothing(wait func(context.Context) error) Reply {
	if wait == nil {
		return Reply{silent: true}
	}
	return Reply{silent: true, wait: func(ctx context.Context) (kmsg.Response, error) { return nil, wait(ctx) }}
}

// When adds to a reply that waits how to learn that its wait will not take long any more: notify calls
// f, at least once and from anywhere, and f must not block. Without it a goroutine waits.
func (r Reply) When(notify func(f func())) Reply {
	r.notify = notify
	return r
}

// Notify has f called when Wait is worth calling; false when only Wait can tell.
func (r Reply) Notify(f func()) bool {
	if r.notify == nil {
		return false
	}
	r.notify(f)
	return true
}

// Silent reports that no response is written.
func (r Reply) Silent() bool { return r.silent }

// Ready reports that Wait will not block.
func (r Reply) Ready() bool { return r.wait == nil }

// Wait gives the response, or the error that Refuse turns into one.
func (r Reply) Wait(ctx context.Context) (kmsg.Response, error) {
	if r.wait != nil {
		return r.wait(ctx)
	}
	return r.response, r.err
}

// Fetched is a Fetch response whose record bytes are stored spans. Spans runs parallel to the
// partitions in response order (topic by topic); where an entry is not nil its bytes go in place
// of that partition's RecordBatches, which must then be empty. Whoever writes the response
// releases every span and then calls Written, also when writing fails.
type Fetched struct {
	*kmsg.FetchResponse
	Spans   []storage.Span
	Written func()
}
