package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"kelp/internal/schema/record"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
)

type showFlags struct {
	masters   []string
	filer     string
	namespace string
	columns   []string
	copies    bool
}

func seaweedMQShowCommand() *cobra.Command {
	var f showFlags
	c := &cobra.Command{
		Use:   "show TOPIC",
		Short: "Print the rows of a structured topic in SeaweedMQ",
		Long: `Prints what SeaweedFS's filer has of a structured topic, a JSON object for each row, by partition. A row that is there
twice is printed once: kafka_partition and kafka_offset are its identity. Bytes are printed in base64.`,
		Example: `  kelp seaweedmq show orders
  kelp seaweedmq show orders --columns kafka_offset,customer,total`,
		Args: needs(1, 1, "a topic"),
		RunE: func(c *cobra.Command, args []string) error { return showRows(c, args[0], f) },
	}
	c.Flags().StringSliceVar(&f.masters, "master", []string{"127.0.0.1:9333"}, "host:port or host:port.grpcPort of a master of SeaweedFS")
	c.Flags().StringVar(&f.filer, "filer", "", "host:port of the filer, where the masters know several")
	c.Flags().StringVar(&f.namespace, "namespace", "kafka", "namespace of the topic")
	c.Flags().StringSliceVar(&f.columns, "columns", nil, "columns to print; empty prints all")
	c.Flags().BoolVar(&f.copies, "copies", false, "print every copy of a row")
	return c
}

func showRows(c *cobra.Command, name string, f showFlags) error {
	ctx := c.Context()
	filer, err := seaweed.Dial(ctx, seaweed.Options{Masters: f.masters, Filer: f.filer})
	if err != nil {
		return err
	}
	defer func() { _ = filer.Close() }()
	t := mq.Topic{Namespace: f.namespace, Name: name}
	generations, err := mq.Generations(ctx, filer, t)
	if err != nil {
		return err
	}
	if len(generations) == 0 {
		return fmt.Errorf("%s: the filer has nothing of it", t)
	}
	newest := generations[len(generations)-1]
	for _, p := range newest.Partitions {
		seen := map[int64]bool{}
		_, err := mq.LogFiles{Filer: filer, Dir: p.Dir(t)}.Read(ctx, mq.Position{}, func(e mq.Entry) error {
			var v record.RecordValue
			if err := proto.Unmarshal(e.Value, &v); err != nil {
				return fmt.Errorf("%s: offset %d in SeaweedMQ is no row: %w", t, e.Offset, err)
			}
			offset := v.Fields["kafka_offset"]
			if offset != nil && seen[offset.GetInt64Value()] && !f.copies {
				return nil
			}
			if offset != nil {
				seen[offset.GetInt64Value()] = true
			}
			return printRow(c.OutOrStdout(), v.Fields, f.columns)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// printRow prints columns in the order in which they were asked for, else by name with the mirror's last.
func printRow(w io.Writer, fields map[string]*record.Value, columns []string) error {
	if len(columns) == 0 {
		columns = slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
			ours := func(s string) int { return cmp.Compare(strings.Count(s[:min(len(s), 6)], "kafka_"), 0) }
			return cmp.Or(cmp.Compare(ours(a), ours(b)), strings.Compare(a, b))
		})
	}
	var row strings.Builder
	for _, name := range columns {
		if row.Len() > 0 {
			row.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err == nil {
			var value []byte
			if value, err = json.Marshal(plain(fields[name])); err == nil {
				row.Write(key)
				row.WriteByte(':')
				row.Write(value)
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("column %s", name), err)
		}
	}
	_, err := fmt.Fprintf(w, "{%s}\n", row.String())
	return err
}

// number is a JSON number, or a word for what JSON has none for.
func number(f float64, bits int) any {
	text := strconv.FormatFloat(f, 'g', -1, bits)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return text
	}
	return json.Number(text)
}

// plain is a value for JSON.
func plain(v *record.Value) any {
	switch k := v.GetKind().(type) {
	case *record.Value_BoolValue:
		return k.BoolValue
	case *record.Value_Int32Value:
		return k.Int32Value
	case *record.Value_Int64Value:
		return k.Int64Value
	case *record.Value_FloatValue:
		return number(float64(k.FloatValue), 32)
	case *record.Value_DoubleValue:
		return number(k.DoubleValue, 64)
	case *record.Value_StringValue:
		return k.StringValue
	case *record.Value_BytesValue:
		return base64.StdEncoding.EncodeToString(k.BytesValue)
	case *record.Value_DecimalValue:
		return fmt.Sprintf("%se-%d", record.BigInt(k.DecimalValue.Value), k.DecimalValue.Scale)
	case *record.Value_ListValue:
		all := make([]any, 0, len(k.ListValue.Values))
		for _, e := range k.ListValue.Values {
			all = append(all, plain(e))
		}
		return all
	case *record.Value_RecordValue:
		all := map[string]any{}
		for name, f := range k.RecordValue.Fields {
			all[name] = plain(f)
		}
		return all
	}
	return nil
}
