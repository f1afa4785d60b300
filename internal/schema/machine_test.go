package schema

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kelp/internal/statelog"
)

var update = flag.Bool("update", false, "rewrite the scripts of testdata")

// bench runs a machine without a runner and keeps its log.
type bench struct {
	m      *Machine
	log    []statelog.Record
	ticket statelog.Ticket
	now    time.Time
}

func newBench() *bench { return &bench{m: New(), now: time.UnixMilli(1_700_000_000_000)} }

func (b *bench) do(step func(statelog.Input) statelog.Effects) (any, []statelog.Record, error) {
	b.ticket++
	b.now = b.now.Add(time.Millisecond)
	e := step(statelog.Input{Now: b.now, Ticket: b.ticket})
	b.apply(e.Records)
	if len(e.Replies) != 1 || e.Replies[0].To != b.ticket {
		panic(fmt.Sprintf("replies %v", e.Replies))
	}
	return e.Replies[0].Response, e.Records, e.Replies[0].Err
}

func (b *bench) apply(records []statelog.Record) {
	for _, r := range records {
		r.TimestampMs = b.now.UnixMilli()
		if err := b.m.Apply(r); err != nil {
			panic(err)
		}
		b.log = append(b.log, r)
	}
}

// register is a registration without a format: the text is taken as canonical.
func (b *bench) register(subject string, d Draft, normal bool) (*Version, []statelog.Record, error) {
	s := b.m.Snapshot(subject)
	if err := s.MayRegister(&d); err != nil {
		return nil, nil, err
	}
	if normal && !s.Imports() {
		var err error
		if d, err = s.Fill(d); err != nil {
			return nil, nil, err
		}
	}
	references, _, err := b.m.Resolve(subject, d.References, s.Imports())
	if err != nil {
		return nil, nil, err
	}
	plan := Plan{Snapshot: s, Content: d.Content(d.Text, references), Number: d.Version}
	v, records, err := b.do(func(in statelog.Input) statelog.Effects { return b.m.Register(in, plan) })
	if err != nil {
		return nil, records, err
	}
	return v.(*Version), records, nil
}

func replay(records []statelog.Record) *Machine {
	m := New()
	for _, r := range records {
		_ = m.Apply(r)
	}
	return m
}

func dump(m *Machine) string {
	var b strings.Builder
	for r := range m.Records() {
		fmt.Fprintf(&b, "%s %d %s\n", r.Key, r.TimestampMs, r.Value)
	}
	fmt.Fprintln(&b, m.Subjects(AnyContext, WithDeleted), m.Contexts())
	for _, c := range m.Contexts() {
		for id := range m.MaxID(c) + 1 {
			if held, err := m.Holders(id, Name{Context: c}.Prefix(), true); err == nil {
				fmt.Fprintln(&b, c, id, len(held), m.IDs(held[0].GUID))
			}
		}
	}
	return b.String()
}

// TestScripts runs testdata/*.txt: a command, a line of dashes, every record and the reply.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench()
			var got strings.Builder
			for _, part := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				command, _, _ := strings.Cut(part, "\n----")
				fmt.Fprintf(&got, "%s\n----\n%s\n", command, b.run(command))
			}
			want := strings.TrimSpace(string(text))
			have := strings.TrimSpace(got.String())
			if *update {
				if err := os.WriteFile(file, []byte(have+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if have != want {
				t.Errorf("got\n%s", have)
			}
			if again := dump(replay(b.log)); again != dump(b.m) {
				t.Errorf("a replay gives\n%s\nnot\n%s", again, dump(b.m))
			}
		})
	}
}

