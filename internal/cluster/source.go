package cluster

import (
	"fmt"
	"strings"
)

// sourceKeys are those of topics that are read from SeaweedMQ.
var sourceKeys = []Key{
	{
		Name: "kelp.seaweedmq.source", Kind: String, check: sourceName,
		Doc: "namespace/topic in SeaweedMQ whose records this topic gives to its consumers; it takes none from producers. Empty: none.",
	},
	{
		Name: "kelp.seaweedmq.source.format", Kind: String, Default: "json", check: oneOf("json", "schema", "raw"),
		Doc: "What becomes of SeaweedMQ's record values: json; schema, encoded with the newest schema of the subject TOPIC-value " +
			"in Confluent's envelope (json where it does not fit); raw, the bytes as they are there.",
	},
}

// maxSourceBytes bounds the name of a source.
const maxSourceBytes = 512

func sourceName(v string) error {
	if v == "" {
		return nil
	}
	namespace, name, ok := strings.Cut(v, "/")
	if !ok || namespace == "" || name == "" || strings.ContainsAny(name, "/") || len(v) > maxSourceBytes ||
		strings.HasPrefix(namespace, ".") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("must be namespace/topic, or empty")
	}
	return nil
}
