package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kelp/internal/config"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/client"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/protobuf"
)

// Exit codes of kelp schema, for scripts.
const (
	exitNo      = 1 // the answer is no: incompatible, different, not found, refused
	exitTrouble = 2 // there is no answer: bad arguments, a schema that cannot be read, no registry
)

// exitError ends the process with a code of its own.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errNo says no without more words.
var errNo = &exitError{code: exitNo}

// formats are the schema types that the command line knows.
var formats = map[schema.Type]schema.Format{
	schema.Avro: avro.Format{}, schema.Protobuf: protobuf.Format{}, schema.JSON: jsonschema.Format{},
}

// schemaFlags are what all schema commands share.
type schemaFlags struct {
	registry                []string
	user, token             string
	caFile, certFile, keyFl string
	timeout                 time.Duration
	output                  string
}

func schemaCommand() *cobra.Command {
	f := &schemaFlags{}
	c := &cobra.Command{
		Use: "schema", Short: "Check, compare, register and read schemas",
		Long: `Works on schema files and on the schema registry at --registry: Kelp's, Confluent's, Karapace or Apicurio.

Exit codes: 0 compatible, equal or done; 1 the answer is no (incompatible, different, not found, refused);
2 there is no answer (bad arguments, a schema that cannot be read, no registry).`,
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exitError{exitTrouble, fmt.Errorf("%w; %s --help lists the flags", err, c.CommandPath())}
	})
	p := c.PersistentFlags()
	standard := "http://127.0.0.1:8081"
	if s := config.SchemaRegistryFromEnv(); s != "" {
		standard = s
	}
	p.StringSliceVar(&f.registry, "registry", strings.Split(standard, ","),
		"address of the registry; several are tried in turn; KELP_SCHEMA_REGISTRY sets the default")
	p.StringVar(&f.user, "user", "", "name:password at the registry")
	p.StringVar(&f.token, "token", "", "bearer token for the registry")
	p.StringVar(&f.caFile, "ca", "", "PEM file with the authorities that vouch for the registry")
	p.StringVar(&f.certFile, "cert", "", "PEM file with a certificate to show to the registry")
	p.StringVar(&f.keyFl, "cert-key", "", "PEM file with the key of --cert")
	p.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long one attempt at the registry may take")
	p.StringVarP(&f.output, "output", "o", "text", "how to print: text or json")
	c.AddCommand(
		schemaCheck(f), schemaDiff(f), schemaRegister(f), schemaGet(f), schemaList(f), schemaDelete(f), schemaCompat(f), schemaMode(f),
		schemaDecode(f),
	)
	for _, sub := range c.Commands() {
		args := sub.Args
		sub.Args = func(c *cobra.Command, given []string) error { return trouble(args(c, given)) }
		run := sub.RunE
		sub.RunE = func(c *cobra.Command, given []string) error {
			if f.output != "text" && f.output != "json" {
				return trouble(fmt.Errorf("--output %q: choose text or json", f.output))
			}
			return exit(run(c, given))
		}
	}
	return c
}

// trouble is an error without an answer.
func trouble(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitTrouble, err}
}

// exit gives an error its code: a refusal of the registry is an answer, unless the schema is invalid.
func exit(err error) error {
	var known *exitError
	if err == nil || errors.As(err, &known) {
		return err
	}
	code := schema.CodeOf(err)
	fault := code >= 500 && code < 1000 || code >= 50000 // the registry's own
	if code == 0 || fault || code == schema.CodeInvalidSchema || code == schema.CodeInvalidRuleSet {
		return trouble(err)
	}
	return &exitError{exitNo, err}
}

// connect makes the registry's client.
func (f *schemaFlags) connect() (*client.Client, error) {
	o := client.Options{URLs: f.registry, Token: f.token, Timeout: f.timeout, Attempts: 2}
	if f.user != "" {
		var ok bool
		if o.Username, o.Password, ok = strings.Cut(f.user, ":"); !ok {
			return nil, errors.New("--user: write name:password")
		}
	}
	if f.caFile != "" || f.certFile != "" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s holds no certificate in PEM form", f.caFile)
		}
	}
	if f.certFile != "" {
		pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFl)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return client.New(o)
}

// with runs do with a client of the registry.
func (f *schemaFlags) with(c *cobra.Command, do func(context.Context, *client.Client) error) error {
	cl, err := f.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.Context(), max(requestTimeout, 3*f.timeout)) // two attempts and the wait between
	defer cancel()
	if err := do(ctx, cl); errors.Is(err, client.ErrUnavailable) {
		return fmt.Errorf("no schema registry answers at %s: start one with kelp serve, or name another with --registry (%w)",
			strings.Join(f.registry, ", "), err)
	} else if err != nil {
		return err
	}
	return nil
}

// print writes a value as JSON, or as text does.
func (f *schemaFlags) print(c *cobra.Command, v any, text func(w io.Writer)) error {
	if f.output == "json" {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	text(c.OutOrStdout())
	return nil
}

// typeOf is the type that was named, or what the file's name says. The text is never looked at.
func typeOf(named, file string) (schema.Type, error) {
	if named != "" {
		t := schema.Type(strings.ToUpper(named))
		if formats[t] == nil {
			return "", fmt.Errorf("--type %q: choose avro, protobuf or json", named)
		}
		return t, nil
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".avsc", ".avro":
		return schema.Avro, nil
	case ".proto":
		return schema.Protobuf, nil
	case ".json":
		return schema.JSON, nil
	}
	return "", fmt.Errorf("%s: its name does not say what it is (.avsc, .proto or .json); name it with --type", file)
}

// readText reads a schema file; "-" is the standard input.
func readText(c *cobra.Command, file string) (string, error) {
	in := c.InOrStdin()
	if file != "-" {
		open, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer func() { _ = open.Close() }() // only read
		in = open
	}
	text, err := io.ReadAll(io.LimitReader(in, schema.MaxTextBytes+1))
	if err == nil && len(text) > schema.MaxTextBytes {
		err = fmt.Errorf("%s has more than %d bytes", file, schema.MaxTextBytes)
	}
	return string(text), err
}

// colour paints text on a terminal and nowhere else.
type colour bool

func colourOf(c *cobra.Command) colour {
	file, ok := c.OutOrStdout().(*os.File)
	if !ok || config.NoColour() {
		return false
	}
	info, err := file.Stat()
	return colour(err == nil && info.Mode()&os.ModeCharDevice != 0)
}

func (on colour) paint(code, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (on colour) red(text string) string    { return on.paint("31", text) }
func (on colour) green(text string) string  { return on.paint("32", text) }
func (on colour) yellow(text string) string { return on.paint("33", text) }
func (on colour) bold(text string) string   { return on.paint("1", text) }