// run carries out one command of a script; comments stand before it.
func (b *bench) run(command string) string {
	lines := strings.Split(command, "\n")
	line := lines[len(lines)-1]
	words := strings.SplitN(line, " ", 3)
	rest := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	subject := strings.Trim(rest(1), `"`)
	var reply any
	var records []statelog.Record
	var err error
	do := func(step func(statelog.Input) statelog.Effects) { reply, records, err = b.do(step) }
	number := func(s string) int32 {
		n, _ := strconv.ParseInt(strings.TrimSuffix(s, " permanent"), 10, 32)
		return int32(n)
	}
	permanent := strings.HasSuffix(line, "permanent")
	switch words[0] {
	case "register":
		d := struct {
			Text       string
			ID         *int32
			Version    int32
			References []Reference
			Metadata   *Metadata
			RuleSet    *RuleSet
		}{}
		if err := json.Unmarshal([]byte(rest(2)), &d); err != nil {
			return "script: " + err.Error()
		}
		id := NoID
		if d.ID != nil {
			id = *d.ID
		}
		draft := Draft{Type: Avro, Text: d.Text, ID: id, Version: d.Version, References: d.References, Metadata: d.Metadata, RuleSet: d.RuleSet}
		var v *Version
		if v, records, err = b.register(subject, draft, true); err == nil {
			reply = fmt.Sprintf("id %d version %d guid %s", v.ID, v.Number, v.GUID)
		}
	case "delete-subject":
		do(func(in statelog.Input) statelog.Effects { return b.m.DeleteSubject(in, subject, permanent) })
	case "delete-version":
		do(func(in statelog.Input) statelog.Effects {
			return b.m.DeleteVersion(in, subject, number(rest(2)), permanent)
		})
	case "set-config":
		u := ConfigUpdate{}
		if err := json.Unmarshal([]byte(rest(2)), &u); err != nil {
			return "script: " + err.Error()
		}
		do(func(in statelog.Input) statelog.Effects { return b.m.SetConfig(in, subject, u) })
		if c, ok := reply.(Config); ok {
			reply = string(encode(c))
		}
	case "delete-config":
		do(func(in statelog.Input) statelog.Effects { return b.m.DeleteConfig(in, subject) })
		if c, ok := reply.(Config); ok {
			reply = string(encode(c))
		}
	case "config":
		reply = string(encode(b.m.Config(subject)))
	case "mode":
		reply = b.m.Mode(subject)
	case "set-mode":
		mode, force := strings.CutSuffix(rest(2), " force")
		do(func(in statelog.Input) statelog.Effects { return b.m.SetMode(in, subject, Mode(mode), force) })
	case "delete-mode":
		do(func(in statelog.Input) statelog.Effects { return b.m.DeleteMode(in, subject, rest(2) == "recursive") })
	case "delete-context":
		do(func(in statelog.Input) statelog.Effects { return b.m.DeleteContext(in, subject) })
	case "apply":
		key, value, _ := strings.Cut(line[len("apply "):], " => ")
		r := statelog.Record{Key: []byte(key)}
		if value != "null" {
			r.Value = []byte(value)
		}
		b.apply([]statelog.Record{r})
	case "ids":
		var ids []string
		for _, v := range b.m.Search(AnyContext, WithDeleted, false) {
			ids = append(ids, fmt.Sprintf("%s/%d=%d deleted=%t", v.Subject, v.Number, v.ID, v.Deleted))
		}
		reply = ids
	case "referenced-by":
		reply, err = b.m.ReferencedBy(subject, number(rest(2)), false)
	case "by-id":
		v, e := b.m.ByID(number(rest(2)), subject)
		if err = e; e == nil {
			reply = fmt.Sprintf("%s/%d deleted=%t", v.Subject, v.Number, v.Deleted)
		}
	default:
		return "script: no such command"
	}
	var out strings.Builder
	for _, r := range records {
		value := "null"
		if r.Value != nil {
			value = string(r.Value)
		}
		fmt.Fprintf(&out, "%s => %s\n", r.Key, value)
	}
	if err != nil {
		fmt.Fprintf(&out, "! %d %s\n", CodeOf(err), err)
	} else {
		fmt.Fprintf(&out, "-> %v\n", reply)
	}
	return out.String()
}

