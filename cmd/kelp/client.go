package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/internal/config"
)

// Limits of the command line's own waits.
const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 30 * time.Second
)

// serverFlag names the server that a client command speaks to.
func serverFlag(c *cobra.Command) *[]string {
	standard := []string{"127.0.0.1:9092"}
	if s := config.ServerFromEnv(); s != "" {
		standard = []string{s}
	}
	return c.PersistentFlags().StringSliceP("server", "s", standard, "host:port of any broker of the cluster; KELP_SERVER sets the default")
}

// connect makes a client and says clearly when nobody answers.
func connect(ctx context.Context, servers []string, opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(servers...), kgo.ClientID("kelp-cli"), kgo.DialTimeout(dialTimeout), kgo.RetryTimeout(requestTimeout),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("no Kafka server answers at %v: start one with kelp serve, or name another with --server (%w)", servers, err)
		}
		return nil, fmt.Errorf("%v: %w", servers, err)
	}
	return cl, nil
}

// admin runs do with an admin client.
func admin(c *cobra.Command, servers []string, do func(context.Context, *kadm.Client) error) error {
	return withClient(c, servers, func(ctx context.Context, cl *kgo.Client) error { return do(ctx, kadm.NewClient(cl)) })
}

// withClient runs do with a client.
func withClient(c *cobra.Command, servers []string, do func(context.Context, *kgo.Client) error) error {
	cl, err := connect(c.Context(), servers)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.Context(), requestTimeout)
	defer cancel()
	return do(ctx, cl)
}
