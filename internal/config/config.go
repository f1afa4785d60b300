// Package config is what the process is started with: one struct, filled from the defaults, a YAML
// file, the environment and flags, where each beats the one before. Every setting has one key: the
// flag --node-id is node-id in the file and KELP_NODE_ID in the environment.
//
// Invariants: only cmd and node import it; each package gets its own Options. A setting that
// cannot be used is refused at start with an error that names its key and the cure.
package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Config is every setting of kelp serve. The flags' help texts in [Config.Bind] are its contract.
type Config struct {
	Data             string
	Store            string
	StoreSecurity    StoreSecurity
	Listen           []string
	Advertise        string
	HTTP             string
	Registry         string
	RegistryURL      []string // an external one
	RegistryClient   RegistryClient
	TopicRegistries  TopicRegistries
	Pprof            string
	Memory           Bytes
	NodeID           int32
	Durability       string
	LogLevel         string
	LogFormat        string
	DrainTimeout     time.Duration
	AutoCreateTopics bool
	Defaults         Defaults
	Limits           Limits
	Cleaner          Cleaner
	SeaweedMQ        SeaweedMQ
}

// Cleaner is how compacted topics are compacted.
type Cleaner struct {
	Enabled        bool
	Backoff        time.Duration
	DedupeBytes    int
	BytesPerSecond int64
}

func (c *Cleaner) bind(f *pflag.FlagSet) {
	f.BoolVar(&c.Enabled, "cleaner", c.Enabled, "compact topics with cleanup.policy=compact (log.cleaner.enable)")
	f.DurationVar(&c.Backoff, "cleaner-backoff", c.Backoff, "how long the cleaner rests when nothing is dirty enough (log.cleaner.backoff.ms)")
	f.IntVar(&c.DedupeBytes, "cleaner-dedupe-bytes", c.DedupeBytes,
		"most memory for the keys of one cleaning; it is taken only while needed (log.cleaner.dedupe.buffer.size)")
	f.Int64Var(&c.BytesPerSecond, "cleaner-bytes-per-second", c.BytesPerSecond,
		"most bytes that the cleaner reads and writes in a second; 0 is no limit (log.cleaner.io.max.bytes.per.second)")
}

// RegistryClient says how to speak to an external schema registry.
type RegistryClient struct {
	Username, Password, Token string
	CAFile, CertFile, KeyFile string
	Timeout, CacheTTL         time.Duration
}

// Defaults are what topics get that do not say, and the brokers' values in Kafka's own keys.
type Defaults struct {
	Partitions int32
	// Kafka maps Kafka's broker keys, such as log.retention.ms, to values.
	Kafka map[string]string
}

// Limits bound what clients can make the process hold.
type Limits struct {
	MessageBytes       int
	RequestBytes       int
	FetchBytes         int
	Connections        int
	RequestsInFlight   int
	BytesInFlight      int64
	IdleTimeout        time.Duration
	FetchSessions      int
	GroupMembers       int
	GroupDelay         time.Duration
	ProducerExpiration time.Duration
	Producers          int
	TotalProducers     int
	RetentionCheck     time.Duration

	AbortedTransactions       int
	TransactionMaxTimeout     time.Duration
	TransactionAbortCheck     time.Duration
	TransactionalIDExpiration time.Duration
	TransactionalIDCheck      time.Duration
	TransactionalIDs          int
}

// The values of the settings that are words.
const (
	DurabilityFsync = "fsync"
	DurabilityOS    = "os"
	FormatText      = "text"
	FormatJSON      = "json"
)

