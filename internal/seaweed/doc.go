// Package seaweed talks to SeaweedFS: masters for discovery, one filer for names and conditional
// creates over gRPC, and volume servers for bytes over HTTP. It speaks SeaweedFS's words (entry,
// file id, collection) and knows nothing of partitions or Kafka.
//
// The messages in filerpb and masterpb are restated from SeaweedFS's wire contract.
//
// Invariants: an error says whether the outcome is known ([ErrUnclear]) and nothing is retried
// behind the caller's back where a repeat could change the meaning. Every call has a time limit.
package seaweed

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// The errors of this package; each is wrapped with what was asked for and what was answered.
var (
	ErrNotFound = errors.New("not found in SeaweedFS")
	ErrExists   = errors.New("exists already in SeaweedFS")
	ErrChanged  = errors.New("was changed by somebody else in SeaweedFS")
	// ErrUnclear says that a write may or may not have taken place.
	ErrUnclear = errors.New("SeaweedFS did not answer: the outcome is not known")
	ErrLocked  = errors.New("the lock is held by another owner")
)

// gRPCOffset is what SeaweedFS adds to a server's HTTP port when its gRPC port is not given.
const gRPCOffset = 10_000

// Address is where a master or filer listens.
type Address struct {
	Host       string
	HTTP, GRPC int
}

// ParseAddress reads host:port, whose gRPC port is 10,000 higher, or host:port.grpcPort.
func ParseAddress(s string) (Address, error) {
	host, ports, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: want host:port or host:port.grpcPort: %w", s, err)
	}
	web, rpc, explicit := strings.Cut(ports, ".")
	a := Address{Host: host}
	if a.HTTP, err = port(web); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	a.GRPC = a.HTTP + gRPCOffset
	if explicit {
		if a.GRPC, err = port(rpc); err != nil {
			return Address{}, fmt.Errorf("address %q: %w", s, err)
		}
	}
	return a, nil
}

func port(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return int(n), nil
}

// String gives the form with both ports, which ParseAddress reads back.
func (a Address) String() string {
	return net.JoinHostPort(a.Host, fmt.Sprintf("%d.%d", a.HTTP, a.GRPC))
}

// dial is the target of a gRPC connection.
func (a Address) dial() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.GRPC)) }
