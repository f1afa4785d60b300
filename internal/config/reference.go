package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Reference is the page of all settings, made from the flags themselves.
func Reference() string {
	c := Default()
	f := pflag.NewFlagSet("kelp serve", pflag.ContinueOnError)
	f.SortFlags = false
	c.Bind(f)
	var b strings.Builder
	b.WriteString("# Settings of `kelp serve`\n\n" +
		"Made from the flags by `make docs`; do not edit.\n\n" +
		"A flag beats the environment, the environment beats the file (`--config FILE`, YAML), the file beats the default.\n" +
		"In the file a key is the flag without its dashes: `node-id: 1`; lists and maps may be written as YAML has them.\n\n" +
		"| flag | environment | default | what it is |\n|---|---|---|---|\n")
	f.VisitAll(func(flag *pflag.Flag) {
		value := strings.Trim(flag.DefValue, "[]")
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", flag.Name, EnvName(flag.Name), value, flag.Usage)
	})
	return b.String()
}
