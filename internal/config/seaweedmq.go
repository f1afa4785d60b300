package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// SeaweedMQ is where topics are mirrored to.
type SeaweedMQ struct {
	Masters   []string // of the SeaweedFS that the brokers belong to; empty: no mirror
	Brokers   []string // empty: those that the masters know
	Filer     string   // empty: the one that the masters know
	Namespace string
	Publish   string // the default of topics
	Transport string
	Agent     string // address, for the transport agent
}

// The values of --seaweedmq-publish.
const (
	PublishOff        = "off"
	PublishRaw        = "raw"
	PublishStructured = "structured"
)

// The values of --seaweedmq-transport.
const (
	TransportBroker = "broker"
	TransportAgent  = "agent"
)

func (s *SeaweedMQ) bind(f *pflag.FlagSet) {
	f.StringSliceVar(&s.Masters, "seaweedmq-master", s.Masters,
		"host:port or host:port.grpcPort of a master of the SeaweedFS whose message queue topics are mirrored to; may be given several times; "+
			"empty mirrors nothing")
	f.StringSliceVar(&s.Brokers, "seaweedmq-broker", s.Brokers,
		"host:port of a broker of SeaweedMQ, to be asked in place of those that the masters know; may be given several times")
	f.StringVar(&s.Filer, "seaweedmq-filer", s.Filer, "host:port of the filer that the brokers write to, where the masters know several")
	f.StringVar(&s.Namespace, "seaweedmq-namespace", s.Namespace, "namespace of topics in SeaweedMQ that kelp.seaweedmq.topic does not name")
	f.StringVar(&s.Publish, "seaweedmq-publish", s.Publish,
		"what is mirrored of topics that do not say (kelp.seaweedmq.publish): off, raw or structured")
	f.StringVar(&s.Transport, "seaweedmq-transport", s.Transport,
		"what records are handed to: broker, or agent for structured topics of one partition, which are all that an agent can keep in order")
	f.StringVar(&s.Agent, "seaweedmq-agent", s.Agent, "host:port of the agent (weed mq.agent) that the transport agent uses")
}

// check refuses what cannot be used.
func (s *SeaweedMQ) check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if !slices.Contains([]string{PublishOff, PublishRaw, PublishStructured}, s.Publish) {
		bad("seaweedmq-publish", "%q is not known; choose off, raw or structured", s.Publish)
	}
	if s.Publish != PublishOff && len(s.Masters) == 0 {
		bad("seaweedmq-publish", "%q needs --seaweedmq-master, which names the SeaweedFS to mirror to", s.Publish)
	}
	switch {
	case s.Transport != TransportBroker && s.Transport != TransportAgent:
		bad("seaweedmq-transport", "%q is not known; choose broker or agent", s.Transport)
	case s.Transport == TransportAgent && s.Agent == "":
		bad("seaweedmq-transport", "agent needs --seaweedmq-agent, the address of one")
	case s.Transport == TransportBroker && s.Agent != "":
		bad("seaweedmq-agent", "is not used with --seaweedmq-transport %s", s.Transport)
	case s.Agent != "":
		if err := hostPort(s.Agent, true); err != nil {
			bad("seaweedmq-agent", "%q %v; write host:port, such as 10.0.0.5:16777", s.Agent, err)
		}
	}
	if s.Namespace == "" {
		bad("seaweedmq-namespace", "is empty; SeaweedFS's own Kafka gateway uses kafka")
	}
	for _, b := range s.Brokers {
		if err := hostPort(b, true); err != nil {
			bad("seaweedmq-broker", "%q %v; write host:port, such as 10.0.0.5:17777", b, err)
		}
	}
	return errors.Join(errs...)
}
