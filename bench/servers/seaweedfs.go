package servers

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kelp/e2e/harness"
)

// behind is what a server keeps its records on.
type behind int

const (
	nothing     behind = iota // a folder of its own
	seaweedFS                 // a SeaweedFS: master, volume server and filer in one process
	seaweedMQ                 // the same with a broker of SeaweedMQ in it
	itsRegistry               // a folder of its own, and its schema registry is served
)

// Running is a started server with what it needs.
type Running struct {
	*harness.Broker
	Dir    string             // the server's own folder
	Behind *harness.SeaweedFS // what it keeps its records on; nil: that folder
	URL    string             // of the schema registry that it serves; empty: none

	registry *harness.Broker // the address that SeaweedFS's gateway insists on: a Kelp that nobody else uses
}

// Start starts the server on a folder, and before it what it keeps its records on.
func (s Server) Start(dir string) (*Running, error) {
	r := &Running{}
	if err := r.start(s, dir); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Running) start(s Server, dir string) (err error) {
	r.Dir = filepath.Join(dir, "server")
	for _, d := range []string{"server", "weed", "registry"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			return err
		}
	}
	o := s.options
	switch s.behind {
	case nothing:
	case itsRegistry:
		port, err := harness.FreePort()
		if err != nil {
			return err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		r.URL, o.KelpFlags = "http://"+address, append([]string{"--registry", address}, o.KelpFlags...)
	case seaweedFS:
		if r.Behind, err = harness.OpenSeaweedFS(filepath.Join(dir, "weed")); err != nil {
			return err
		}
		o.KelpFlags = append([]string{"--store", r.Behind.Store("kelp")}, o.KelpFlags...)
	case seaweedMQ:
		port, err := harness.FreePort()
		if err != nil {
			return err
		}
		broker := strconv.Itoa(port)
		if r.Behind, err = harness.OpenSeaweedFS(filepath.Join(dir, "weed"), "-mq.broker", "-mq.broker.port="+broker); err != nil {
			return err
		}
		if s.Kind == harness.Kelp {
			o.KelpFlags = append([]string{"--seaweedmq-master", r.Behind.Master}, o.KelpFlags...)
			break
		}
		registry, err := harness.FreePort()
		if err != nil {
			return err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(registry))
		r.registry, err = harness.OpenWith(harness.Kelp, filepath.Join(dir, "registry"), harness.Options{KelpFlags: []string{"--registry", address}})
		if err != nil {
			return err
		}
		o.GatewayFlags = append([]string{"-master=" + r.Behind.Master, "-schema-registry-url=http://" + address}, o.GatewayFlags...)
	}
	for deadline := time.Now().Add(brokerPatience); ; time.Sleep(500 * time.Millisecond) {
		r.Broker, err = harness.OpenWith(s.Kind, r.Dir, o)
		// The gateway ends when the broker does not have its lock yet, some seconds after it listens.
		if err == nil || s.behind != seaweedMQ || time.Now().After(deadline) {
			return err
		}
	}
}

const brokerPatience = time.Minute

// Close ends all of it.
func (r *Running) Close() error {
	var err error
	if r.Broker != nil {
		err = r.Broker.Close()
	}
	if r.registry != nil {
		err = errors.Join(err, r.registry.Close())
	}
	if r.Behind != nil {
		err = errors.Join(err, r.Behind.Kill())
	}
	return err
}
