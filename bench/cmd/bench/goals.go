package main

import "kelp/bench/report"

var (
	osPair    = report.Pair{Ours: "kelp-os", Theirs: "kafka"}
	fsyncPair = report.Pair{Ours: "kelp-fsync", Theirs: "kafka"}
	flushPair = report.Pair{Ours: "kelp-fsync", Theirs: "kafka-flush"}
	weedPair  = report.Pair{Ours: "kelp-seaweedfs", Theirs: "kelp-fsync"}
	gatePair  = report.Pair{Ours: "kelp-seaweedfs", Theirs: "weed-gateway"}
	pairs     = []report.Pair{osPair, fsyncPair, flushPair, weedPair, gatePair}
)

// klite names the peer in the table of goals.
const klite = "klite's"

// goals are the ratios and numbers that Kelp is held to.
var goals = []report.Goal{
	{Scenario: "produce", Metric: "MB/s", Pair: osPair, AtLeast: 1.4},
	{Scenario: "produce", Metric: "CPU s/GB", Pair: osPair, AtMost: 0.5},
	{Scenario: "produce", Metric: "MB/s", Pair: fsyncPair, AtLeast: 1.1},
	{Scenario: "produce", Metric: "CPU s/GB", Pair: fsyncPair, AtMost: 0.6},
	{Scenario: "produce", Metric: "MB/s", Pair: flushPair, AtLeast: 1.5},
	{Scenario: "produce", Metric: "peak MB", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 250},
	{Scenario: "consume-bare", Metric: "MB/s", Pair: osPair, AtLeast: 1.1},
	{Scenario: "consume-bare", Metric: "CPU s/GB", Pair: osPair, AtMost: 0.9},
	{Scenario: "e2e", Metric: "p99 ms", Pair: osPair, AtMost: 0.4},
	{Scenario: "e2e", Metric: "p99 ms", Pair: fsyncPair, AtMost: 0.5},
	{Scenario: "requests", Metric: "requests/s", Pair: osPair, AtLeast: 1.5},
	{Scenario: "requests", Metric: "requests/s", Pair: fsyncPair, AtLeast: 1.2},
	{Scenario: "requests", Metric: "requests/s", Pair: flushPair, AtLeast: 4},
	{Scenario: "partitions-5000", Metric: "created and written s", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 2},
	{Scenario: "partitions-5000", Metric: "restart: all end offsets s", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 1},
	{Scenario: "start-full", Metric: "SIGTERM: all end offsets s", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 5},
	{Scenario: "start-full", Metric: "kill -9: all end offsets s", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 5},
	{Scenario: "start-full", Metric: "kill -9: all end offsets s", Pair: report.Pair{Ours: "kelp-os"}, AtMost: 5},
	// Where the nearest peer in Go stands against Kafka's page cache: it syncs every 2 ms.
	{Scenario: "produce", Metric: "MB/s", Pair: fsyncPair, AtLeast: 0.86, Peer: klite},
	{Scenario: "produce", Metric: "CPU s/GB", Pair: fsyncPair, AtMost: 0.85, Peer: klite},
	{Scenario: "produce-lz4", Metric: "MB/s", Pair: fsyncPair, AtLeast: 0.88, Peer: klite},
	{Scenario: "produce-lz4", Metric: "CPU s/GB", Pair: fsyncPair, AtMost: 1.1, Peer: klite},
	{Scenario: "consume-bare", Metric: "MB/s", Pair: fsyncPair, AtLeast: 0.52, Peer: klite},
	{Scenario: "consume-bare", Metric: "CPU s/GB", Pair: fsyncPair, AtMost: 2.4, Peer: klite},
	{Scenario: "e2e", Metric: "p50 ms", Pair: fsyncPair, AtMost: 1.2, Peer: klite},
	{Scenario: "e2e", Metric: "p99 ms", Pair: fsyncPair, AtMost: 0.58, Peer: klite},
	{Scenario: "requests", Metric: "requests/s", Pair: fsyncPair, AtLeast: 1, Peer: klite},
	{Scenario: "requests", Metric: "CPU µs/request", Pair: fsyncPair, AtMost: 0.64, Peer: klite},
	{Scenario: "group-classic-20", Metric: "join to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-classic-20", Metric: "leave to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-classic-200", Metric: "join to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-classic-200", Metric: "leave to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-consumer-20", Metric: "join to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-consumer-20", Metric: "leave to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-consumer-200", Metric: "join to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-consumer-200", Metric: "leave to stable ms", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-commits", Metric: "commits/s", Pair: fsyncPair, AtLeast: 1},
	{Scenario: "group-commits", Metric: "commits/s", Pair: osPair, AtLeast: 1},
	{Scenario: "group-idle", Metric: "MB per 1000 members", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-idle-classic", Metric: "MB per 1000 members", Pair: fsyncPair, AtMost: 1},
	{Scenario: "group-idle-consumer", Metric: "MB per 1000 members", Pair: fsyncPair, AtMost: 1},
	{Scenario: "txn-1", Metric: "transactions/s", Pair: osPair, AtLeast: 1.5},
	{Scenario: "txn-16", Metric: "transactions/s", Pair: osPair, AtLeast: 1.5},
	{Scenario: "seaweedfs-produce", Metric: "MB/s", Pair: weedPair, AtLeast: 0.4},
	{Scenario: "seaweedfs-produce", Metric: "MB/s", Pair: report.Pair{Ours: "kelp-seaweedfs"}, AtLeast: 132}, // 40 times 3.3
	{Scenario: "seaweedfs-produce-1", Metric: "MB/s", Pair: gatePair, AtLeast: 40},
	{Scenario: "seaweedfs-produce", Metric: "CPU s/GB with SeaweedFS", Pair: report.Pair{Ours: "kelp-seaweedfs"}, AtMost: 6},
	{Scenario: "seaweedfs-e2e", Metric: "ack p50 ms", Pair: report.Pair{Ours: "kelp-seaweedfs"}, AtMost: 3},
	{Scenario: "seaweedfs-e2e", Metric: "ack p99 ms", Pair: report.Pair{Ours: "kelp-seaweedfs"}, AtMost: 10},
	{Scenario: "seaweedfs-idle", Metric: "requests/s", Pair: report.Pair{Ours: "kelp-seaweedfs"}, AtMost: 1},
	{Scenario: "validation", Metric: "payload / off", Pair: report.Pair{Ours: "kelp-registry"}, AtLeast: 0.5},
	{Scenario: "validation", Metric: "off / plain", Pair: report.Pair{Ours: "kelp-registry"}, AtLeast: 0.95}, // equal, but for noise
	{Scenario: "validation", Metric: "CPU off / plain", Pair: report.Pair{Ours: "kelp-registry"}, AtMost: 1.05},
	{Scenario: "start", Metric: "ready ms", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 150},
	{Scenario: "start", Metric: "idle MB", Pair: report.Pair{Ours: "kelp-fsync"}, AtMost: 40},
}
