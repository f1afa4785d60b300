// Command onseaweedfs starts a real SeaweedFS, runs a command with KELP_E2E_STORE set to a folder of it, so that every kelp that
// the tests start keeps its log there, and ends it with the command:
//
//	go run ./onseaweedfs go test -count=1 -p 1 ./groups ./transactions
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"kelp/e2e/harness"
)

func main() {
	err := run(os.Args[1:])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "onseaweedfs:", err)
		os.Exit(1)
	}
}

func run(command []string) (err error) {
	if len(command) == 0 {
		return errors.New("name the command to run")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "onseaweedfs")
	if err != nil {
		return err
	}
	w, err := harness.OpenSeaweedFS(dir)
	defer func() { err = errors.Join(err, w.Kill(), os.RemoveAll(dir)) }()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), "KELP_E2E_STORE="+w.Store("e2e"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
