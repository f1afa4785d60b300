package seaweedfs

import (
	"context"
	"fmt"
	"time"

	"kelp/bench/turns"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
)

// lookEvery is how often the filer is looked at for what has arrived.
const lookEvery = 250 * time.Millisecond

// mirror is how fast records get into SeaweedMQ: through Kelp's mirror, or through SeaweedFS's own gateway. Both are measured
// from the first record to the moment at which the filer has all of them.
func mirror(d time.Duration) turns.Scenario {
	sc := turns.Scenario{
		Name: "seaweedmq-publish", Doc: "Records of 1 KiB as in seaweedfs-produce, until the filer has every one of them in the log files of " +
			"SeaweedMQ's topic; the broker flushes every 5 s.",
		Skip: map[string]string{
			"kelp-os": "has no mirror", "kelp-fsync": "has no mirror", "kelp-seaweedfs": "has no mirror", "kafka": "has no part in this",
			"kafka-flush": "has no part in this",
		},
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := createTopic(ctx, t, sc.Name, partitions); err != nil {
			return err
		}
		filer, err := seaweed.Dial(ctx, seaweed.Options{Masters: []string{t.Master}})
		if err != nil {
			return err
		}
		defer filer.Close()
		var bytes int64
		var produced time.Duration
		u, err := t.Measure(func() error {
			began := time.Now()
			var err error
			if bytes, err = produceFor(ctx, t, sc.Name, partitions, d); err != nil {
				return err
			}
			produced = time.Since(began)
			return arrived(ctx, filer, sc.Name, bytes/valueBytes)
		})
		if err != nil {
			return err
		}
		t.RecordBytes(bytes, u)
		t.Record("records/s", float64(bytes/valueBytes)/u.Elapsed.Seconds())
		t.Record("s after the last ack", (u.Elapsed - produced).Seconds())
		return nil
	}
	return sc
}

// arrived waits until the log files of a topic have so many records.
func arrived(ctx context.Context, filer *seaweed.Client, name string, records int64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*patience)
	defer cancel()
	topic := mq.Topic{Namespace: "kafka", Name: name}
	at := map[string]mq.Position{}
	for have := int64(0); have < records; {
		generations, err := mq.Generations(ctx, filer, topic)
		if err != nil {
			return err
		}
		for _, g := range generations {
			for _, p := range g.Partitions {
				dir := p.Dir(topic)
				at[dir], err = mq.LogFiles{Filer: filer, Dir: dir}.Read(ctx, at[dir], func(mq.Entry) error { have++; return nil })
				if err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d records have arrived: %w", have, records, ctx.Err())
		case <-time.After(lookEvery):
		}
	}
	return nil
}
