// Command bench starts Kelp and Apache Kafka on the same disk, runs the same loads against them in
// turns and prints the ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kelp/bench/flame"
	"kelp/bench/groups"
	"kelp/bench/load"
	"kelp/bench/proc"
	"kelp/bench/report"
	"kelp/bench/seaweedfs"
	"kelp/bench/servers"
	"kelp/bench/turns"
	"kelp/bench/txn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// scenarios lists all loads; a folder with loads of its own adds its line here.
func scenarios(s load.Size) []turns.Scenario {
	return slices.Concat(
		load.Scenarios(s),
		groups.Scenarios(s.Duration),
		txn.Scenarios(s.Duration),
		seaweedfs.Scenarios(s.Duration, s.Bytes),
	)
}

func run(ctx context.Context) error {
	which := flag.String("scenario", "all", "loads to run, by name, separated by commas, or all, or list")
	against := flag.String("servers", "kelp-os,kafka,kelp-fsync,kafka-flush", "servers, in the order of their turns")
	rounds := flag.Int("rounds", 3, "turns of each server")
	gigabytes := flag.Float64("gb", 2, "10^9 bytes of values in the throughput loads, of which a third more warms up")
	seconds := flag.Float64("seconds", 8, "length of the loads that are measured by time")
	full := flag.Float64("full-gb", 10, "10^9 bytes of values that start-full finds")
	dir := flag.String("dir", "", "folder on the disk to measure; empty: a temporary one")
	out := flag.String("out", "", "NAME: write results/NAME.md and .json; empty: only print")
	flags := flag.String("kelp-flags", "", "further flags of kelp serve, separated by spaces")
	profiles := flag.String("profiles", "", "folder for flame graphs of Kelp while it is measured, which costs it a few per cent")
	profileFor := flag.Duration("profile-for", 5*time.Second, "length of each profile")
	most := flag.Duration("for", 0, "begin no further turn after this long; 0: play all. An interrupt does the same")
	note := flag.String("note", "", "sentence for the report: what else the machine did, what was to be seen")
	flag.Parse()
	if *most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *most)
		defer cancel()
	}

	bytes := int64(*gigabytes * 1e9)
	size := load.Size{
		WarmBytes: bytes / 3, Bytes: bytes, Duration: time.Duration(*seconds * float64(time.Second)), Partitions: []int{1000, 5000}, FullBytes: int64(*full * 1e9),
	}
	all := scenarios(size)
	if *which == "list" {
		for _, sc := range all {
			fmt.Printf("%-16s %s\n", sc.Name, sc.Doc)
		}
		return nil
	}
	chosen, err := choose(all, *which, func(s turns.Scenario) string { return s.Name })
	if err != nil {
		return err
	}
	kelpFlags, taker := profiled(strings.Fields(*flags), *profiles, *profileFor)
	servs, err := choose(servers.All(kelpFlags), *against, func(s servers.Server) string { return s.Name })
	if err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "kelp-bench"); err != nil {
			return err
		}
		defer os.RemoveAll(*dir)
	}
	revision, err := servers.Build(*dir)
	if err != nil {
		return err
	}
	samples, err := turns.Plan{
		Dir: filepath.Join(*dir, "turns"), Rounds: *rounds, Servers: servs, Scenarios: chosen, Log: os.Stderr, Profiles: taker,
	}.Run(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		*note += " The run was cut short: later rounds are missing or not whole."
	}
	r := &report.Report{
		Title: "Kelp and Apache Kafka in turns", Note: *note, Machine: proc.Machine(*dir), Revision: revision,
		Date: time.Now().UTC().Format(time.DateOnly), Scenarios: chosen, Servers: map[string]string{}, Pairs: pairs, Goals: goals, Samples: samples,
	}
	for _, s := range servs {
		r.Servers[s.Name] = s.Doc
	}
	if *out != "" {
		if err := r.Write("results", *out); err != nil {
			return err
		}
	}
	return r.Markdown(os.Stdout)
}

// profileAddr is where a measured Kelp gives its profiles; only one runs at a time.
const profileAddr = "127.0.0.1:16060"

// profiled gives Kelp's flags and who takes its profiles, nobody when there is no folder for them.
func profiled(flags []string, dir string, length time.Duration) ([]string, *flame.Taker) {
	if dir == "" {
		return flags, nil
	}
	return append(flags, "--pprof", profileAddr), &flame.Taker{Addr: profileAddr, Dir: dir, For: length}
}

// choose picks by name, in the order of the names.
func choose[T any](all []T, names string, name func(T) string) ([]T, error) {
	if names == "all" {
		return all, nil
	}
	var out []T
	for _, n := range strings.Split(names, ",") {
		i := slices.IndexFunc(all, func(t T) bool { return name(t) == n })
		if i < 0 {
			return nil, fmt.Errorf("%s is not known", n)
		}
		out = append(out, all[i])
	}
	return out, nil
}
