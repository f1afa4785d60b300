package group

import (
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Limits of what a client can make a group hold, beside those of Options.
const (
	// maxNameBytes is the longest name that a record can hold.
	maxNameBytes = 32767
	// maxClientIDBytes is how much of a client id goes into the member ids that are made of it.
	maxClientIDBytes = 1024
	// maxMemberBytes bounds what one member says of itself: subscriptions and protocols.
	maxMemberBytes = 1 << 20
	// maxGroupBytes bounds that of all members together, and their assignments: it is one record.
	maxGroupBytes = 32 << 20
)

func fits(name string) bool { return len(name) <= maxNameBytes }

func fitsOrNil(name *string) bool { return name == nil || fits(*name) }

func subscriptionBytes(names []string) int {
	n := 0
	for _, name := range names {
		n += len(name) + 4
	}
	return n
}

func protocolBytes(protocols []kmsg.JoinGroupRequestProtocol) int {
	n := 0
	for _, p := range protocols {
		n += len(p.Name) + len(p.Metadata) + 8
	}
	return n
}

// prefix is the front of a client id, cut between characters.
func prefix(clientID string) string {
	if len(clientID) <= maxClientIDBytes {
		return clientID
	}
	cut := maxClientIDBytes
	for cut > 0 && !utf8.RuneStart(clientID[cut]) {
		cut--
	}
	return clientID[:cut]
}

// memberBytes is what the members of a group say of themselves, apart from one.
func (g *group) memberBytes(apart string) int {
	n := 0
	for id, mb := range g.members {
		if id != apart {
			n += mb.bytes
		}
	}
	return n
}
