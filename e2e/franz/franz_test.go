package franz

import (
	"testing"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

func TestSuite(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Client{Addr: b.Addr}, suite.Options{Name: "franz", Codecs: suite.Codecs, Nulls: true})
}
