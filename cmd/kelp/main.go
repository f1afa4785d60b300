// Command kelp is a Kafka-compatible server. See kelp serve --help.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"kelp/internal/node"
)

const usage = `usage: kelp serve [flags]

Serves the Kafka protocol from a durable log in a data folder.
`

func main() {
	if len(os.Args) < 2 || os.Args[1] != "serve" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := serve(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "kelp:", err)
		os.Exit(1)
	}
}

// list collects a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

func options(args []string) (node.Options, error) {
	f := flag.NewFlagSet("kelp serve", flag.ExitOnError)
	o := node.Options{}
	var listen list
	f.StringVar(&o.Data, "data", "./data", "folder that keeps everything")
	f.Var(&listen, "listen", "host:port to serve Kafka on, may be repeated; port 0 chooses one (default 127.0.0.1:9092)")
	f.StringVar(&o.Advertise, "advertise", "", "host:port that clients are told; empty: the address that each dialled")
	f.StringVar(&o.HTTP, "http", "127.0.0.1:8080", "host:port of /healthz and /readyz; empty: none")
	nodeID := f.Int("node-id", 1, "broker id")
	durability := f.String("durability", "fsync", "fsync: acknowledged is on stable storage; os: in the page cache")
	partitions := f.Int("default-partitions", 1, "partitions of a topic that does not say")
	f.BoolVar(&o.AutoCreate, "auto-create-topics", true, "create a topic when a client asks for it")
	f.IntVar(&o.MaxMessageBytes, "max-message-bytes", 1048588, "largest batch that is taken")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *durability != "fsync" && *durability != "os" {
		return o, fmt.Errorf("--durability %q: choose fsync or os", *durability)
	}
	if *partitions < 1 {
		return o, fmt.Errorf("--default-partitions %d: choose 1 or more", *partitions)
	}
	if listen == nil {
		listen = list{"127.0.0.1:9092"}
	}
	o.Listen, o.NodeID, o.Sync, o.DefaultPartitions = listen, int32(*nodeID), *durability == "fsync", int32(*partitions)
	return o, nil
}

func serve(args []string) error {
	o, err := options(args)
	if err != nil {
		return err
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n, err := node.Start(ctx, o)
	if err != nil {
		return err
	}
	var addresses []string
	for _, a := range n.Kafka {
		addresses = append(addresses, a.String())
	}
	fmt.Printf("kelp is ready: kafka=%s http=%v data=%s\n", strings.Join(addresses, ","), n.HTTP, o.Data)
	select {
	case <-ctx.Done():
		return n.Close()
	case err := <-n.Failed():
		return fmt.Errorf("a listener ended: %w", err)
	}
}
