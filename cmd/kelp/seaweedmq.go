package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kelp/internal/seaweedmq"
)

// statusTimeout bounds the answer to a question for the status.
const statusTimeout = 10 * time.Second

func seaweedMQCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "seaweedmq",
		Short: "Topics in SeaweedMQ, SeaweedFS's message queue",
	}
	c.AddCommand(seaweedMQStatusCommand(), seaweedMQShowCommand(), seaweedMQImportCommand())
	return c
}

func seaweedMQStatusCommand() *cobra.Command {
	var address string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how far topics are mirrored to SeaweedMQ",
		Long: `Shows each partition that a server mirrors: the offset before which everything is in SeaweedFS's filer, how many
offsets are missing there, what was published since the start of the server, and the last error.`,
		Args: needs(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := mirrorStatus(c.Context(), address)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			return printMirror(c.OutOrStdout(), s)
		},
	}
	c.Flags().StringVar(&address, "http", "127.0.0.1:8080", "host:port that the server serves /metrics on")
	c.Flags().BoolVar(&asJSON, "json", false, "print all numbers as JSON")
	return c
}

func mirrorStatus(ctx context.Context, address string) (s seaweedmq.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/seaweedmq/status", http.NoBody)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return s, errors.New(strings.TrimSpace(string(text)))
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

func printMirror(to io.Writer, s seaweedmq.Status) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	var errs []string
	_, _ = fmt.Fprintln(w, "TOPIC\tPARTITION\tSEAWEEDMQ\tMODE\tSTREAMING\tCONFIRMED\tLAG\tPUBLISHED\tWAITING\tREPEATS\tUNDECODABLE\tERRORS")
	for _, t := range s.Topics {
		for _, p := range t.Partitions {
			_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%t\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", t.Topic, p.Partition, t.Target, t.Mode, p.Streaming,
				p.Confirmed, p.Lag, p.Published, p.Waiting, p.Repeats, p.Undecodable, p.Errors)
			if p.Error != "" {
				errs = append(errs, fmt.Sprintf("%s/%d at %s: %s", t.Topic, p.Partition, p.ErrorAt, p.Error))
			}
			if p.Undecoded != "" {
				errs = append(errs, fmt.Sprintf("%s/%d offset %d: %s", t.Topic, p.Partition, p.UndecodedAt, p.Undecoded))
			}
		}
		if t.PerSecond > 0 {
			errs = append(errs, fmt.Sprintf("%s: %.0f records/s", t.Topic, t.PerSecond))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, e := range errs {
		if _, err := fmt.Fprintln(to, e); err != nil {
			return err
		}
	}
	return nil
}
