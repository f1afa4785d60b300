package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

// validations are the topics of the load, in the order of their first turn, with their configs.
var validations = []struct {
	name    string
	configs map[string]string
}{
	{"plain", nil},
	{"off", map[string]string{"confluent.value.schema.validation": "false", "kelp.schema.validation": "payload"}},
	{"id", map[string]string{"confluent.value.schema.validation": "true", "kelp.schema.validation": "id"}},
	{"payload", map[string]string{"confluent.value.schema.validation": "true", "kelp.schema.validation": "payload"}},
}

const (
	validationTurns  = 12 // of each topic
	validationSchema = `{"type":"record","name":"R","fields":[{"name":"id","type":"long"},` +
		`{"name":"tags","type":{"type":"array","items":"string"}},{"name":"amount","type":"double"},{"name":"body","type":"string"}]}`
)

// validation is what it costs a producer that its records are validated.
func validation(s Size) turns.Scenario {
	none := "serves no registry"
	sc := turns.Scenario{
		Name: "validation", Doc: "Avro records of 1 KiB as in produce-bare, in turns to topics of one server without validation, with " +
			"validation off, of ids and of payloads.",
		Skip: map[string]string{
			"kelp-os": none, "kelp-fsync": none, "kafka": none, "kafka-flush": none, "kelp-seaweedfs": none, "weed-gateway": none,
			"kelp-mirror": none,
		},
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		producing := make([][]*bareProducer, len(validations))
		for i, v := range validations {
			ps, err := validated(ctx, t, v.name, v.configs)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			defer closeAll(ps)
			producing[i] = ps
			if err := runBare(ctx, ps, s.WarmBytes/int64(len(validations))); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
		whole := int64(len(producing[0])) * bareBatchBytes
		each := max(s.Bytes/int64(len(validations))/validationTurns/whole, 1) * whole
		took, cpu := make([][validationTurns]time.Duration, len(validations)), make([]time.Duration, len(validations))
		for turn := range validationTurns {
			for i := range validations {
				if i = (i + turn) % len(validations); turn%2 > 0 {
					i = len(validations) - 1 - i // none always follows the same one
				}
				u, err := t.Measure(func() error { return runBare(ctx, producing[i], each) })
				if err != nil {
					return fmt.Errorf("%s: %w", validations[i].name, err)
				}
				took[i][turn], cpu[i] = u.Elapsed, cpu[i]+u.CPU
			}
		}
		if err := refused(ctx, t); err != nil {
			return err
		}
		for i, v := range validations {
			// The middle turn, and the middle of the ratios within each: in some of them the disk writes what the ones before left.
			t.Record(v.name+" MB/s", float64(each)/1e6/middle(took[i], func(_ int, d time.Duration) float64 { return d.Seconds() }))
			t.Record(v.name+" CPU s/GB", cpu[i].Seconds()/(float64(each)*validationTurns/1e9))
		}
		ratio := func(i, of int) {
			name := validations[i].name + " / " + validations[of].name
			t.Record(name, middle(took[i], func(turn int, d time.Duration) float64 { return took[of][turn].Seconds() / d.Seconds() }))
			t.Record("CPU "+name, cpu[i].Seconds()/cpu[of].Seconds())
		}
		ratio(1, 0)
		ratio(2, 1)
		ratio(3, 1)
		return nil
	}
	return sc
}

// middle is the median of what of gives.
func middle(took [validationTurns]time.Duration, of func(turn int, d time.Duration) float64) float64 {
	var all []float64
	for turn, d := range took {
		all = append(all, of(turn, d))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// refused says that the topics have validated what they say.
func refused(ctx context.Context, t *turns.Turn) error {
	id, err := registered(ctx, t.URL, "payload-value")
	if err != nil {
		return err
	}
	cut := avroValues(id)
	for i, v := range cut {
		cut[i] = v[:len(v)-1]
	}
	for _, bad := range []struct {
		values [][]byte
		by     []string
	}{{bareValues(), []string{"id", "payload"}}, {cut, []string{"payload"}}} {
		for _, v := range validations {
			ps, err := bareProducers(t.Addr, v.name, bad.values)
			if err != nil {
				return err
			}
			err = runBare(ctx, ps, producers*bareBatchBytes)
			closeAll(ps)
			if want := slices.Contains(bad.by, v.name); errors.Is(err, kerr.InvalidRecord) != want || (err != nil) != want {
				return fmt.Errorf("%s: bad records: %w; refused by %v", v.name, err, bad.by)
			}
		}
	}
	return nil
}

// validated makes a topic with its schema, and its producers.
func validated(ctx context.Context, t *turns.Turn, name string, configs map[string]string) ([]*bareProducer, error) {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, producers, 1
	for k, v := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		topic.Configs = append(topic.Configs, c)
	}
	if err := bare.CreateTopics(t.Addr, topic); err != nil {
		return nil, err
	}
	if _, err := bare.EndOffsets(t.Addr, name, producers); err != nil {
		return nil, err
	}
	id, err := registered(ctx, t.URL, name+"-value")
	if err != nil {
		return nil, err
	}
	return bareProducers(t.Addr, name, avroValues(id))
}

// registered registers the schema of the load.
func registered(ctx context.Context, url, subject string) (id uint32, err error) {
	body, err := json.Marshal(map[string]string{"schema": validationSchema})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/subjects/"+subject+"/versions", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct{ ID uint32 }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK || answer.ID == 0 {
		return 0, fmt.Errorf("register %s: %s", subject, resp.Status)
	}
	return answer.ID, nil
}

// avroValues are the values of a batch: Avro in Confluent's envelope, each of 1 KiB.
func avroValues(id uint32) [][]byte {
	head := binary.BigEndian.AppendUint32([]byte{0}, id)
	head = append(head, 2)                                        // id
	head = append(head, 4, 6, 'a', 'b', 'c', 6, 'd', 'e', 'f', 0) // two tags
	head = append(head, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)             // amount
	const lengthBytes = 2                                         // of the body's length
	body := bare.ValueBytes - len(head) - lengthBytes
	head = binary.AppendVarint(head, int64(body))
	values := bareValues()
	for i, v := range values {
		values[i] = append(append([]byte{}, head...), v[:body]...)
	}
	return values
}