// Default is what a start without any setting uses.
func Default() Config {
	return Config{
		Data: "./data", Listen: []string{"127.0.0.1:9092"}, HTTP: "127.0.0.1:8080", Registry: "127.0.0.1:8081", NodeID: 1,
		RegistryClient:  RegistryClient{Timeout: 5 * time.Second, CacheTTL: time.Hour},
		TopicRegistries: TopicRegistries{URLs: map[string]string{}, Auth: map[string]string{}},
		Memory:          256 << 20, Durability: DurabilityFsync, LogLevel: "info", LogFormat: FormatText, DrainTimeout: 10 * time.Second,
		AutoCreateTopics: true,
		Defaults:         Defaults{Partitions: 1, Kafka: map[string]string{}},
		SeaweedMQ:        SeaweedMQ{Namespace: "kafka", Publish: PublishOff, Transport: TransportBroker},
		Cleaner:          Cleaner{Enabled: true, Backoff: 15 * time.Second, DedupeBytes: 128 << 20},
		Limits: Limits{
			MessageBytes: 1048588, RequestBytes: 100 << 20, FetchBytes: 55 << 20,
			Connections: 10_000, RequestsInFlight: 100, BytesInFlight: 64 << 20,
			IdleTimeout: 10 * time.Minute, FetchSessions: 1000, GroupMembers: 10_000, GroupDelay: 3 * time.Second,
			ProducerExpiration: 24 * time.Hour, Producers: 1_000_000, RetentionCheck: 5 * time.Minute,
			TotalProducers: 1_000_000, AbortedTransactions: 1_000_000,
			TransactionMaxTimeout: 15 * time.Minute, TransactionAbortCheck: 10 * time.Second,
			TransactionalIDExpiration: 7 * 24 * time.Hour, TransactionalIDCheck: time.Hour, TransactionalIDs: 1_000_000,
		},
	}
}

// Bind gives every setting its flag. The flag set is the one table of keys, types, defaults and docs.
func (c *Config) Bind(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", c.Data, "folder that keeps everything; made when missing")
	f.StringVar(&c.Store, "store", c.Store,
		"where records are kept: empty for the embedded log in the data folder, or seaweedfs://master:9333[,master:9333]/folder"+
			"[?filer=host:port&filerGroup=name&collection=name&replication=001] for SeaweedFS, where the node keeps nothing")
	c.StoreSecurity.bind(f)
	f.StringSliceVar(&c.Listen, "listen", c.Listen, "host:port to serve Kafka on; may be given several times; port 0 lets the system choose")
	f.StringVar(&c.Advertise, "advertise", c.Advertise,
		"host:port that clients are told to connect to; empty gives each client the address that it dialled")
	f.StringVar(&c.HTTP, "http", c.HTTP, "host:port of /metrics, /healthz and /readyz; empty serves none")
	f.StringVar(&c.Registry, "registry", c.Registry, "host:port of the schema registry; empty serves none")
	f.StringSliceVar(&c.RegistryURL, "registry-url", c.RegistryURL,
		"address of an external schema registry that this server uses in place of its own, such as https://registry.example.org:8081; "+
			"several are tried in turn")
	c.RegistryClient.bind(f)
	c.TopicRegistries.bind(f)
	f.StringVar(&c.Pprof, "pprof", c.Pprof, "host:port of Go's profiles under /debug/pprof/, on a loopback address; empty serves none")
	f.Var(&c.Memory, "memory",
		"what the process aims to stay under, such as 512MiB: "+
			"a quarter bounds the bytes of unanswered requests, another what the log keeps in memory")
	f.Int32Var(&c.NodeID, "node-id", c.NodeID, "number of this broker (node.id)")
	f.StringVar(&c.Durability, "durability", c.Durability,
		"when a record is acknowledged: fsync, once it is on stable storage; os, once it is in the page cache, as Kafka does")
	f.Int32Var(&c.Defaults.Partitions, "default-partitions", c.Defaults.Partitions, "partitions of a topic that does not say (num.partitions)")
	f.BoolVar(&c.AutoCreateTopics, "auto-create-topics", c.AutoCreateTopics,
		"create a topic when a client asks for one that is missing (auto.create.topics.enable)")
	f.StringToStringVar(&c.Defaults.Kafka, "broker-config", c.Defaults.Kafka,
		"key=value of Kafka's broker configs that are the defaults of topics, such as log.retention.ms=86400000, or of groups, such as "+
			"group.consumer.session.timeout.ms=60000; may be given several times")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "least important line that is logged: debug, info, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "form of a log line: text or json")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "how long requests may take to finish after SIGTERM")
	c.Limits.bind(f)
	c.Cleaner.bind(f)
	c.SeaweedMQ.bind(f)
}

func (r *RegistryClient) bind(f *pflag.FlagSet) {
	f.StringVar(&r.Username, "registry-username", r.Username, "user at the external registry (basic authentication)")
	f.StringVar(&r.Password, "registry-password", r.Password, "password at the external registry; better given as KELP_REGISTRY_PASSWORD")
	f.StringVar(&r.Token, "registry-token", r.Token, "bearer token for the external registry; better given as KELP_REGISTRY_TOKEN")
	f.StringVar(&r.CAFile, "registry-ca", r.CAFile, "PEM file with the authorities that vouch for the external registry")
	f.StringVar(&r.CertFile, "registry-cert", r.CertFile, "PEM file with the certificate that is shown to the external registry")
	f.StringVar(&r.KeyFile, "registry-key", r.KeyFile, "PEM file with the key of --registry-cert")
	f.DurationVar(&r.Timeout, "registry-timeout", r.Timeout, "how long one attempt at the external registry may take")
	f.DurationVar(&r.CacheTTL, "registry-cache-ttl", r.CacheTTL, "how long schemas of the external registry are believed to be what they were")
}

