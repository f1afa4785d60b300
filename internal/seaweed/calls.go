package seaweed

import (
	"context"
	"net/http"
	"path"

	"google.golang.org/grpc"
)

// Whom calls go to.
const (
	toFiler  = "filer"
	toMaster = "master"
	toVolume = "volume"
)

// called is told of each call, or nil: to masters and filers by its name, to volume servers by method.
type called func(to, call string)

func (c called) tell(to, call string) {
	if c != nil {
		c(to, call)
	}
}

// dial are the options that tell of the calls of a connection.
func (c called) dial(to string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption,
		) error {
			c.tell(to, path.Base(method))
			return invoke(ctx, method, req, reply, conn, o...)
		}),
		grpc.WithStreamInterceptor(func(
			ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, stream grpc.Streamer, o ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			c.tell(to, path.Base(method))
			return stream(ctx, d, conn, method, o...)
		}),
	}
}

// volumes tells of what goes to volume servers.
type volumes struct {
	called
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (v volumes) RoundTrip(r *http.Request) (*http.Response, error) {
	v.tell(toVolume, r.Method)
	return v.Transport.RoundTrip(r)
}
