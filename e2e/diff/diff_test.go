package diff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/harness"
)

func open(t *testing.T, kind harness.Kind) *session { return openWith(t, kind, harness.Options{}) }

func openWith(t *testing.T, kind harness.Kind, o harness.Options) *session {
	t.Helper()
	b, err := harness.OpenWith(kind, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{addr: b.Addr}
	t.Cleanup(func() {
		if s.conn != nil {
			s.conn.Close()
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// served is what Apache Kafka of this run serves: key -> min and max version.
func served(ctx context.Context, t *testing.T, s *session) map[int16][2]int16 {
	t.Helper()
	resp, err := s.ask(ctx, kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	out := map[int16][2]int16{}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		out[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	return out
}

// outcome is the flattened answer, or how the request failed without one. It asks again while a coordinator is loading:
// how long that takes is no part of the comparison.
func outcome(ctx context.Context, s *session, req kmsg.Request) map[string]string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := s.ask(ctx, req)
		switch {
		case errors.Is(err, errClosed):
			return map[string]string{"outcome": "connection closed"}
		case err != nil:
			return map[string]string{"outcome": err.Error()}
		}
		s.learn(resp)
		answer := flatten(resp)
		if !loading(answer) {
			return answer
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return answer
		}
	}
}

func loading(answer map[string]string) bool {
	for path, value := range answer {
		if strings.HasSuffix(path, "ErrorCode") && (value == fmt.Sprint(kerr.CoordinatorLoadInProgress.Code) ||
			value == fmt.Sprint(kerr.CoordinatorNotAvailable.Code) || value == fmt.Sprint(kerr.NotCoordinator.Code)) {
			return true
		}
	}
	return false
}

// TestAnswersAreKafkas runs the script against both. With KELP_E2E_TARGET=kafka both sides are Apache Kafka, which
// shows that the script and the normalisation are steady; the table of allowed differences is not checked then.
func TestAnswersAreKafkas(t *testing.T) {
	start = time.Now().Add(-time.Hour).UnixMilli()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	kafka, other := open(t, harness.Kafka), open(t, harness.Target())
	versions := served(ctx, t, kafka)
	used := map[string]bool{}
	compared := 0
	for _, st := range script() {
		probe := st.ask(kafka, 0)
		limits, ok := versions[probe.Key()]
		if !ok {
			t.Errorf("%s: Apache Kafka does not serve key %d", st.name, probe.Key())
		}
		for v := max(st.since, limits[0]); v <= min(limits[1], probe.MaxVersion()); v++ {
			a, b := st.ask(kafka, v), st.ask(other, v)
			a.SetVersion(v)
			b.SetVersion(v)
			compared++
			compare(t, fmt.Sprintf("%s v%d", st.name, v), st.name, [2]map[string]string{outcome(ctx, kafka, a), outcome(ctx, other, b)}, used)
		}
	}
	t.Logf("%d answers compared", compared)
	if harness.Target() == harness.Kafka {
		return
	}
	for _, entry := range slices.Sorted(maps.Keys(allowed)) {
		if !used[entry] {
			t.Errorf("allowed difference %q no longer differs: remove it", entry)
		}
	}
}

// compare reports every path whose values differ, unless the table allows "step path" for all versions.
func compare(t *testing.T, at, name string, answers [2]map[string]string, used map[string]bool) {
	t.Helper()
	paths := maps.Clone(answers[0])
	maps.Copy(paths, answers[1])
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		want, inKafka := answers[0][path]
		got, inOther := answers[1][path]
		entry := name + " " + path
		switch {
		case want == got && inKafka == inOther:
		case allowed[entry] != "":
			used[entry] = true
		default:
			t.Errorf("%s: %s is %q, Apache Kafka has %q", at, path, got, want)
		}
	}
}

// TestUnknownVersionOfApiVersions: any version is answered, in the oldest shape, with UNSUPPORTED_VERSION.
func TestUnknownVersionOfApiVersions(t *testing.T) {
	kafka, other := open(t, harness.Kafka), open(t, harness.Target())
	body := [2][]byte{}
	for i, s := range []*session{kafka, other} {
		if _, err := s.ask(t.Context(), kmsg.NewPtrApiVersionsRequest()); err != nil {
			t.Fatal(err)
		}
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "diff", "1"
		req.SetVersion(99)
		raw, err := s.exchange(req)
		if err != nil {
			t.Fatal(err)
		}
		body[i] = raw[:2]
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(raw); err != nil {
			t.Fatalf("not a version 0 body: %x: %v", raw, err)
		}
	}
	if string(body[0]) != string(body[1]) {
		t.Errorf("error code %x, Apache Kafka has %x", body[1], body[0])
	}
}
