// Package tools runs command lines against a server: kcat, and the console tools of Apache Kafka.
package tools

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// run gives what a command prints, and fails the test when it fails.
func run(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out.String(), errs.String())
	}
	return out.String()
}

func java(t *testing.T, input, class string, args ...string) string {
	t.Helper()
	libs := filepath.Join(foreign.Root(), ".cache", "kafka", "libs", "*")
	return run(t, input, "java", append([]string{"-Xmx256m", "-cp", libs, class}, args...)...)
}

func contains(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
}

func TestKcat(t *testing.T) {
	b := harness.Start(t)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := "kcat-" + codec
		run(t, "k1:v1\nk2:\nv3\n", "kcat", "-b", b.Addr, "-t", topic, "-P", "-K", ":", "-z", codec, "-H", "a=1", "-Z")
		got := run(t, "", "kcat", "-b", b.Addr, "-t", topic, "-C", "-e", "-q", "-f", "%p %o %k=%s %h %S\n")
		if want := "0 0 k1=v1 a=1 2\n0 1 k2= a=1 -1\n0 2 =v3 a=1 2\n"; got != want {
			t.Errorf("%s: got %q, want %q", codec, got, want)
		}
		if got := run(t, "", "kcat", "-b", b.Addr, "-t", topic, "-C", "-e", "-q", "-o", "2"); got != "v3\n" {
			t.Errorf("%s from offset 2: %q", codec, got)
		}
	}
	if got := run(t, "", "kcat", "-b", b.Addr, "-q", "-e", "-f", "%s,", "-X", "auto.offset.reset=earliest", "-G", "kcat-group", "kcat-none"); got != "v1,,v3," {
		t.Errorf("group: %q", got)
	}
	contains(t, run(t, "", "kcat", "-b", b.Addr, "-L"), `topic "kcat-zstd" with 1 partitions`)
}

func TestConsoleToolsOfApacheKafka(t *testing.T) {
	b := harness.Start(t)
	const topics, groups = "org.apache.kafka.tools.TopicCommand", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	at := []string{"--bootstrap-server", b.Addr}
	with := func(args ...string) []string { return append(append([]string{}, at...), args...) }
	contains(t, java(t, "", topics, with("--create", "--topic", "console", "--partitions", "2", "--config", "retention.ms=86400000")...), "Created topic console")
	contains(t, java(t, "", topics, with("--describe", "--topic", "console")...), "PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=86400000")
	java(t, "k:one\nk:two\nk:three\n", "org.apache.kafka.tools.ConsoleProducer",
		with("--topic", "console", "--property", "parse.key=true", "--property", "key.separator=:")...)
	got := java(t, "", "org.apache.kafka.tools.consumer.ConsoleConsumer",
		with("--topic", "console", "--group", "console-group", "--from-beginning", "--max-messages", "3", "--timeout-ms", "120000")...)
	if got != "one\ntwo\nthree\n" {
		t.Errorf("consumed %q", got)
	}
	contains(t, java(t, "", groups, with("--list")...), "console-group")
	contains(t, java(t, "", groups, with("--describe", "--group", "console-group", "--state")...), "Empty")
	contains(t, java(t, "", groups, with("--describe", "--group", "console-group")...), "console-group", "console", "LOG-END-OFFSET")
	contains(t, java(t, "", groups,
		with("--reset-offsets", "--group", "console-group", "--topic", "console", "--to-earliest", "--execute")...), "NEW-OFFSET")
	contains(t, java(t, "", groups, with("--delete-offsets", "--group", "console-group", "--topic", "console")...), "Successful")
	contains(t, java(t, "", groups, with("--delete", "--group", "console-group")...), "was successful")
	contains(t, java(t, "", "kafka.admin.ConfigCommand",
		with("--alter", "--entity-type", "topics", "--entity-name", "console", "--add-config", "max.message.bytes=2000000")...), "Completed updating")
	contains(t, java(t, "", "kafka.admin.ConfigCommand",
		with("--describe", "--entity-type", "topics", "--entity-name", "console")...), "max.message.bytes=2000000")
	java(t, "", topics, with("--delete", "--topic", "console")...)
	if got := java(t, "", topics, with("--list")...); strings.Contains(got, "console") {
		t.Errorf("the deleted topic is listed: %q", got)
	}
}
