// Package bare speaks Kafka's protocol over plain sockets with requests that are built beforehand,
// so that on two cores the load generator leaves the processor to the server. It checks every
// answer for errors and does nothing else with it.
package bare

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// Conn is one connection; one goroutine uses it at a time.
type Conn struct {
	net.Conn
	buf []byte
	id  int32
}

// Dial connects to a broker.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, buf: make([]byte, 64<<10)}, nil
}

var format = kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench"))

// Frame builds the bytes of a request, whose version must be set.
func Frame(req kmsg.Request, correlationID int32) []byte {
	return format.AppendRequest(nil, req, correlationID)
}

// Ask sends a request and gives the decoded response.
func (c *Conn) Ask(req kmsg.Request) (kmsg.Response, error) {
	c.id++
	if _, err := c.Write(Frame(req, c.id)); err != nil {
		return nil, err
	}
	body, err := c.ReadResponse()
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	body = body[4:]
	if resp.IsFlexible() && resp.Key() != kmsg.ApiVersions.Int16() {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// ReadResponse reads one response without its size; the bytes are good until the next read.
func (c *Conn) ReadResponse() ([]byte, error) {
	if _, err := io.ReadFull(c.Conn, c.buf[:4]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(c.buf))
	if n > len(c.buf) {
		c.buf = make([]byte, n+n/4)
	}
	_, err := io.ReadFull(c.Conn, c.buf[:n])
	return c.buf[:n], err
}

// CreateTopic makes a topic over a connection of its own and waits until its partitions are led.
func CreateTopic(addr, name string, partitions int32) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	if err := CreateTopics(addr, t); err != nil {
		return err
	}
	_, err := EndOffsets(addr, name, int(partitions))
	return err
}

// CreateTopics makes topics in one request.
func CreateTopics(addr string, topics ...kmsg.CreateTopicsRequestTopic) error {
	c, err := Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 6, 300_000
	req.Topics = topics
	resp, err := c.Ask(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", t.Topic, err)
		}
	}
	return nil
}

// settleTimeout bounds how long the partitions of a topic may take to be led.
const settleTimeout = 5 * time.Minute

// EndOffsets gives the end of each partition of a topic, waiting until all of them are led.
func EndOffsets(addr, topic string, partitions int) ([]int64, error) {
	c, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 5, -1
	lt := kmsg.NewListOffsetsRequestTopic()
	lt.Topic = topic
	for i := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = int32(i), -1
		lt.Partitions = append(lt.Partitions, p)
	}
	req.Topics = append(req.Topics, lt)
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(2 * time.Millisecond) {
		ends, err := c.ends(req, partitions)
		if err == nil || !kerr.IsRetriable(err) || time.Now().After(deadline) {
			return ends, err
		}
	}
}

func (c *Conn) ends(req *kmsg.ListOffsetsRequest, partitions int) ([]int64, error) {
	resp, err := c.Ask(req)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, partitions)
	for _, p := range resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, fmt.Errorf("end of partition %d: %w", p.Partition, err)
		}
		ends[p.Partition] = p.Offset
	}
	return ends, nil
}

// ProducerID asks for an idempotent producer's id.
func (c *Conn) ProducerID() (int64, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionTimeoutMillis = 4, 60_000
	for {
		resp, err := c.Ask(req)
		if err != nil {
			return 0, err
		}
		r := resp.(*kmsg.InitProducerIDResponse)
		switch err := kerr.ErrorForCode(r.ErrorCode); {
		case kerr.IsRetriable(err):
			time.Sleep(10 * time.Millisecond)
		default:
			return r.ProducerID, err
		}
	}
}

// Detach gives the connection's file descriptor, blocking and the caller's; the Conn is closed.
func (c *Conn) Detach() (fd int, err error) {
	f, err := c.Conn.(*net.TCPConn).File()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if fd, err = unix.Dup(int(f.Fd())); err != nil {
		return 0, err
	}
	return fd, c.Close()
}
