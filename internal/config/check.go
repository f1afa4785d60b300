package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Check refuses settings that cannot be used; the error has one line for each, with the cure.
func (c *Config) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	word := func(key, value string, words ...string) {
		if !slices.Contains(words, value) {
			bad(key, "%q is not known; choose %s", value, strings.Join(words, " or "))
		}
	}
	if c.Data == "" {
		bad("data", "is empty; name the folder that keeps the records")
	}
	c.checkStore(bad)
	if len(c.Listen) == 0 {
		bad("listen", "is empty; give at least one host:port, such as 127.0.0.1:9092")
	}
	for _, l := range c.Listen {
		if err := hostPort(l, false); err != nil {
			bad("listen", "%q %v; write host:port, such as 127.0.0.1:9092 or :9092", l, err)
		}
	}
	if c.Advertise != "" {
		if err := hostPort(c.Advertise, true); err != nil {
			bad("advertise", "%q %v; write the host:port that clients can reach, such as kafka.example.org:9092", c.Advertise, err)
		}
	}
	if c.HTTP != "" {
		if err := hostPort(c.HTTP, false); err != nil {
			bad("http", "%q %v; write host:port, such as 127.0.0.1:8080, or leave it empty", c.HTTP, err)
		}
	}
	if c.Pprof != "" {
		if err := loopback(c.Pprof); err != nil {
			bad("pprof", "%q %v; profiles show what is in memory, so write a loopback address such as 127.0.0.1:6060 and reach it by a tunnel",
				c.Pprof, err)
		}
	}
	if c.Memory < leastMemory {
		bad("memory", "%s is too little; choose 16MiB or more", c.Memory.String())
	}
	if c.Registry != "" {
		if err := hostPort(c.Registry, false); err != nil {
			bad("registry", "%q %v; write host:port, such as 127.0.0.1:8081, or leave it empty", c.Registry, err)
		}
	}
	for _, text := range c.RegistryURL {
		if !isURL(text) {
			bad("registry-url", "%q is no URL; write one such as http://127.0.0.1:8081", text)
		}
	}
	if r := c.RegistryClient; (r.CertFile == "") != (r.KeyFile == "") {
		bad("registry-cert", "and registry-key belong together; give both or neither")
	}
	if r := c.RegistryClient; r.Timeout <= 0 || r.CacheTTL <= 0 {
		bad("registry-timeout", "and registry-cache-ttl must be more than 0s")
	}
	c.TopicRegistries.check(bad)
	if c.NodeID < 0 {
		bad("node-id", "%d is negative; choose 0 or more", c.NodeID)
	}
	word("durability", c.Durability, DurabilityFsync, DurabilityOS)
	word("log-level", c.LogLevel, "debug", "info", "warn", "error")
	word("log-format", c.LogFormat, FormatText, FormatJSON)
	if c.Defaults.Partitions < 1 || c.Defaults.Partitions > 10_000 {
		bad("default-partitions", "%d is out of range; choose 1 to 10000", c.Defaults.Partitions)
	}
	if c.DrainTimeout < 0 {
		bad("drain-timeout", "%s is negative; choose 0s or more", c.DrainTimeout)
	}
	return errors.Join(append(errs, c.Limits.check(), c.Cleaner.check(), c.SeaweedMQ.check())...)
}

func (c *Cleaner) check() error {
	switch {
	case c.Backoff <= 0:
		return fmt.Errorf("cleaner-backoff: %s is too short; choose more than 0s", c.Backoff)
	case c.DedupeBytes < 1<<20:
		return fmt.Errorf("cleaner-dedupe-bytes: %d is too small; choose %d or more", c.DedupeBytes, 1<<20)
	case c.BytesPerSecond < 0:
		return fmt.Errorf("cleaner-bytes-per-second: %d is negative; choose 0 or more", c.BytesPerSecond)
	}
	return nil
}

func (l *Limits) check() error {
	var errs []error
	atLeast := func(key string, value, least int64) {
		if value < least {
			errs = append(errs, fmt.Errorf("%s: %d is too small; choose %d or more", key, value, least))
		}
	}
	atLeast("max-message-bytes", int64(l.MessageBytes), 0)
	atLeast("max-request-bytes", int64(l.RequestBytes), 1024)
	atLeast("max-fetch-bytes", int64(l.FetchBytes), 1024)
	atLeast("max-connections", int64(l.Connections), 1)
	atLeast("max-requests-in-flight", int64(l.RequestsInFlight), 1)
	atLeast("max-bytes-in-flight", l.BytesInFlight, 1024)
	if l.MessageBytes > l.RequestBytes {
		errs = append(errs, fmt.Errorf("max-message-bytes: %d is more than max-request-bytes (%d), so such a batch could never arrive; "+
			"lower it or raise max-request-bytes", l.MessageBytes, l.RequestBytes))
	}
	atLeast("max-fetch-sessions", int64(l.FetchSessions), 0)
	atLeast("max-group-members", int64(l.GroupMembers), 1)
	atLeast("max-producers", int64(l.Producers), 10)
	atLeast("max-total-producers", int64(l.TotalProducers), 10)
	atLeast("max-aborted-transactions", int64(l.AbortedTransactions), 1)
	atLeast("max-transactional-ids", int64(l.TransactionalIDs), 1)
	if l.GroupDelay < 0 {
		errs = append(errs, fmt.Errorf("group-initial-rebalance-delay: %s is negative; choose 0s or more", l.GroupDelay))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"idle-timeout", l.IdleTimeout},
		{"producer-id-expiration", l.ProducerExpiration},
		{"retention-check-interval", l.RetentionCheck},
		{"transaction-max-timeout", l.TransactionMaxTimeout},
		{"transaction-abort-check-interval", l.TransactionAbortCheck},
		{"transactional-id-expiration", l.TransactionalIDExpiration},
		{"transactional-id-check-interval", l.TransactionalIDCheck},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: %s is too short; choose more than 0s", d.key, d.value))
		}
	}
	return errors.Join(errs...)
}

// leastMemory lets one batch of the default size through every stage.
const leastMemory = 16 << 20

// loopback says what is wrong with an address that only this machine may reach.
func loopback(address string) error {
	if err := hostPort(address, false); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("is no loopback address")
	}
	return nil
}

// hostPort says what is wrong with an address. A reachable one has a host and a port that is not 0.
func hostPort(address string, reachable bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("is not host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return fmt.Errorf("has the port %q, which is no number up to 65535", port)
	case reachable && host == "":
		return errors.New("has no host")
	case reachable && n == 0:
		return errors.New("has port 0")
	}
	return nil
}

func (c *Config) checkStore(bad func(key, format string, args ...any)) {
	if c.Store == "" {
		return
	}
	if _, err := ParseStore(c.Store); err != nil {
		bad("store", "%q %v; leave it empty or write seaweedfs://host:9333/folder", c.Store, err)
	}
}
