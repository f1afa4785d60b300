package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kelp/internal/batch"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

// exitDamaged is the exit code when a log is not as it was written.
const exitDamaged = 3

func logCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "log", Short: "Look into the log files of a server that is stopped",
		Long: `Reads the folder "log" of a server's data folder, while the server is stopped.

Exit codes: 0, everything is as it was written; 1, the folder cannot be read or is in use; 3, something is damaged.`,
	}
	c.AddCommand(logInspect(), logVerify(), logRepair())
	return c
}

// logReport is what the commands print.
type logReport struct {
	*embedded.Report
	Producers []logProducer `json:",omitempty"`
}

// logProducer is one idempotent producer in one partition.
type logProducer struct {
	Topic        string
	Partition    int32
	ID           int64
	Epoch        int16
	LastSequence int32
	LastOffset   int64
}

func outputFlag(c *cobra.Command) *string {
	return c.Flags().StringP("output", "o", "text", "form of the answer: text or json")
}

func logInspect() *cobra.Command {
	c := &cobra.Command{
		Use: "inspect DIR", Short: "List files, partitions, segments and producers", Args: needs(1, 1, "the folder DIR"),
		Example: "  kelp log inspect data/log\n  kelp log inspect data/log -o json",
	}
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := readLog(c.Context(), args[0], false)
		if err != nil {
			return err
		}
		return printLog(c.OutOrStdout(), *output, r, printContents)
	}
	return c
}

func logVerify() *cobra.Command {
	c := &cobra.Command{
		Use: "verify DIR", Short: "Read every batch and compare its checksums", Args: needs(1, 1, "the folder DIR"),
		Long: "Reads everything and says what is not as it was written. Exits with 3 when something is damaged.",
	}
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := readLog(c.Context(), args[0], true)
		if err != nil {
			return err
		}
		return printLog(c.OutOrStdout(), *output, r, printTotals)
	}
	return c
}

func logRepair() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "repair DIR", Short: "Give up what is damaged, so that the rest can be served", Args: needs(1, 1, "the folder DIR"),
		Long: `Shows what a repair would give up: batches that are damaged or missing, and the end of a write that a crash cut
short. Nothing is changed without --yes. Indexes and snapshots are written again; nothing is lost by that.`,
	}
	output := outputFlag(c)
	c.Flags().BoolVar(&yes, "yes", false, "do it; what is named as lost is gone for good")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !yes {
			r, err := readLog(c.Context(), args[0], true)
			if err != nil {
				return err
			}
			return printLog(c.OutOrStdout(), *output, r, func(w io.Writer, r *logReport) {
				printTotals(w, r)
				if len(r.Problems) > 0 {
					fmt.Fprintln(w, "nothing was changed; --yes repairs it")
				}
			})
		}
		before, err := embedded.Repair(c.Context(), args[0])
		if err != nil {
			return err
		}
		for _, p := range before.Problems {
			fmt.Fprintln(c.ErrOrStderr(), "repaired:", problemText(p))
		}
		r, err := readLog(c.Context(), args[0], true)
		if err != nil {
			return err
		}
		return printLog(c.OutOrStdout(), *output, r, printTotals)
	}
	return c
}

// readLog reads the folder and, from the headers of its batches, who produced them. With check the
// batches' own checksums are compared too.
func readLog(ctx context.Context, dir string, check bool) (*logReport, error) {
	type key struct {
		p  storage.Partition
		id int64
	}
	newest := map[key]logProducer{}
	var own []embedded.Problem
	report, err := embedded.Inspect(ctx, dir, check, func(p storage.Partition, base int64, b []byte) {
		h, err := batch.ReadHeader(b)
		if err == nil && check {
			err = h.VerifyCRC(b)
		}
		if err != nil {
			own = append(own, embedded.Problem{
				Partition: p.String(), From: base, To: base + 1, What: "what is stored is not a record batch that checks: " + err.Error(),
			})
			return
		}
		if h.ProducerID < 0 {
			return
		}
		newest[key{p, h.ProducerID}] = logProducer{
			Topic: topicText(p.Topic), Partition: p.Index, ID: h.ProducerID, Epoch: h.ProducerEpoch,
			LastSequence: h.BaseSequence + h.LastOffsetDelta, LastOffset: h.BaseOffset + int64(h.LastOffsetDelta),
		}
	})
	if err != nil {
		return nil, err
	}
	report.Problems = append(report.Problems, own...)
	for i := range report.Partitions {
		report.Partitions[i].Topic = topicText(report.Partitions[i].Partition.Topic)
	}
	r := &logReport{Report: report}
	for _, p := range newest {
		r.Producers = append(r.Producers, p)
	}
	slices.SortFunc(r.Producers, func(a, b logProducer) int { return int(a.ID - b.ID) })
	return r, nil
}

// topicText is a topic id as Kafka prints it.
func topicText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func printLog(w io.Writer, output string, r *logReport, text func(io.Writer, *logReport)) error {
	switch output {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	case "text":
		text(w, r)
	default:
		return fmt.Errorf("output %q: choose text or json", output)
	}
	if slices.ContainsFunc(r.Problems, func(p embedded.Problem) bool { return !p.Harmless }) {
		return &exitError{code: exitDamaged}
	}
	return nil
}

func printContents(w io.Writer, r *logReport) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tBYTES\tLIVE\tBATCHES\tINDEX")
	for _, f := range r.Files {
		index := "yes"
		if !f.Index {
			index = "no"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", f.Name, f.Bytes, f.Live, f.Batches, index)
	}
	fmt.Fprintln(t, "\nTOPIC ID\tPARTITION\tSTART\tEND\tBYTES\tBATCHES\tSEGMENTS\tCHECKPOINT")
	for _, p := range r.Partitions {
		checkpoint := "-"
		if p.Checkpoint >= 0 {
			checkpoint = fmt.Sprint(p.Checkpoint)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			topicText(p.Partition.Topic), p.Partition.Index, p.Start, p.End, p.Bytes, p.Batches, len(p.Segments), checkpoint)
	}
	if len(r.Producers) > 0 {
		fmt.Fprintln(t, "\nPRODUCER\tEPOCH\tTOPIC ID\tPARTITION\tLAST SEQUENCE\tLAST OFFSET")
		for _, p := range r.Producers {
			fmt.Fprintf(t, "%d\t%d\t%s\t%d\t%d\t%d\n", p.ID, p.Epoch, p.Topic, p.Partition, p.LastSequence, p.LastOffset)
		}
	}
	_ = t.Flush()
	printProblems(w, r)
}

func printTotals(w io.Writer, r *logReport) {
	batches, bytes := int64(0), int64(0)
	for _, p := range r.Partitions {
		batches, bytes = batches+p.Batches, bytes+p.Bytes
	}
	fmt.Fprintf(w, "%d files, %d partitions, %d batches, %d bytes\n", len(r.Files), len(r.Partitions), batches, bytes)
	printProblems(w, r)
}

func printProblems(w io.Writer, r *logReport) {
	for _, p := range r.Problems {
		kind := "damaged:"
		if p.Harmless {
			kind = "unfinished:"
		}
		fmt.Fprintln(w, kind, problemText(p))
	}
}

func problemText(p embedded.Problem) string {
	text := p.What
	if p.Partition != "" {
		text = fmt.Sprintf("partition %s: %s", p.Partition, text)
	}
	if p.File != "" {
		text = fmt.Sprintf("%s: %s", p.File, text)
	}
	if p.Lost != "" {
		text += "; lost: " + p.Lost
	}
	return text
}
