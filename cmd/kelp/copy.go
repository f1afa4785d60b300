package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kelp/internal/config"
	"kelp/internal/node"
	"kelp/internal/storage"
	"kelp/internal/telemetry"
	"kelp/internal/transfer"
)

func copyCommand() *cobra.Command {
	var from, to string
	var quiet bool
	shared := config.Default() // how to speak to SeaweedFS, for both
	c := &cobra.Command{
		Use: "copy --from STORE --to STORE", Short: "Copy everything from one store to another, offset by offset",
		Args: needs(0, 0, "no arguments"),
		Long: `Copies topics with their configs, records at their offsets, leader epochs, groups with their committed offsets,
transactions and schemas from one store to another that is empty. STORE is the data folder of a server, as kelp serve has it
in --data, or seaweedfs://host:9333/path, as in --store.

No server may use either store. The source is left as it is. A copy that was cut short, by whatever, goes on where it ended
when the same command is given again; until it is complete no server starts on the destination. At the end both stores are
opened anew, every batch is read and its checksum compared, and bounds, epochs and the numbers of batches and records too.

Exit codes: 0, copied and the same; 1, it could not be copied; 3, the copy differs from its source, or the source is damaged.`,
		Example: `  kelp copy --from data --to seaweedfs://127.0.0.1:9333/kelp
  kelp copy --from seaweedfs://127.0.0.1:9333/kelp --to /var/lib/kelp`,
	}
	c.Flags().StringVar(&from, "from", "", "store to copy")
	c.Flags().StringVar(&to, "to", "", "store to fill")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	shared.BindStore(c.Flags())
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagRequired("to")
	c.RunE = func(c *cobra.Command, _ []string) error {
		logger, err := telemetry.Logger(c.ErrOrStderr(), "warn", "text")
		if err != nil {
			return err
		}
		source, err := storeAt(shared, from)
		if err != nil {
			return fmt.Errorf("--from: %w", err)
		}
		destination, err := storeAt(shared, to)
		if err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		p := &progress{out: c.ErrOrStderr(), terminal: isTerminal(c.ErrOrStderr())}
		tell := p.show
		if quiet {
			tell = nil
		}
		totals, err := node.Copy(c.Context(), source, destination, logger, tell)
		p.end()
		if code := copyExit(err); code != 0 {
			return &exitError{code: code, err: err}
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "copied and compared: %d partitions, %d batches, %d records, %d bytes\n",
			totals.Partitions, totals.Batches, totals.Records, totals.Bytes)
		return nil
	}
	return c
}

// storeAt reads a STORE: a folder, or the address of a folder of SeaweedFS.
func storeAt(o config.Config, text string) (config.Config, error) {
	switch {
	case text == "":
		return o, errors.New("want a folder, or seaweedfs://host:9333/path")
	case !strings.Contains(text, "://"):
		o.Data = text
		return o, nil
	}
	if _, err := config.ParseStore(text); err != nil {
		return o, err
	}
	o.Store = text
	return o, nil
}

func copyExit(err error) int {
	if errors.Is(err, transfer.ErrDiffers) || errors.Is(err, storage.ErrCorrupt) {
		return exitDamaged
	}
	return 0
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// How progress is shown.
const (
	barWidth   = 16
	barEvery   = 100 * time.Millisecond // on a terminal
	linesEvery = 10 * time.Second       // elsewhere
)

// progress draws how far a copy is: one line on a terminal, a line now and then elsewhere.
type progress struct {
	out      io.Writer
	terminal bool

	phase  transfer.Phase
	began  time.Time
	first  int64 // bytes that an earlier run had copied
	shown  time.Time
	latest transfer.Progress
	drawn  bool
}

func (p *progress) show(now transfer.Progress) {
	if now.Phase != p.phase {
		p.end()
		p.phase, p.began, p.first, p.shown = now.Phase, time.Now(), now.Bytes, time.Time{}
	}
	p.latest = now
	every := linesEvery
	if p.terminal {
		every = barEvery
	}
	if time.Since(p.shown) < every {
		return
	}
	p.draw()
}

func (p *progress) draw() {
	p.shown, p.drawn = time.Now(), true
	line := bar(p.latest, p.latest.Bytes-p.first, time.Since(p.began))
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.out, line)
	}
}

// end leaves the last state of a phase behind.
func (p *progress) end() {
	if !p.drawn {
		return
	}
	p.draw()
	if p.terminal {
		fmt.Fprintln(p.out)
	}
	p.drawn = false
}

// bar is one line: phase, bar, share, bytes, speed, partitions.
func bar(p transfer.Progress, moved int64, took time.Duration) string {
	share := 1.0
	if p.OfBytes > 0 {
		share = min(1, max(0, float64(p.Bytes)/float64(p.OfBytes)))
	}
	full := int(share * barWidth)
	speed := 0.0
	if took > 0 {
		speed = float64(moved) / 1e6 / took.Seconds()
	}
	return fmt.Sprintf("%-9s [%s%s] %3.0f%% %s of %s, %.0f MB/s, partition %d/%d", p.Phase,
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), share*100,
		megabytes(p.Bytes), megabytes(p.OfBytes), speed, p.Partitions, p.OfPartitions)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
