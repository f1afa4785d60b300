package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/schema"
	"kelp/internal/schema/client"
	"kelp/internal/schema/envelope"
	"kelp/internal/schema/record"
)

// maxDecodedBytes bounds a file that is decoded.
const maxDecodedBytes = 64 << 20

type decodeFlags struct {
	hex, file, schema, kind, from string
	header, subject               string
	references                    []string
	bare, keys, stop, noIndexes   bool
	most                          int
	partitions                    []int32
}

func schemaDecode(f *schemaFlags) *cobra.Command {
	d := decodeFlags{}
	c := &cobra.Command{
		Use: "decode [TOPIC]", Short: "Print schema-encoded bytes or records as JSON",
		Long: `Decodes one value from --hex or --file, or the records of TOPIC, one JSON object a line. The schema is the one that the
bytes name, asked of the registry, or --schema. Protobuf, Avro and JSON Schema are printed in their own JSON mappings.

Exit code 0: everything was decoded; 1: something was not, and the line says why; 2: nothing could be tried.`,
		Example: `  kelp schema decode --hex 000000000106616263
  kelp schema decode orders --from start --exit
  kelp schema decode --file payload.bin --schema user.avsc --bare`,
		Args: needs(0, 1, "at most one TOPIC"),
	}
	servers := serverFlag(c)
	c.Flags().StringVar(&d.hex, "hex", "", "the value in hex")
	c.Flags().StringVar(&d.file, "file", "", "file with the value; - is the standard input")
	c.Flags().StringVar(&d.schema, "schema", "", "file with the schema, in place of the registry's")
	c.Flags().StringVarP(&d.kind, "type", "t", "", "type of --schema: avro, protobuf or json; its name says it otherwise")
	c.Flags().StringArrayVarP(&d.references, "ref", "r", nil, "name=FILE of a schema that --schema uses; each after those that it needs")
	c.Flags().StringVar(&d.header, "header", "", "record header "+envelope.ValueHeader+" that came with --hex or --file, in hex")
	c.Flags().StringVar(&d.subject, "subject", "", "subject whose context the ids count in, such as :.team:; empty is the default one")
	c.Flags().BoolVar(&d.noIndexes, "no-message-indexes", false,
		"take Protobuf values without message indexes too, as @kafkajs/confluent-schema-registry writes them")
	c.Flags().BoolVar(&d.bare, "bare", false, "the bytes have no envelope, just the payload; needs --schema")
	c.Flags().BoolVarP(&d.keys, "key", "k", false, "decode the keys of the records too")
	c.Flags().StringVar(&d.from, "from", "start", "where to begin in the topic: "+places)
	c.Flags().IntVarP(&d.most, "max", "n", 0, "end after so many records")
	c.Flags().BoolVarP(&d.stop, "exit", "e", false, "end at the end that the topic has now")
	c.Flags().Int32SliceVarP(&d.partitions, "partition", "p", nil, "just these partitions")
	c.RunE = func(c *cobra.Command, args []string) error {
		dec, err := newDecoder(c, f, d)
		if err != nil {
			return err
		}
		defer dec.close()
		if len(args) == 0 {
			return dec.one(c, f, d)
		}
		if d.hex != "" || d.file != "" {
			return errors.New("give a TOPIC, --hex or --file, not two of them")
		}
		return ended(c.Context(), dec.topic(c, *servers, args[0], d))
	}
	return c
}

// decoder turns bytes into JSON, with the codecs of the schemas that it has met.
type decoder struct {
	registry *client.Client
	given    schema.Schema // --schema
	flags    decodeFlags
	parsed   map[string]parsedSchema
	codecs   map[string]record.Codec
}

type parsedSchema struct {
	version *schema.Version
	schema  schema.Schema
}

// maxCodecs bounds the schemas that a decoder remembers.
const maxCodecs = 10_000

