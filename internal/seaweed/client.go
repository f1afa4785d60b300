package seaweed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"kelp/internal/seaweed/filerpb"
	"kelp/internal/seaweed/masterpb"
)

// Limits of the client.
const (
	maxMessageBytes  = 64 << 20 // of one gRPC answer
	volumeIdleConns  = 64       // kept open to each volume server
	defaultRPCLimit  = 10 * time.Second
	locationsKeptFor = time.Minute // how long a volume's place is believed
)

// Options of a client.
type Options struct {
	Masters []string // host:port or host:port.grpcPort; the first that answers is asked
	// Filer pins one filer; empty takes the one that the masters know, and refuses several, since
	// two filers do not exclude each other's conditional creates.
	Filer string
	// Collection and Replication are given with every file id; empty leaves them to the filer.
	Collection, Replication string
	// TLS is used for gRPC and volume servers when set.
	TLS *tls.Config
	// CallLimit bounds one call; 0: ten seconds.
	CallLimit time.Duration
}

// Client is a connection to one SeaweedFS: its filer and its volume servers.
type Client struct {
	o     Options
	conn  *grpc.ClientConn
	filer filerpb.SeaweedFilerClient
	web   *http.Client
	where Address // the filer

	mu     sync.Mutex // guards places and spare
	places map[string]place
	spare  []fileID
}

// Dial finds the filer and connects to it. It returns the masters' answers when none is usable.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if o.CallLimit == 0 {
		o.CallLimit = defaultRPCLimit
	}
	filer := o.Filer
	if filer == "" {
		found, err := Nodes(ctx, o, "filer")
		if err != nil {
			return nil, err
		}
		if len(found) > 1 {
			return nil, fmt.Errorf("SeaweedFS has %d filers %v, which do not exclude each other's writes: choose the one that all nodes use",
				len(found), found)
		}
		filer = found[0]
	}
	where, err := ParseAddress(filer)
	if err != nil {
		return nil, fmt.Errorf("filer: %w", err)
	}
	conn, err := connect(where, o)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.TLSClientConfig, transport.DisableCompression = volumeIdleConns, o.TLS, true
	return &Client{
		o: o, conn: conn, filer: filerpb.NewSeaweedFilerClient(conn), where: where,
		web: &http.Client{Transport: transport}, places: map[string]place{},
	}, nil
}

// Filer is the address of the filer in use.
func (c *Client) Filer() string { return c.where.String() }

// Close ends the connections.
func (c *Client) Close() error {
	c.web.CloseIdleConnections()
	return c.conn.Close()
}

func connect(a Address, o Options) (*grpc.ClientConn, error) {
	with := insecure.NewCredentials()
	if o.TLS != nil {
		with = credentials.NewTLS(o.TLS)
	}
	return grpc.NewClient(a.dial(), grpc.WithTransportCredentials(with),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: time.Second}))
}

// Nodes lists the servers of a kind ("filer", "broker") that the masters know, sorted. The masters
// are asked in turn, the leader they name first. Addresses of brokers are to be dialled as they are.
func Nodes(ctx context.Context, o Options, kind string) ([]string, error) {
	if o.CallLimit == 0 {
		o.CallLimit = defaultRPCLimit
	}
	var failed error
	for _, m := range o.Masters {
		found, err := nodesOf(ctx, m, o, kind)
		if err == nil && len(found) > 0 {
			return found, nil
		}
		if err == nil {
			err = fmt.Errorf("it knows no %s", kind)
		}
		failed = errors.Join(failed, fmt.Errorf("master %s: %w", m, err))
	}
	if failed == nil {
		failed = errors.New("no master is given")
	}
	return nil, failed
}

func nodesOf(ctx context.Context, master string, o Options, kind string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, o.CallLimit)
	defer cancel()
	a, err := ParseAddress(master)
	if err != nil {
		return nil, err
	}
	conn, err := connect(a, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	leader, err := masterpb.NewSeaweedClient(conn).GetMasterConfiguration(ctx, &masterpb.GetMasterConfigurationRequest{})
	if err != nil {
		return nil, err
	}
	if l, err := ParseAddress(leader.Leader); err == nil && l != a {
		// Followers may know of no filer; the leader does.
		toLeader, err := connect(l, o)
		if err != nil {
			return nil, err
		}
		defer func() { _ = toLeader.Close() }()
		conn = toLeader
	}
	nodes, err := masterpb.NewSeaweedClient(conn).ListClusterNodes(ctx, &masterpb.ListClusterNodesRequest{ClientType: kind})
	if err != nil {
		return nil, err
	}
	var found []string
	for _, n := range nodes.ClusterNodes {
		found = append(found, n.Address)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
