package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds the settings file.
const maxFileBytes = 1 << 20

// Load fills the settings that no flag has set: from the environment, then from the YAML file at
// path unless that is empty. f is the parsed set that Bind filled.
func (c *Config) Load(f *pflag.FlagSet, path string, lookup func(string) (string, bool)) error {
	var errs []error
	chosen := map[string]bool{}
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed {
			chosen[flag.Name] = true
			return
		}
		if value, ok := lookup(EnvName(flag.Name)); ok {
			chosen[flag.Name] = true
			errs = append(errs, set(flag, EnvName(flag.Name), value))
		}
	})
	if path != "" {
		errs = append(errs, c.loadFile(f, path, chosen))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.share(f)
	return c.Check()
}

// share gives the limits that nobody chose their part of the memory.
func (c *Config) share(f *pflag.FlagSet) {
	if !f.Changed("max-bytes-in-flight") {
		c.Limits.BytesInFlight = int64(c.Memory) / 4
	}
	if !f.Changed("max-request-bytes") {
		c.Limits.RequestBytes = min(c.Limits.RequestBytes, int(c.Memory)/2)
	}
}

// ServerFromEnv is the server that the client commands speak to unless a flag names one; empty when unset.
func ServerFromEnv() string { return os.Getenv("KELP_SERVER") }

// SchemaRegistryFromEnv is the registry that kelp schema speaks to unless a flag names one; empty when unset.
func SchemaRegistryFromEnv() string { return os.Getenv("KELP_SCHEMA_REGISTRY") }

// NoColour says whether the environment asks for plain text (https://no-color.org).
func NoColour() bool { return os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" }

// EnvName is the environment variable of a key.
func EnvName(key string) string { return "KELP_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

func (c *Config) loadFile(f *pflag.FlagSet, path string, chosen map[string]bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("config: %w; give --config a file that can be read", err)
	}
	defer func() { _ = file.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if len(text) > maxFileBytes {
		return fmt.Errorf("config: %s is larger than %d bytes, which no settings need", path, maxFileBytes)
	}
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // an empty file sets nothing
		}
		return fmt.Errorf("config: %s: %w", path, err)
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode {
		return fmt.Errorf("config: %s:%d: want lines of the form key: value", path, top.Line)
	}
	var errs []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		where := fmt.Sprintf("%s:%d: %s", path, key.Line, key.Value)
		flag := f.Lookup(key.Value)
		switch {
		case flag == nil || notInFile[key.Value]:
			errs = append(errs, fmt.Errorf("%s: there is no such setting%s", where, didYouMean(f, key.Value)))
		case seen[key.Value]:
			errs = append(errs, fmt.Errorf("%s: is set twice; keep one", where))
		case !chosen[key.Value]:
			errs = append(errs, setNode(flag, where, value))
		}
		seen[key.Value] = true
	}
	return errors.Join(errs...)
}

// notInFile are flags of the command that are no settings.
var notInFile = map[string]bool{"config": true, "help": true}

func setNode(flag *pflag.Flag, where string, n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return fmt.Errorf("%s: has no value; remove the line to use the default", where)
		}
		return set(flag, where, n.Value)
	case yaml.SequenceNode:
		list, ok := flag.Value.(pflag.SliceValue)
		if !ok {
			return fmt.Errorf("%s: takes one value, not a list", where)
		}
		var values []string
		for _, item := range n.Content {
			values = append(values, item.Value)
		}
		flag.Changed = true
		return list.Replace(values)
	case yaml.MappingNode:
		if flag.Value.Type() != "stringToString" {
			return fmt.Errorf("%s: takes one value, not keys and values", where)
		}
		var errs []error
		for i := 0; i+1 < len(n.Content); i += 2 {
			errs = append(errs, set(flag, where, n.Content[i].Value+"="+n.Content[i+1].Value))
		}
		return errors.Join(errs...)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return fmt.Errorf("%s: cannot be read; write key: value", where)
}

// wants says in words what a type takes.
var wants = map[string]string{
	"int": "a whole number", "int32": "a whole number", "int64": "a whole number", "bool": "true or false",
	"duration": "a duration such as 500ms, 10s or 5m", "stringToString": "key=value",
	"bytes": "a size such as 64MiB or 1GiB",
}

func set(flag *pflag.Flag, where, value string) error {
	if err := flag.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %q cannot be used; want %s", where, value, wants[flag.Value.Type()])
	}
	flag.Changed = true
	return nil
}

// didYouMean names the key that shares the longest beginning with an unknown one.
func didYouMean(f *pflag.FlagSet, unknown string) string {
	best, length := "", 2
	plain := strings.ReplaceAll(unknown, "_", "-")
	f.VisitAll(func(flag *pflag.Flag) {
		n := 0
		for n < len(plain) && n < len(flag.Name) && plain[n] == flag.Name[n] {
			n++
		}
		if n > length && !notInFile[flag.Name] {
			best, length = flag.Name, n
		}
	})
	if best == "" {
		return "; kelp serve --help lists them"
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// KafkaKeys are the broker configs that were set, in order.
func (d Defaults) KafkaKeys() []string { return slices.Sorted(maps.Keys(d.Kafka)) }
