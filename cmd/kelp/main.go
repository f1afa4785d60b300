// Command kelp is a Kafka-compatible server and a small command line for any Kafka. Each
// subcommand has its file; kelp --help lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		code := 1
		if chosen, ok := errors.AsType[*exitError](err); ok {
			code = chosen.code
		}
		if err.Error() != "" {
			fmt.Fprintln(os.Stderr, "kelp:", err)
		}
		os.Exit(code)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "kelp",
		Short: "Kafka on SeaweedFS: a Kafka-compatible server in one binary",
		Long: `Kelp is a Kafka-compatible server in one binary, and a small command line for any Kafka.

Start a server on 127.0.0.1:9092 that keeps its records in ./data:

    kelp serve

and in another terminal:

    kelp topic create greetings --partitions 3
    echo hello | kelp produce greetings
    kelp consume greetings --from start --max 1`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists the flags", err, c.CommandPath())
	})
	c.AddCommand(
		serveCommand(), checkConfigCommand(), topicCommand(), groupCommand(), txnCommand(), produceCommand(), consumeCommand(),
		schemaCommand(), seaweedMQCommand(), logCommand(), copyCommand(), versionCommand(),
	)
	return c
}

// needs is cobra.ExactArgs or MinimumNArgs with an error that names what is missing.
func needs(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs %s; see %s --help", c.CommandPath(), what, c.CommandPath())
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%s takes %s, not %q too; see %s --help", c.CommandPath(), what, args[most], c.CommandPath())
		}
		return nil
	}
}

// ended turns the end that the user asked for (Ctrl-C) into success.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
