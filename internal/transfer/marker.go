package transfer

import (
	"context"
	"errors"
	"fmt"

	"kelp/internal/storage"
)

// marker is a partition that only the destination of an unfinished copy has. Its first batch says what it is a copy of.
var marker = storage.Partition{Topic: [16]byte{0xff, 0xff, 0xff, 0xff, 'k', 'e', 'l', 'p', ' ', 'c', 'o', 'p', 'y', 0xff, 0xff, 0xff}}

// begin marks an empty destination, or finds that it is marked for this source.
func begin(ctx context.Context, to storage.Store, source string) error {
	of, marked, err := Unfinished(ctx, to)
	switch {
	case err != nil:
		return err
	case marked && of != source && of != "":
		return fmt.Errorf("%w: %s; go on from there, or remove what is in the destination", ErrOther, of)
	}
	ids, err := partitions(ctx, to)
	if err != nil {
		return err
	}
	if !marked && len(ids) > 0 {
		return fmt.Errorf("%w: it has %d partitions", ErrNotEmpty, len(ids))
	}
	if of == source {
		return nil
	}
	if marked && len(ids) > 0 {
		return fmt.Errorf("%w: its mark cannot be read", ErrOther)
	}
	if err := to.Create(ctx, marker); err != nil {
		return err
	}
	l, err := openNewest(ctx, to, marker)
	if err != nil {
		return err
	}
	err = l.Append(storage.Batch{Count: 1, MaxTimestampMs: -1, Bytes: []byte(source)}).Wait(ctx)
	return errors.Join(err, l.Close())
}

// Unfinished says whether a store is the destination of a copy that was not finished, and of what.
func Unfinished(ctx context.Context, s storage.Store) (source string, marked bool, err error) {
	for id, err := range s.Partitions(ctx) {
		if err != nil {
			return "", false, err
		}
		marked = marked || id == marker
	}
	if !marked {
		return "", false, nil
	}
	l, err := openNewest(ctx, s, marker)
	if err != nil {
		return "", true, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if start, end := l.Bounds(); start == end { // a crash between making it and its first batch
		return "", true, nil
	}
	b, err := lastBytes(ctx, l, 1)
	return string(b), true, err
}

// Finish takes the mark away: from here on the destination can be served.
func Finish(ctx context.Context, to storage.Store) error { return to.Delete(ctx, marker) }

// lastBytes gives the bytes of the last batch when it is at the end, as a copy.
func lastBytes(ctx context.Context, l storage.Log, end int64) ([]byte, error) {
	span, err := l.Read(ctx, storage.ReadRange{From: end - 1, Before: end, AtLeastOne: true})
	if err != nil {
		return nil, err
	}
	defer span.Release()
	b, err := span.Bytes()
	return append([]byte(nil), b...), err
}
