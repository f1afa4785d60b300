package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kelp/internal/config"
	"kelp/internal/node"
	"kelp/internal/telemetry"
)

func serveCommand() *cobra.Command {
	settings := config.Default()
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the Kafka protocol",
		Long: `Serves the Kafka protocol from a durable log in a data folder. One line says when it is ready;
SIGTERM or Ctrl-C lets requests finish, flushes and ends with 0.

Every flag can also be given as an environment variable (--node-id is KELP_NODE_ID) and in a YAML
file (--config kelp.yaml with a line such as "node-id: 1"). A flag beats the environment, the
environment beats the file.`,
		Example: `  kelp serve
  kelp serve --data /var/lib/kelp --listen 0.0.0.0:9092 --default-partitions 6
  kelp serve --config /etc/kelp.yaml --log-format json
  kelp serve --broker-config log.retention.ms=86400000 --durability os`,
		Args: needs(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := settings.Load(c.Flags(), file, os.LookupEnv); err != nil {
				return err
			}
			logger, err := telemetry.Logger(c.ErrOrStderr(), settings.LogLevel, settings.LogFormat)
			if err != nil {
				return err
			}
			for {
				err := serve(c, settings, logger)
				if !errors.Is(err, node.ErrTakenOver) {
					return err
				}
				logger.Warn("starting again as a standby")
			}
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&file, "config", "", "YAML file with these settings")
	settings.Bind(c.Flags())
	return c
}

func serve(c *cobra.Command, settings config.Config, logger *slog.Logger) error {
	n, err := node.Start(c.Context(), settings, logger)
	if c.Context().Err() != nil && n == nil { // asked to end while it waited for its turn
		logger.Info("ended before it served", "reason", err)
		return nil
	}
	if err != nil {
		return err
	}
	var addresses []string
	for _, a := range n.Kafka {
		addresses = append(addresses, a.String())
	}
	ready := "kelp is ready: kafka=" + strings.Join(addresses, ",")
	if n.HTTP != nil {
		ready += " http=" + n.HTTP.String()
	}
	if n.Pprof != nil {
		ready += " pprof=" + n.Pprof.String()
	}
	if n.Registry != nil {
		ready += " registry=" + n.Registry.String()
	}
	kept := "data=" + settings.Data
	if settings.Store != "" {
		kept = "store=" + settings.Store
	}
	fmt.Fprintf(c.OutOrStdout(), "%s %s\n", ready, kept)
	select {
	case <-c.Context().Done():
		logger.Info("draining", "timeout", settings.DrainTimeout)
		return n.Close()
	case err := <-n.Failed():
		logger.Error("a part that must run has ended", "error", err)
		_ = n.Close()
		return fmt.Errorf("a part that must run has ended: %w", err)
	}
}

func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "checkconfig FILE",
		Short:   "Check a settings file without starting",
		Long:    "Reads the file and the KELP_ environment as kelp serve would and says what cannot be used, or nothing.",
		Example: "  kelp checkconfig /etc/kelp.yaml",
		Args:    needs(1, 1, "one FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			settings, flags := config.Default(), pflag.NewFlagSet("serve", pflag.ContinueOnError)
			settings.Bind(flags)
			return settings.Load(flags, args[0], os.LookupEnv)
		},
	}
}
