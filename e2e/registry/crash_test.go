package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// history is what writers were told.
type history struct {
	mu    sync.Mutex
	ids   map[string]int            // by text
	texts map[int]string            // by id
	at    map[string]map[int]string // text by subject and version
	count int
}

// told notes an answer and says whether it contradicts another.
func (h *history) told(subject, text string, id, version int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	if known, ok := h.ids[text]; ok && known != id {
		return fmt.Errorf("%s has the ids %d and %d", text, known, id)
	}
	if known, ok := h.texts[id]; ok && known != text {
		return fmt.Errorf("id %d is %s and %s", id, known, text)
	}
	if h.at[subject] == nil {
		h.at[subject] = map[int]string{}
	}
	if known, ok := h.at[subject][version]; ok && known != text {
		return fmt.Errorf("version %d of %s is %s and %s", version, subject, known, text)
	}
	h.ids[text], h.texts[id], h.at[subject][version] = id, text, text
	return nil
}

type registered struct {
	ID, Version int
	Schema      string
}

func (p *place) register(subject, text string) (registered, error) {
	body, err := json.Marshal(map[string]string{"schema": text})
	if err != nil {
		return registered{}, err
	}
	answer, err := http.Post(p.http+"/subjects/"+subject+"/versions", "application/json", bytes.NewReader(body))
	if err != nil {
		return registered{}, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", answer.StatusCode, b)
	}
	var r registered
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// TestKillsLoseNothing lets 32 writers register the same and different schemas while the server is
// killed again and again: one id per schema, no version missing, nothing acknowledged lost or changed.
// KELP_TORTURE_SECONDS makes it longer.
func TestKillsLoseNothing(t *testing.T) {
	seconds := 8
	if s, err := strconv.Atoi(os.Getenv("KELP_TORTURE_SECONDS")); err == nil {
		seconds = s
	}
	p := start(t)
	h := &history{ids: map[string]int{}, texts: map[int]string{}, at: map[string]map[int]string{}}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for time.Now().Before(end) {
				subject := fmt.Sprintf("s%d", rng.IntN(4))
				text := fmt.Sprintf(`{"type":"record","name":"R","fields":[{"name":"f%d","type":"int","default":0}]}`, rng.IntN(400))
				r, err := p.register(subject, text)
				if err != nil {
					time.Sleep(time.Millisecond) // the server is away; the outcome is unknown
					continue
				}
				if err := h.told(subject, text, r.ID, r.Version); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	kills := 0
	for time.Now().Before(end) {
		time.Sleep(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		if err := p.broker.Kill(); err != nil {
			t.Fatal(err)
		}
		kills++
		if err := p.broker.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	p.checkHistory(t, h)
	t.Logf("%d kills, %d answers, %d schemas", kills, h.count, len(h.ids))
	if h.count == 0 || kills == 0 {
		t.Error("nothing was tried")
	}
}

func (p *place) checkHistory(t *testing.T, h *history) {
	t.Helper()
	for id, text := range h.texts {
		var got registered
		if status := p.get(t, fmt.Sprintf("/schemas/ids/%d", id), &got); status != http.StatusOK || got.Schema != text {
			t.Errorf("id %d is %q now, %q was acknowledged", id, got.Schema, text)
		}
	}
	for subject, versions := range h.at {
		var numbers []int
		p.get(t, "/subjects/"+subject+"/versions", &numbers)
		seen := map[string]bool{}
		for i, n := range numbers {
			var got registered
			p.get(t, fmt.Sprintf("/subjects/%s/versions/%d", subject, n), &got)
			if n != i+1 || seen[got.Schema] {
				t.Errorf("%s has a gap or a repetition at version %d", subject, n)
			}
			seen[got.Schema] = true
			if text, acknowledged := versions[n]; acknowledged && text != got.Schema {
				t.Errorf("version %d of %s is %s now, %s was acknowledged", n, subject, got.Schema, text)
			}
			delete(versions, n)
		}
		if len(versions) > 0 {
			t.Errorf("versions %v of %s were acknowledged and are gone", versions, subject)
		}
	}
}
