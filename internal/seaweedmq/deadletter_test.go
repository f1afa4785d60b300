package seaweedmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/cluster"
)

// letters is a dead-letter topic; err is what it fails with.
type letters struct {
	err error
	got []string
}

func (l *letters) Append(_ context.Context, topic string, partition int32, r batch.Record) error {
	if l.err != nil {
		return l.err
	}
	text := fmt.Sprintf("%s/%d %d %q=%q", topic, partition, r.TimestampMs, r.Key, r.Value)
	for _, h := range r.Headers {
		text += fmt.Sprintf(" %s:%s", h.Key, h.Value)
	}
	l.got = append(l.got, text)
	return nil
}

func burying(l *letters, topic string) *publisher {
	m := &Mirror{o: Options{DeadLetters: l, Now: func() time.Time { return time.UnixMilli(77) }}}
	return &publisher{t: &mirrored{m: m, topic: cluster.Topic{Name: "orders"}, deadLetters: topic}, index: 3}
}

func TestADeadLetterSaysWhereItComesFrom(t *testing.T) {
	l := &letters{}
	p := burying(l, "dead")
	r := batch.Record{
		Offset: 5, TimestampMs: 9, Key: []byte("k"), Value: []byte("v"), Headers: []batch.RecordHeader{{Key: "h", Value: []byte("1")}},
	}
	why := errors.New("bad \xff value")
	if err := p.bury(t.Context(), r, why); err != nil {
		t.Fatal(err)
	}
	want := `dead/3 77 "k"="v" h:1 __kelp.errors.topic:orders __kelp.errors.partition:3 __kelp.errors.offset:5 ` +
		"__kelp.errors.timestamp:9 __kelp.errors.exception.message:bad \ufffd value"
	if len(l.got) != 1 || l.got[0] != want || p.stats.deadLetters.Load() != 1 || len(r.Headers) != 1 {
		t.Errorf("got %q, want %q", l.got, want)
	}
}

func TestADeadLetterIsNotSentOnAgain(t *testing.T) {
	l := &letters{}
	p := burying(l, "dead")
	r := batch.Record{Headers: []batch.RecordHeader{{Key: errorTopic, Value: []byte("elsewhere")}}}
	if err := p.bury(t.Context(), r, errors.New("bad")); err != nil || len(l.got) != 0 || p.stats.deadLetters.Load() != 0 {
		t.Errorf("%v, %q", err, l.got)
	}
}

func TestWithoutADeadLetterTopicNothingIsWritten(t *testing.T) {
	l := &letters{err: errors.New("asked")}
	if err := burying(l, "").bury(t.Context(), batch.Record{}, errors.New("bad")); err != nil {
		t.Error(err)
	}
}

func TestADeadLetterThatCannotBeWrittenIsAnError(t *testing.T) {
	l := &letters{err: errors.New("no space")}
	p := burying(l, "dead")
	err := p.bury(t.Context(), batch.Record{Offset: 5}, errors.New("bad"))
	if !errors.Is(err, l.err) || !strings.Contains(err.Error(), "offset 5 to the dead-letter topic dead") || p.stats.deadLetters.Load() != 0 {
		t.Error(err)
	}
}