func newDecoder(c *cobra.Command, f *schemaFlags, d decodeFlags) (*decoder, error) {
	dec := &decoder{flags: d, parsed: map[string]parsedSchema{}, codecs: map[string]record.Codec{}}
	if d.bare && d.schema == "" {
		return nil, errors.New("--bare needs --schema: nothing else says what the bytes are")
	}
	if d.schema != "" {
		t, err := typeOf(d.kind, d.schema)
		if err != nil {
			return nil, err
		}
		text, err := readText(c, d.schema)
		if err != nil {
			return nil, err
		}
		dependencies, err := readDependencies(c, "--ref", d.references, nil)
		if err != nil {
			return nil, err
		}
		dec.given, err = formats[t].Parse(schema.Source{Text: text, Dependencies: dependencies})
		return dec, err
	}
	var err error
	dec.registry, err = f.connect()
	return dec, err
}

func (d *decoder) close() {
	if d.registry != nil {
		d.registry.Close()
	}
}

// decoded is what is printed of a value.
type decoded struct {
	Value   json.RawMessage `json:"value"`
	ID      int32           `json:"id,omitempty"`
	GUID    string          `json:"guid,omitempty"`
	Subject string          `json:"subject,omitempty"`
	Version int32           `json:"version,omitempty"`
	Type    schema.Type     `json:"schemaType,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// one decodes a value from the command line or a file.
func (d *decoder) one(c *cobra.Command, flags *schemaFlags, f decodeFlags) error {
	var body []byte
	header, err := unhex(f.header)
	if err != nil {
		return trouble(fmt.Errorf("--header: %w", err))
	}
	switch {
	case f.hex != "" && f.file != "":
		err = errors.New("give --hex or --file, not both")
	case f.hex != "":
		body, err = unhex(f.hex)
	case f.file == "-":
		body, err = io.ReadAll(io.LimitReader(c.InOrStdin(), maxDecodedBytes))
	case f.file != "":
		body, err = os.ReadFile(f.file)
	default:
		err = errors.New("give a TOPIC, --hex or --file")
	}
	if err != nil {
		return trouble(err)
	}
	v, err := d.decode(c.Context(), body, header)
	if errors.Is(err, client.ErrUnavailable) {
		return err
	}
	if err != nil {
		return &exitError{exitNo, err}
	}
	return flags.print(c, v, func(w io.Writer) { fmt.Fprintf(w, "%s\n", v.Value) })
}

// unhex reads hex with white space and a leading 0x; nothing is no bytes at all.
func unhex(text string) ([]byte, error) {
	text = strings.TrimPrefix(strings.Join(strings.Fields(text), ""), "0x")
	if text == "" {
		return nil, nil
	}
	return hex.DecodeString(text)
}

// topic decodes records as they come.
func (d *decoder) topic(c *cobra.Command, servers []string, topic string, f decodeFlags) error {
	failed := false
	flags := consumeFlags{from: f.from, partitions: f.partitions, most: f.most, stop: f.stop}
	err := eachRecord(c, servers, []string{topic}, flags, func(w io.Writer, r *kgo.Record) error {
		line := struct {
			Partition int32    `json:"partition"`
			Offset    int64    `json:"offset"`
			Timestamp int64    `json:"timestamp"`
			Key       any      `json:"key"`
			Value     *decoded `json:"value"`
		}{Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli()}
		headers := make([]kmsg.Header, len(r.Headers))
		for i, h := range r.Headers {
			headers[i] = kmsg.Header{Key: h.Key, Value: h.Value}
		}
		line.Value = d.printable(c.Context(), r.Value, envelope.Header(headers, envelope.ValueHeader))
		failed = failed || line.Value.Error != ""
		if f.keys {
			key := d.printable(c.Context(), r.Key, envelope.Header(headers, envelope.KeyHeader))
			failed = failed || key.Error != ""
			line.Key = key
		} else if r.Key != nil {
			line.Key = string(r.Key)
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(line)
	})
	if err == nil && failed {
		return errNo
	}
	return err
}

func (d *decoder) printable(ctx context.Context, body, header []byte) *decoded {
	v, err := d.decode(ctx, body, header)
	if err != nil {
		return &decoded{Value: json.RawMessage("null"), Error: err.Error()}
	}
	return &v
}

// decode turns a key or value into JSON.
func (d *decoder) decode(ctx context.Context, body, header []byte) (decoded, error) {
	if d.flags.bare {
		codec, err := d.codec("given", d.given, nil)
		if err != nil {
			return decoded{}, err
		}
		return value(codec, body)
	}
	env, err := envelope.Parse(body, header)
	if err != nil || env.Null {
		return decoded{Value: json.RawMessage("null")}, err
	}
	name, p, err := d.schemaOf(ctx, &env)
	if err != nil {
		return decoded{}, err
	}
	v, err := d.framed(name, p.schema, &env)
	if p.version != nil {
		v.ID, v.Subject, v.Version = p.version.ID, p.version.Subject, p.version.Number
	}
	v.Type = p.schema.Type()
	if env.HasGUID {
		v.GUID = env.GUID.String()
	}
	return v, err
}

// framed decodes what an envelope holds.
func (d *decoder) framed(name string, s schema.Schema, env *envelope.Envelope) (decoded, error) {
	if s.Type() != schema.Protobuf {
		payload, err := env.Payload()
		if err != nil {
			return decoded{}, err
		}
		codec, err := d.codec(name, s, nil)
		if err != nil {
			return decoded{}, err
		}
		return value(codec, payload)
	}
	var codec record.Codec
	valid := func(x envelope.Indexes, payload []byte) (err error) {
		if codec, err = d.codec(name, s, x.Append(nil)); err == nil {
			err = codec.Validate(payload)
		}
		return err
	}
	read := env.Message
	if d.flags.noIndexes {
		read = func() (envelope.Indexes, []byte, error) { return env.MessageOrFirst(valid) }
	}
	x, payload, err := read()
	if err == nil {
		err = valid(x, payload)
	}
	if err != nil {
		return decoded{}, err
	}
	return value(codec, payload)
}

func value(codec record.Codec, payload []byte) (decoded, error) {
	text, err := codec.AppendJSON(nil, payload)
	if err != nil {
		return decoded{}, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return decoded{}, err
	}
	return decoded{Value: compact.Bytes()}, nil
}

// schemaOf finds the schema that an envelope names.
func (d *decoder) schemaOf(ctx context.Context, env *envelope.Envelope) (string, parsedSchema, error) {
	if d.given != nil {
		return "given", parsedSchema{schema: d.given}, nil
	}
	name := fmt.Sprint(env.ID)
	if env.HasGUID {
		name = env.GUID.String()
	}
	if p, ok := d.parsed[name]; ok {
		return name, p, nil
	}
	var v *schema.Version
	var err error
	if env.HasGUID {
		v, err = d.registry.ByGUID(ctx, schema.GUID(env.GUID))
	} else {
		v, err = d.registry.ByID(ctx, d.flags.subject, int32(env.ID))
	}
	if err != nil {
		return name, parsedSchema{}, err
	}
	source, err := d.registry.Source(ctx, v)
	if err != nil {
		return name, parsedSchema{}, err
	}
	format := formats[v.Type]
	if format == nil {
		return name, parsedSchema{}, fmt.Errorf("schema type %s is not known", v.Type)
	}
	parsed, err := format.Parse(source)
	if err != nil {
		return name, parsedSchema{}, err
	}
	if len(d.parsed) >= maxCodecs {
		clear(d.parsed)
		clear(d.codecs)
	}
	d.parsed[name] = parsedSchema{v, parsed}
	return name, d.parsed[name], nil
}

func (d *decoder) codec(name string, s schema.Schema, indexes []int) (record.Codec, error) {
	name = fmt.Sprint(name, indexes)
	if codec := d.codecs[name]; codec != nil {
		return codec, nil
	}
	coder, ok := s.(record.Coder)
	if !ok {
		return nil, fmt.Errorf("%s payloads cannot be decoded", s.Type())
	}
	codec, err := coder.Codec(record.Options{MessageIndexes: indexes})
	if err == nil {
		d.codecs[name] = codec
	}
	return codec, err
}
