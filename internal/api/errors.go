package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/storage"
)

// codeOf is the one map from errors to Kafka codes. The message is nil where Kafka sends none.
func codeOf(err error) (code int16, message *string) {
	if err == nil {
		return 0, nil
	}
	if bare, ok := err.(*kerr.Error); ok { //nolint:errorlint // a wrapped one brings its own words
		return bare.Code, nil
	}
	text := err.Error()
	if kafka, ok := errors.AsType[*kerr.Error](err); ok {
		return kafka.Code, &text
	}
	switch {
	case errors.Is(err, cluster.ErrExists):
		return kerr.TopicAlreadyExists.Code, &text
	case errors.Is(err, cluster.ErrUnknown):
		return kerr.UnknownTopicOrPartition.Code, &text
	case errors.Is(err, cluster.ErrCollides):
		return kerr.InvalidTopicException.Code, &text
	case errors.Is(err, cluster.ErrInvalidPartitions):
		return kerr.InvalidPartitions.Code, &text
	case errors.Is(err, cluster.ErrTooMany):
		return kerr.PolicyViolation.Code, &text
	case errors.Is(err, cluster.ErrState):
		return kerr.PolicyViolation.Code, &text
	case errors.Is(err, cluster.ErrInvalidConfig):
		return kerr.InvalidConfig.Code, &text
	case errors.Is(err, cluster.ErrFeature), errors.Is(err, cluster.ErrFeatureLevel), errors.Is(err, cluster.ErrFeatureUpgrade):
		return kerr.InvalidUpdateVersion.Code, &text
	case errors.Is(err, storage.ErrFenced), errors.Is(err, storage.ErrClosed):
		return kerr.NotLeaderForPartition.Code, &text
	case errors.Is(err, storage.ErrOutOfRange):
		return kerr.OffsetOutOfRange.Code, &text
	case errors.Is(err, storage.ErrNotFound):
		return kerr.UnknownTopicOrPartition.Code, &text
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, storage.ErrCorrupt):
		return kerr.KafkaStorageError.Code, &text
	case errors.Is(err, context.DeadlineExceeded):
		return kerr.RequestTimedOut.Code, &text
	}
	return kerr.UnknownServerError.Code, &text
}

// noError is the message with which Kafka marks success where it always sends one.
func noError() *string { return kmsg.StringPtr("NONE") }
