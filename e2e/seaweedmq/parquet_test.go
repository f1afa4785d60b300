package seaweedmq

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"kelp/e2e/harness"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
)

// parquet lets SeaweedFS compact a topic and reads the columns of each partition that has any, as text. Its shell does
// not compact what is younger than a second, so this waits until there are all rows, in one file or several.
func (p *place) parquet(t *testing.T, topic string) []map[string][]string {
	t.Helper()
	name := mq.Topic{Namespace: "kafka", Name: topic}
	d, err := p.client.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, entries := range p.entries(t, topic) {
		want += len(entries)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		c := exec.CommandContext(t.Context(), harness.WeedBinary(), "shell", "-master="+p.weed.Masters[0].Addr, "-filer="+p.weed.Filers[0].Addr)
		c.Dir = t.TempDir()
		c.Stdin = strings.NewReader("mq.topic.compact -namespace kafka -topic " + topic + " -timeAgo 1s\n")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var all []map[string][]string
		rows := 0
		for _, a := range d.Assignments {
			merged := map[string][]string{}
			for _, f := range p.parquetFiles(t, a.Partition.Dir(name)) {
				for name, values := range columns(t, f) {
					merged[name] = append(merged[name], values...)
				}
			}
			if len(merged) > 0 {
				all, rows = append(all, merged), rows+len(merged["_ts_ns"])
			}
		}
		if rows >= want {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("no Parquet file of %s\n%s", topic, out)
		}
	}
}

func (p *place) parquetFiles(t *testing.T, dir string) [][]byte {
	t.Helper()
	var files [][]byte
	err := p.filer.List(t.Context(), dir, "", func(e seaweed.Entry, _ bool) error {
		if !strings.HasSuffix(e.Name, ".parquet") {
			return nil
		}
		var file []byte
		for _, b := range e.Blobs {
			buf := make([]byte, b.Bytes)
			if err := p.filer.ReadBlob(t.Context(), b.FileID, 0, buf); err != nil {
				return err
			}
			file = append(file, buf...)
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// columns gives the values of every leaf column, row after row.
func columns(t *testing.T, file []byte) map[string][]string {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range f.Schema().Columns() {
		names = append(names, strings.Join(path, "."))
	}
	all := map[string][]string{}
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 16)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				for _, v := range row {
					all[names[v.Column()]] = append(all[names[v.Column()]], text(v))
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		_ = rows.Close()
	}
	return all
}

func text(v parquet.Value) string {
	if v.Kind() == parquet.ByteArray {
		return string(v.ByteArray())
	}
	return fmt.Sprint(v)
}