func (l *Limits) bind(f *pflag.FlagSet) {
	f.IntVar(&l.MessageBytes, "max-message-bytes", l.MessageBytes,
		"largest batch that a topic takes unless it says otherwise (message.max.bytes)")
	f.IntVar(&l.RequestBytes, "max-request-bytes", l.RequestBytes,
		"largest request; a larger one closes the connection; lowered to half of --memory unless given (socket.request.max.bytes)")
	f.IntVar(&l.FetchBytes, "max-fetch-bytes", l.FetchBytes, "most record bytes in one fetch response (fetch.max.bytes)")
	f.IntVar(&l.Connections, "max-connections", l.Connections, "open connections; further ones are closed at once (max.connections)")
	f.IntVar(&l.RequestsInFlight, "max-requests-in-flight", l.RequestsInFlight,
		"unanswered requests of one connection; the next is read when one has been answered")
	f.Int64Var(&l.BytesInFlight, "max-bytes-in-flight", l.BytesInFlight,
		"bytes of all unanswered requests; further ones are read when there is room, one that is larger when it is alone; "+
			"a quarter of --memory unless given (queued.max.request.bytes)")
	f.DurationVar(&l.IdleTimeout, "idle-timeout", l.IdleTimeout,
		"a connection that is silent for this long is closed (connections.max.idle.ms)")
	f.IntVar(&l.FetchSessions, "max-fetch-sessions", l.FetchSessions,
		"incremental fetch sessions that are remembered (max.incremental.fetch.session.cache.slots)")
	f.IntVar(&l.GroupMembers, "max-group-members", l.GroupMembers, "members of one consumer group (group.max.size)")
	f.DurationVar(&l.GroupDelay, "group-initial-rebalance-delay", l.GroupDelay,
		"how long the first rebalance of an empty group waits for more members (group.initial.rebalance.delay.ms)")
	f.DurationVar(&l.ProducerExpiration, "producer-id-expiration", l.ProducerExpiration,
		"how long the sequence of a silent idempotent producer is remembered (producer.id.expiration.ms)")
	f.IntVar(&l.Producers, "max-producers", l.Producers,
		"producers that one partition remembers; the one that is silent for longest is forgotten for a new one")
	f.IntVar(&l.TotalProducers, "max-total-producers", l.TotalProducers,
		"producers that all partitions together remember, about 200 bytes each; those that are silent for longest are forgotten")
	f.IntVar(&l.AbortedTransactions, "max-aborted-transactions", l.AbortedTransactions,
		"aborted transactions of all partitions whose records are still kept, 32 bytes each; while there are more, none begins")
	f.DurationVar(&l.RetentionCheck, "retention-check-interval", l.RetentionCheck,
		"how often old records are looked for (log.retention.check.interval.ms)")
	f.DurationVar(&l.TransactionMaxTimeout, "transaction-max-timeout", l.TransactionMaxTimeout,
		"longest time that a producer may ask for to keep a transaction open (transaction.max.timeout.ms)")
	f.DurationVar(&l.TransactionAbortCheck, "transaction-abort-check-interval", l.TransactionAbortCheck,
		"how often transactions that are open for too long are aborted (transaction.abort.timed.out.transaction.cleanup.interval.ms)")
	f.DurationVar(&l.TransactionalIDExpiration, "transactional-id-expiration", l.TransactionalIDExpiration,
		"how long a transactional id without a transaction is remembered (transactional.id.expiration.ms)")
	f.DurationVar(&l.TransactionalIDCheck, "transactional-id-check-interval", l.TransactionalIDCheck,
		"how often transactional ids that have expired are forgotten (transaction.remove.expired.transaction.cleanup.interval.ms)")
	f.IntVar(&l.TransactionalIDs, "max-transactional-ids", l.TransactionalIDs,
		"transactional ids that are remembered; a new one beyond them is refused with POLICY_VIOLATION")
}
