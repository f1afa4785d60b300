// Package servers starts what is measured: Kelp at each durability and Apache Kafka at each flush
// policy, on a folder of the same disk. It builds on the harness of the end-to-end tests.
package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"kelp/e2e/harness"
)

// Server is a server with its settings.
type Server struct {
	Name, Doc string
	Kind      harness.Kind
	options   harness.Options
	behind    behind
}

// kafkaJVM is what kafka-server-start.sh gives the broker.
var kafkaJVM = []string{
	"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
}

// kafkaServer are lines of Kafka's own config/server.properties that matter for speed.
var kafkaServer = []string{
	"num.network.threads=3", "num.io.threads=8", "socket.send.buffer.bytes=102400", "socket.receive.buffer.bytes=102400",
	"auto.create.topics.enable=false",
}

// All lists the servers. extra are flags for every Kelp, such as --memory=64MiB.
func All(extra []string) []Server {
	return []Server{
		{
			"kelp-os", "Kelp, `--durability os`: acknowledges from the page cache", harness.Kelp,
			harness.Options{KelpFlags: append([]string{"--durability", "os", "--auto-create-topics=false"}, extra...)}, nothing,
		},
		{
			"kelp-fsync", "Kelp, `--durability fsync` (the default): acknowledges from stable storage", harness.Kelp,
			harness.Options{KelpFlags: append([]string{"--durability", "fsync", "--auto-create-topics=false"}, extra...)}, nothing,
		},
		{
			"kafka", "Apache Kafka as shipped: acknowledges from the page cache", harness.Kafka,
			harness.Options{KafkaJVM: kafkaJVM, KafkaProperties: kafkaServer}, nothing,
		},
		{
			"kafka-flush", "Apache Kafka with `log.flush.interval.messages=1`: flushes every batch", harness.Kafka,
			harness.Options{KafkaJVM: kafkaJVM, KafkaProperties: append([]string{"log.flush.interval.messages=1"}, kafkaServer...)}, nothing,
		},
		{
			"kelp-seaweedfs", "Kelp, `--store seaweedfs://`, fsync: acknowledges what is synced on a volume server and committed in the filer", harness.Kelp,
			harness.Options{KelpFlags: append([]string{"--durability", "fsync", "--auto-create-topics=false"}, extra...)}, seaweedFS,
		},
		{
			"weed-gateway", "SeaweedFS's own `weed mq.kafka.gateway` with one broker: acknowledges from the broker's memory", harness.Gateway,
			harness.Options{}, seaweedMQ,
		},
		{
			"kelp-mirror", "Kelp, `--durability fsync`, whose topics are mirrored to SeaweedMQ as they are: acknowledges from stable storage", harness.Kelp,
			harness.Options{KelpFlags: append([]string{"--durability", "fsync", "--auto-create-topics=false", "--seaweedmq-publish", "raw"}, extra...)},
			seaweedMQ,
		},
		{
			"kelp-registry", "Kelp, `--durability os`, which serves its schema registry too", harness.Kelp,
			harness.Options{KelpFlags: append([]string{"--durability", "os", "--auto-create-topics=false"}, extra...)}, itsRegistry,
		},
	}
}

// Build builds Kelp once, so that no turn has to; it gives the revision of the tree.
func Build(dir string) (revision string, err error) {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if os.Getenv("KELP_E2E_BINARY") != "" {
		return "the binary of KELP_E2E_BINARY", nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "kelp")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/kelp")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kelp: %w\n%s", err, out)
	}
	if err := os.Setenv("KELP_E2E_BINARY", binary); err != nil {
		return "", err
	}
	git := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12")
	git.Dir = root
	out, err := git.Output()
	if err != nil {
		return "an unknown revision", nil //nolint:nilerr // a description, not a result
	}
	return strings.TrimSpace(string(out)), nil
}
