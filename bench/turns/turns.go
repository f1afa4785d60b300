// Package turns runs scenarios against several servers in turns (ours, theirs, ours, theirs), so
// that what disturbs the machine disturbs all of them alike. One turn is one scenario on one freshly
// started server and gives samples; the report compares the samples of the same round.
package turns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"kelp/bench/flame"
	"kelp/bench/proc"
	"kelp/bench/servers"
	"kelp/e2e/harness"
)

// Scenario is one load.
type Scenario struct {
	Name string
	Doc  string // what the load is and which client makes it
	Run  func(context.Context, *Turn) error
	Skip map[string]string // servers that the scenario is not run against, and why
}

// Sample is one number of one turn.
type Sample struct {
	Round    int
	Scenario string
	Server   string
	Metric   string
	Value    float64
}

// Turn is what a scenario sees of its server.
type Turn struct {
	*harness.Broker
	Process proc.Process
	Dir     string         // the server's folder
	Behind  []proc.Process // of what the server keeps its records on, when that is not a folder
	Master  string         // of the SeaweedFS that is behind the server
	URL     string         // of the schema registry that the server serves
	Started time.Duration  // from the start of the process to its first answer
	record  func(metric string, value float64)
	profile func(context.Context) error // takes one while something is measured, or nil
}

// Record gives a number to the report. Metrics say their unit: "MB/s", "p99 ms".
func (t *Turn) Record(metric string, value float64) { t.record(metric, value) }

// Usage is what a server has used while something ran.
type Usage struct {
	Elapsed, CPU time.Duration
	PeakBytes    int64
	BehindCPU    time.Duration // of the processes behind the server
	BehindPeak   int64
}

// Measure runs the load and tells what the server, and what is behind it, used meanwhile.
func (t *Turn) Measure(load func() error) (Usage, error) {
	before, _, err := used(t.Process)
	if err != nil {
		return Usage{}, err
	}
	behindBefore, _, err := used(t.Behind...)
	if err != nil {
		return Usage{}, err
	}
	for _, p := range append([]proc.Process{t.Process}, t.Behind...) {
		if err := p.ResetPeak(); err != nil {
			return Usage{}, fmt.Errorf("reset the memory peak: %w", err)
		}
	}
	profiled := make(chan error, 1)
	profiled <- nil
	if t.profile != nil {
		<-profiled
		go func() { profiled <- t.profile(context.Background()) }()
	}
	began := time.Now()
	if err := load(); err != nil {
		return Usage{}, err
	}
	u := Usage{Elapsed: time.Since(began)}
	after, peak, err := used(t.Process)
	if err != nil {
		return u, err
	}
	behindAfter, behindPeak, err := used(t.Behind...)
	u.CPU, u.PeakBytes, u.BehindCPU, u.BehindPeak = after-before, peak, behindAfter-behindBefore, behindPeak
	return u, errors.Join(err, <-profiled)
}

// used sums the CPU time so far and the peaks of memory.
func used(all ...proc.Process) (cpu time.Duration, peak int64, err error) {
	for _, p := range all {
		c, err := p.CPU()
		if err != nil {
			return 0, 0, err
		}
		m, err := p.Peak()
		if err != nil {
			return 0, 0, err
		}
		cpu, peak = cpu+c, peak+m
	}
	return cpu, peak, nil
}

// RecordBytes records a usage as throughput, CPU per 10^9 bytes and peak memory.
func (t *Turn) RecordBytes(bytes int64, u Usage) {
	gigabytes := float64(bytes) / 1e9
	t.Record("MB/s", float64(bytes)/1e6/u.Elapsed.Seconds())
	t.Record("CPU s/GB", u.CPU.Seconds()/gigabytes)
	t.Record("peak MB", float64(u.PeakBytes)/1e6)
	if len(t.Behind) > 0 {
		t.Record("CPU s/GB with SeaweedFS", (u.CPU+u.BehindCPU).Seconds()/gigabytes)
		t.Record("SeaweedFS peak MB", float64(u.BehindPeak)/1e6)
	}
}

// Plan is a whole run.
type Plan struct {
	Dir       string // on the disk to measure; emptied between turns
	Rounds    int
	Servers   []servers.Server
	Scenarios []Scenario
	Log       io.Writer
	// Profiles, when set, takes one of each Kelp while it is measured: the last round's stays.
	Profiles *flame.Taker
}

// Run plays all turns, or those that begin before ctx ends.
func (p Plan) Run(ctx context.Context) ([]Sample, error) {
	var all []Sample
	for round := range p.Rounds {
		for _, sc := range p.Scenarios {
			for _, s := range p.Servers {
				if why, skip := sc.Skip[s.Name]; skip {
					fmt.Fprintf(p.Log, "round %d  %-16s %-11s skipped: %s\n", round+1, sc.Name, s.Name, why)
					continue
				}
				if ctx.Err() != nil {
					return all, nil
				}
				samples, err := p.turn(context.WithoutCancel(ctx), sc, s)
				for i := range samples {
					samples[i].Round = round + 1
				}
				all = append(all, samples...)
				if err != nil {
					return all, fmt.Errorf("round %d, %s on %s: %w", round+1, sc.Name, s.Name, err)
				}
				fmt.Fprintf(p.Log, "round %d  %-16s %-11s%s\n", round+1, sc.Name, s.Name, line(samples))
			}
		}
	}
	return all, nil
}

func (p Plan) turn(ctx context.Context, sc Scenario, s servers.Server) (samples []Sample, err error) {
	dir := filepath.Join(p.Dir, s.Name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	unix.Sync() // what the turn before left in the page cache is not written during this one
	b, err := s.Start(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close(), os.RemoveAll(dir)) }()
	t := &Turn{Broker: b.Broker, Process: proc.Process{Pid: b.Pid()}, Dir: b.Dir, URL: b.URL, Started: b.Started, record: func(metric string, value float64) {
		samples = append(samples, Sample{Scenario: sc.Name, Server: s.Name, Metric: metric, Value: value})
	}}
	if b.Behind != nil {
		t.Behind, t.Master = []proc.Process{{Pid: b.Behind.Pid()}}, b.Behind.Master
	}
	if p.Profiles != nil && s.Kind == harness.Kelp {
		t.profile = func(ctx context.Context) error { return p.Profiles.Take(ctx, sc.Name+"-"+s.Name) }
	}
	err = sc.Run(ctx, t)
	return samples, err
}

// Restart ends the server by SIGTERM and starts it again on the same data.
func (t *Turn) Restart() error {
	if err := t.Broker.Close(); err != nil {
		return err
	}
	return t.Resume()
}

// Resume starts a server that has ended on its data.
func (t *Turn) Resume() error {
	if err := t.Broker.Resume(); err != nil {
		return err
	}
	t.Process, t.Started = proc.Process{Pid: t.Pid()}, t.Broker.Started
	return nil
}

func line(samples []Sample) string {
	text := ""
	for _, s := range samples {
		text += fmt.Sprintf("  %s %.4g", s.Metric, s.Value)
	}
	return text
}
