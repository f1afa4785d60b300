package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where in a partition to begin: its start, its end, an offset, or a time.
type place struct {
	kind  placeKind
	value int64 // the offset, how many before the end, or milliseconds since 1970
}

type placeKind int

const (
	atStart placeKind = iota
	atEnd
	atOffset
	beforeEnd
	atTime
)

// places says what parsePlace takes.
const places = "start, end, an offset, -N from the end, a time such as 2026-01-31T08:00:00Z, or how long ago such as -2h"

// parsePlace reads what a flag was given.
func parsePlace(flag, text string) (place, error) {
	switch text {
	case "start", "earliest":
		return place{kind: atStart}, nil
	case "end", "latest":
		return place{kind: atEnd}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 {
			return place{beforeEnd, -n}, nil
		}
		return place{atOffset, n}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago < 0 {
		return place{atTime, time.Now().Add(ago).UnixMilli()}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return place{}, fmt.Errorf("%s %q: choose %s", flag, text, places)
	}
	return place{atTime, at.UnixMilli()}, nil
}

// offset is the place for a consumer.
func (p place) offset() kgo.Offset {
	o := kgo.NewOffset()
	switch p.kind {
	case atEnd:
		return o.AtEnd()
	case atOffset:
		return o.At(p.value)
	case beforeEnd:
		return o.AtEnd().Relative(-p.value)
	case atTime:
		return o.AfterMilli(p.value)
	case atStart:
	}
	return o.AtStart()
}

// find gives the offset of the place in every partition of topics whose ends are given.
func (p place) find(ctx context.Context, a *kadm.Client, topics []string, ends kadm.ListedOffsets) (kadm.Offsets, error) {
	switch p.kind {
	case atEnd:
		return ends.Offsets(), nil
	case atTime:
		found, err := a.ListOffsetsAfterMilli(ctx, p.value, topics...)
		if err == nil {
			err = found.Error()
		}
		return found.Offsets(), err
	case atStart, atOffset, beforeEnd:
	}
	starts, err := a.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	found := starts.Offsets()
	found.Each(func(o kadm.Offset) {
		end, _ := ends.Lookup(o.Topic, o.Partition)
		at := o.At
		switch p.kind {
		case atOffset:
			at = p.value
		case beforeEnd:
			at = end.Offset - p.value
		case atStart, atEnd, atTime:
		}
		o.At = min(max(o.At, at), end.Offset)
		found.Add(o)
	})
	return found, err
}
