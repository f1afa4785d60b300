package seaweed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"kelp/internal/seaweed/filerpb"
	"kelp/internal/seaweed/masterpb"
)

// Nodes lists the servers of a kind ("filer", "broker") that the masters know, the longest known
// first. The masters are asked in turn, the leader that one names in its place: followers may know of
// none. Addresses of brokers are to be dialled as they are.
func Nodes(ctx context.Context, o Options, kind string) ([]string, error) {
	o.fill()
	var failed error
	for _, m := range o.Masters {
		found, err := nodesOf(ctx, m, o, kind)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("it knows no %s", kind)
		}
		if err == nil {
			return found, nil
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
	conn, err := connect(a, toMaster, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	settings, err := masterpb.NewSeaweedClient(conn).GetMasterConfiguration(ctx, &masterpb.GetMasterConfigurationRequest{})
	if err != nil {
		return nil, err
	}
	if l, err := ParseAddress(settings.Leader); err == nil && l != a {
		toLeader, err := connect(l, toMaster, o)
		if err != nil {
			return nil, err
		}
		defer func() { _ = toLeader.Close() }()
		conn = toLeader
	}
	nodes, err := masterpb.NewSeaweedClient(conn).ListClusterNodes(ctx, &masterpb.ListClusterNodesRequest{
		ClientType: kind, FilerGroup: o.FilerGroup,
	})
	if err != nil {
		return nil, fmt.Errorf("its leader %s: %w", settings.Leader, err)
	}
	slices.SortFunc(nodes.ClusterNodes, func(a, b *masterpb.ListClusterNodesResponse_ClusterNode) int {
		return cmp.Or(cmp.Compare(a.CreatedAtNs, b.CreatedAtNs), cmp.Compare(a.Address, b.Address))
	})
	var found []string
	for _, n := range nodes.ClusterNodes {
		if !slices.Contains(found, n.Address) {
			found = append(found, n.Address)
		}
	}
	return found, nil
}

// Filers are the filers of the cluster, the longest known first.
func Filers(ctx context.Context, o Options) (all []Address, err error) {
	found, err := Nodes(ctx, o, "filer")
	for _, text := range found {
		a, err := ParseAddress(text)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, err
}

// Store is the number of the metadata store behind the filer: filers that share one have the same.
func (c *Client) Store(ctx context.Context) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	conf, err := c.filer.GetFilerConfiguration(ctx, &filerpb.GetFilerConfigurationRequest{})
	if err != nil {
		return 0, fmt.Errorf("filer %s: %w", c.where, err)
	}
	return conf.Signature, nil
}
