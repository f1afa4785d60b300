package seaweed

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"kelp/internal/seaweed/filerpb"
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
	// Filer pins one filer; empty lets [Owner] choose, and [Dial] take the only one there is.
	Filer string
	// FilerGroup is the group whose filers are looked for; empty is SeaweedFS's default.
	FilerGroup string
	// Collection and Replication are given with every file id; empty leaves them to the filer.
	Collection, Replication string
	Security                Security
	// CallLimit bounds one call; 0: ten seconds.
	CallLimit time.Duration
	// Called, when set, is told of each call: to a master or filer by the call's name, to a volume server by its method.
	Called func(to, call string)
}

func (o *Options) fill() {
	if o.CallLimit == 0 {
		o.CallLimit = defaultRPCLimit
	}
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

// Dial connects to the filer that is pinned, or to the only one that the masters know. Whoever writes
// what others must not write too uses [Owner].
func Dial(ctx context.Context, o Options) (*Client, error) {
	if o.Filer != "" {
		where, err := ParseAddress(o.Filer)
		if err != nil {
			return nil, fmt.Errorf("filer: %w", err)
		}
		return dial(where, o)
	}
	found, err := Filers(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("SeaweedFS has %d filers %v: choose one", len(found), found)
	}
	return dial(found[0], o)
}

// dial makes the client of one filer; nothing is sent yet.
func dial(where Address, o Options) (*Client, error) {
	o.fill()
	conn, err := connect(where, toFiler, o)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.TLSClientConfig, transport.DisableCompression = volumeIdleConns, o.Security.HTTPS, true
	return &Client{
		o: o, conn: conn, filer: filerpb.NewSeaweedFilerClient(conn), where: where,
		web: &http.Client{Transport: volumes{o.Called, transport}}, places: map[string]place{},
	}, nil
}

// Filer is the address of the filer in use.
func (c *Client) Filer() string { return c.where.String() }

// Close ends the connections.
func (c *Client) Close() error {
	c.web.CloseIdleConnections()
	return c.conn.Close()
}

func connect(a Address, to string, o Options) (*grpc.ClientConn, error) {
	with := insecure.NewCredentials()
	if o.Security.GRPC != nil {
		with = credentials.NewTLS(o.Security.GRPC)
	}
	return grpc.NewClient(a.dial(), append(called(o.Called).dial(to), grpc.WithTransportCredentials(with),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: time.Second}))...)
}
