package seaweedmq

import (
	"strings"
	"testing"

	"kelp/internal/seaweed/mq"
)

// Through the agent, which is killed under load (in the long form the broker and Kelp too): at the end every record is in the filer. The flag
// leaves topics of several partitions to the broker.
func TestAgent(t *testing.T) {
	p := startAt(t, func(agent string) []string {
		return []string{"--seaweedmq-transport", "agent", "--seaweedmq-agent", agent}
	})
	p.topic(t, "agented", 1, "kelp.seaweedmq.publish=structured")
	p.topic(t, "several", 2, "kelp.seaweedmq.publish=structured")
	l, several := p.load(t, "agented", 1), p.load(t, "several", 2)
	l.until(t, 1000)
	p.flushing(t, "agented")
	status := p.kelp(t, "seaweedmq", "status", "--json", "--http", p.http)
	if strings.Count(status, `"transport": "agent"`) != 1 || strings.Count(status, `"transport": "broker"`) != 1 {
		t.Error(status)
	}
	type kill struct {
		name         string
		kill, resume func() error
	}
	kills := []kill{{"agent", p.weed.Agent.Kill, p.weed.Agent.Resume}}
	if *rounds > 1 { // each takes a minute, since an agent tells nobody that it has lost its broker or its client
		kills = append(kills, kill{"broker", p.weed.Broker.Kill, p.weed.Broker.Resume}, kill{"kelp", p.broker.Kill, p.broker.Resume})
	}
	for _, each := range kills {
		t.Logf("%d acknowledged, kill %s", l.acked.Load(), each.name)
		if err := each.kill(); err != nil {
			t.Fatal(err)
		}
		if each.name != "kelp" {
			l.until(t, 500) // so that records meet what is dead
		}
		if err := each.resume(); err != nil {
			t.Fatal(err)
		}
		p.flushing(t, "agented")
	}
	l.stop()
	several.stop()
	<-l.done
	<-several.done
	p.mirrored(t, "agented")
	p.mirrored(t, "several")
	t.Logf("%d records, %d repeats\n%s", l.acked.Load(), p.compare(t, "agented"), p.status(t))
	p.compare(t, "several")
	as, err := p.client.Assignments(t.Context(), mq.Topic{Namespace: "kafka", Name: "agented"})
	if err != nil || len(as) != 1 {
		t.Errorf("%v, %v", as, err)
	}
}
