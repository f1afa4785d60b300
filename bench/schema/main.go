// Command schema measures the embedded registry of a freshly started kelp serve: registrations and look-ups by id per
// second with 32 clients, what 10,000 schemas take in memory, and what the codec of each format does with records of 1 KiB on
// one core. It prints Markdown.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kelp/e2e/harness"
)

const (
	clients = 32
	schemas = 10_000
	lookFor = 5 * time.Second
)

func main() {
	fmt.Printf("# The schema registry\n\n`cd bench && go run ./schema`, %s.\n\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Printf("%d clients, %d schemas of ~600 bytes in %d subjects, %s, %d cores\n\n", clients, schemas, schemas, runtime.GOARCH, runtime.NumCPU())
	fmt.Println("| durability | registrations/s | same again/s | by id/s | CPU of a look-up | resident before | after 10,000 | per schema | after a restart |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, durability := range []string{"fsync", "os"} {
		if err := measure(durability); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := codecs(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(durability string) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	_ = l.Close()
	dir, err := os.MkdirTemp("", "kelp-schema")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := harness.OpenWith(harness.Kelp, dir, harness.Options{KelpFlags: []string{"--registry", address, "--durability", durability}})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	url := "http://" + address
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = clients
	before := resident(b.Pid())
	registrations, err := each(func(i int) error { return register(url, i) })
	if err != nil {
		return err
	}
	after := resident(b.Pid())
	again, err := each(func(i int) error { return register(url, i) })
	if err != nil {
		return err
	}
	cpu := processor(b.Pid())
	looks, rate, err := lookUps(url)
	if err != nil {
		return err
	}
	cpu = (processor(b.Pid()) - cpu) / time.Duration(looks)
	if err := b.Restart(); err != nil {
		return err
	}
	fmt.Printf("| %s | %.0f | %.0f | %.0f | %s | %d MiB | %d MiB | %.1f KiB | %d MiB |\n", durability, registrations, again, rate,
		cpu.Round(time.Microsecond), before>>20, after>>20, float64(after-before)/schemas/1024, resident(b.Pid())>>20)
	return nil
}

// each runs do for every schema and gives how many a second were done.
func each(do func(int) error) (float64, error) {
	var next atomic.Int64
	var failed atomic.Value
	began := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= schemas; i = next.Add(1) {
				if err := do(int(i)); err != nil {
					failed.Store(err)
					return
				}
			}
		})
	}
	wg.Wait()
	err, _ := failed.Load().(error)
	return schemas / time.Since(began).Seconds(), err
}

func lookUps(url string) (int64, float64, error) {
	var count atomic.Int64
	var failed atomic.Value
	end := time.Now().Add(lookFor)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := c; time.Now().Before(end); i++ {
				if err := done(http.Get(fmt.Sprintf("%s/schemas/ids/%d", url, i%schemas+1))); err != nil {
					failed.Store(err)
					return
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	err, _ := failed.Load().(error)
	return max(count.Load(), 1), float64(count.Load()) / lookFor.Seconds(), err
}

func register(url string, i int) error {
	var fields []string
	for f := range 10 {
		fields = append(fields, fmt.Sprintf(`{"name":"field_%d_%d","type":["null","string"],"default":null}`, i, f))
	}
	text := fmt.Sprintf(`{"type":"record","name":"R%d","namespace":"bench","fields":[%s]}`, i, strings.Join(fields, ","))
	body, err := json.Marshal(map[string]string{"schema": text})
	if err != nil {
		return err
	}
	return done(http.Post(fmt.Sprintf("%s/subjects/s%d/versions", url, i), "application/json", bytes.NewReader(body)))
}

func done(answer *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", answer.StatusCode, text)
	}
	return err
}

// resident is what a process has in memory, in bytes.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// processor is the processor time that a process has used.
func processor(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
