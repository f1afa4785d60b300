package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func load(t *testing.T, file string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	c := Default()
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.Bind(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "kelp.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := c.Load(f, path, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	return c, err
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	c, err := load(t, "node-id: 2\ndefault-partitions: 2\nlog-level: warn\nidle-timeout: 1m\n",
		map[string]string{"KELP_NODE_ID": "3", "KELP_DEFAULT_PARTITIONS": "3"}, "--node-id", "4")
	if err != nil {
		t.Fatal(err)
	}
	if c.NodeID != 4 || c.Defaults.Partitions != 3 || c.LogLevel != "warn" ||
		c.LogFormat != FormatText || c.Limits.IdleTimeout != time.Minute {
		t.Errorf("got %+v", c)
	}
}

func TestListsAndMapsInEveryForm(t *testing.T) {
	for name, given := range map[string]struct {
		file string
		env  map[string]string
		args []string
	}{
		"file blocks": {file: "listen:\n  - :1\n  - :2\nbroker-config:\n  a: 1\n  b: x\n"},
		"file lines":  {file: "listen: ':1,:2'\nbroker-config: a=1,b=x\n"},
		"environment": {env: map[string]string{"KELP_LISTEN": ":1,:2", "KELP_BROKER_CONFIG": "a=1,b=x"}},
		"flags":       {args: []string{"--listen", ":1", "--listen", ":2", "--broker-config", "a=1", "--broker-config", "b=x"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(t, given.file, given.env, given.args...)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(c.Listen, " ") != ":1 :2" || c.Defaults.Kafka["a"] != "1" || c.Defaults.Kafka["b"] != "x" {
				t.Errorf("got listen %q, broker-config %v", c.Listen, c.Defaults.Kafka)
			}
		})
	}
}

func TestErrorsNameTheKeyAndTheCure(t *testing.T) {
	for _, given := range []struct {
		file string
		args []string
		env  map[string]string
		want string
	}{
		{file: "nodeid: 1", want: "nodeid: there is no such setting; did you mean node-id?"},
		{file: "zzz: 1", want: "zzz: there is no such setting; kelp serve --help lists them"},
		{file: "a: 1\nnode-id: x", want: `:2: node-id: "x" cannot be used; want a whole number`},
		{file: "node-id:", want: "node-id: has no value; remove the line to use the default"},
		{file: "node-id: [1]", want: "node-id: takes one value, not a list"},
		{file: "node-id: 1\nnode-id: 2", want: "node-id"},
		{file: "- a", want: "want lines of the form key: value"},
		{env: map[string]string{"KELP_NODE_ID": "x"}, want: `KELP_NODE_ID: "x" cannot be used; want a whole number`},
		{args: []string{"--durability", "maybe"}, want: `durability: "maybe" is not known; choose fsync or os`},
		{args: []string{"--listen", "9092"}, want: `listen: "9092" is not host:port; write host:port, such as 127.0.0.1:9092`},
		{args: []string{"--listen", "a:70000"}, want: `listen: "a:70000" has the port "70000", which is no number up to 65535`},
		{args: []string{"--advertise", "a:0"}, want: `advertise: "a:0" has port 0; write the host:port that clients can reach`},
		{args: []string{"--default-partitions", "0"}, want: "default-partitions: 0 is out of range; choose 1 to 10000"},
		{args: []string{"--max-bytes-in-flight", "1000"}, want: "choose 1024 or more"},
		{args: []string{"--idle-timeout", "0s"}, want: "idle-timeout: 0s is too short; choose more than 0s"},
	} {
		_, err := load(t, given.file, given.env, given.args...)
		if err == nil || !strings.Contains(err.Error(), given.want) {
			t.Errorf("%q %q: got %v, want %q", given.file, given.args, err, given.want)
		}
	}
}

func TestReferencePageIsCurrent(t *testing.T) {
	const page = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil || string(text) != Reference() {
		t.Errorf("docs/configuration.md is not what the flags say (%v); run make docs", err)
	}
}

func TestMemoryIsSharedOutAndSizesHaveUnits(t *testing.T) {
	for given, want := range map[string]struct {
		memory          Bytes
		inFlight, frame int64
	}{
		"256MiB":     {256 << 20, 64 << 20, 100 << 20},
		"64mib":      {64 << 20, 16 << 20, 32 << 20},
		"1GB":        {1e9, 25e7, 100 << 20},
		"1073741824": {1 << 30, 1 << 28, 100 << 20},
	} {
		c, err := load(t, "memory: "+given+"\n", nil)
		if err != nil {
			t.Fatalf("%s: %v", given, err)
		}
		if c.Memory != want.memory || c.Limits.BytesInFlight != want.inFlight || int64(c.Limits.RequestBytes) != want.frame {
			t.Errorf("%s: %d, in flight %d, request %d", given, c.Memory, c.Limits.BytesInFlight, c.Limits.RequestBytes)
		}
	}
	c, err := load(t, "", nil, "--memory", "64MiB", "--max-bytes-in-flight", "41943040", "--max-request-bytes", "4000000")
	if err != nil || c.Limits.BytesInFlight != 40<<20 || c.Limits.RequestBytes != 4_000_000 {
		t.Errorf("what was given is not kept: %+v %v", c.Limits, err)
	}
	for _, wrong := range []string{"", "x", "-1", "1TB2", "1MiB", "9999999999GiB"} {
		if _, err := load(t, "memory: '"+wrong+"'\n", nil); err == nil || !strings.Contains(err.Error(), "memory") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for _, wrong := range []string{"0.0.0.0:6060", ":6060", "example.org:1", "127.0.0.1"} {
		if _, err := load(t, "", nil, "--pprof", wrong); err == nil || !strings.Contains(err.Error(), "pprof") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := load(t, "", nil, "--pprof", "[::1]:0"); err != nil {
		t.Error(err)
	}
}

func TestTopicRegistriesAreNamedAndChecked(t *testing.T) {
	c, err := load(t, "topic-registry:\n  one: http://a:1|http://b:2\n", map[string]string{"KELP_TOPIC_REGISTRY_AUTH": "one=ada:a:b"})
	if err != nil {
		t.Fatal(err)
	}
	all := c.TopicRegistries.All()
	if len(all) != 1 || all[0].Name != "one" || strings.Join(all[0].URLs, " ") != "http://a:1 http://b:2" ||
		all[0].Username != "ada" || all[0].Password != "a:b" {
		t.Errorf("got %+v", all)
	}
	for args, want := range map[string]string{
		"--topic-registry one=ftp://x":                                     `topic-registry: one: "ftp://x" is no URL`,
		"--topic-registry embedded=http://x":                               `"embedded" is no name for a registry`,
		"--topic-registry a/b=http://x":                                    `"a/b" is no name for a registry`,
		"--topic-registry-auth one=a:b":                                    `topic-registry-auth: "one" is not named by topic-registry`,
		"--topic-registry one=http://x --topic-registry-auth one=password": "is neither user:password nor 'Bearer TOKEN'",
	} {
		if _, err := load(t, "", nil, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