// Whatever happens, a replay of the log and of the rewritten log gives the live state, an id stands
// for one schema for ever, and one schema has one id in a context.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		b := newBench()
		given := map[ContextID]GUID{}
		pick := func(words ...string) string { return words[rng.IntN(len(words))] }
		subjects := []string{"a", "b", "c", ":.x:a", ":.x:b", ":.y:c"}
		for step := range 400 {
			subject := subjects[rng.IntN(len(subjects))]
			number := int32(rng.IntN(6))
			before := dumpIDs(b.m)
			switch rng.IntN(12) {
			case 0:
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteSubject(in, subject, false) })
			case 1:
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteSubject(in, subject, true) })
			case 2, 3:
				permanent := rng.IntN(2) == 0
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteVersion(in, subject, number, permanent) })
			case 4:
				mode, force := Mode(pick("READWRITE", "READWRITE", "READONLY", "IMPORT")), rng.IntN(2) == 0
				at := pick(subject, ParseName(subject).Prefix(), "")
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.SetMode(in, at, mode, force) })
			case 5:
				at := pick(subject, ParseName(subject).Prefix(), "")
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteMode(in, at, true) })
			case 6:
				u := ConfigUpdate{"compatibility": json.RawMessage(pick(`"full"`, `null`, `"none"`)), "alias": json.RawMessage(pick(`"b"`, `null`))}
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.SetConfig(in, subject, u) })
			case 7:
				_, _, _ = b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteContext(in, ParseName(subject).Prefix()) })
			default:
				d := Draft{Type: Avro, Text: pick("1", "2", "3", "4", "5"), ID: NoID}
				if rng.IntN(4) == 0 {
					d.References = []Reference{{Name: "r", Subject: pick("a", "b", "c"), Version: number - 1}}
				}
				if b.m.Mode(subject) == Import {
					d.ID = int32(rng.IntN(40))
				}
				_, _, _ = b.register(subject, d, true)
			}
			for _, v := range b.m.Search(AnyContext, WithDeleted, false) {
				at := ContextID{ParseName(v.Subject).Context, v.ID}
				if known, ok := given[at]; ok && known != v.GUID && slices.Contains(before, at) {
					t.Fatalf("seed %d step %d: id %v changed its schema", seed, step, at)
				}
				given[at] = v.GUID
			}
		}
		live := dump(b.m)
		if got := dump(replay(b.log)); got != live {
			t.Fatalf("seed %d: a replay gives\n%s\nnot\n%s", seed, got, live)
		}
		if got := dump(replay(slices.Collect(b.m.Records()))); got != live {
			t.Fatalf("seed %d: the rewritten log gives\n%s\nnot\n%s", seed, got, live)
		}
	}
}

func dumpIDs(m *Machine) []ContextID {
	var ids []ContextID
	for _, v := range m.Search(AnyContext, WithDeleted, false) {
		ids = append(ids, ContextID{ParseName(v.Subject).Context, v.ID})
	}
	return ids
}

// A plan made before another registration is refused, whatever happened in between.
func TestAStalePlanIsRefused(t *testing.T) {
	b := newBench()
	f := func(change func()) {
		t.Helper()
		s := b.m.Snapshot("s")
		d := Draft{Type: Avro, Text: "new", ID: NoID}
		change()
		_, records, err := b.do(func(in statelog.Input) statelog.Effects {
			return b.m.Register(in, Plan{Snapshot: s, Content: d.Content("new", nil)})
		})
		if err != ErrStale || len(records) > 0 { //nolint:errorlint // it is not wrapped
			t.Fatal(err, records)
		}
	}
	must := func(text string) {
		t.Helper()
		if _, _, err := b.register("s", Draft{Type: Avro, Text: text, ID: NoID}, true); err != nil {
			t.Fatal(err)
		}
	}
	f(func() { must("1") })
	f(func() { must("2") })
	f(func() { // gone and made again with the same versions
		b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteSubject(in, "s", false) })
		b.do(func(in statelog.Input) statelog.Effects { return b.m.DeleteSubject(in, "s", true) })
		must("1")
		must("2")
	})
	f(func() {
		b.do(func(in statelog.Input) statelog.Effects {
			return b.m.SetConfig(in, "", ConfigUpdate{"compatibility": json.RawMessage(`"NONE"`)})
		})
	})
}

func TestGUID(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := guidOf(text, nil, nil, nil).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if g, ok := ParseGUID(want); !ok || g.String() != want {
			t.Errorf("%s was read as %s", want, g)
		}
	}
	f(`"string"`, "095d71cf-1255-6b9d-5e33-0ad575b3df5d")
	if _, ok := ParseGUID("x"); ok {
		t.Error("x is no guid")
	}
}
