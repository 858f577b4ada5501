package controller

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// What one controller remembers and serves, another takes over: its windows are full at its first tick, where those of a fresh one
// are empty and hold.
func TestMemoryIsTakenOver(t *testing.T) {
	annotations := asks(policy.RunningRequests, "scale-down.stabilization", "10s", "dry-run", "true")
	start := func() *bed {
		b := newBed(t)
		b.deploy("a", 4, annotations)
		b.reader.set(policy.RunningRequests, 5)
		return b
	}
	first := start()
	for n := range 4 {
		first.tick(n)
	}
	recorder := httptest.NewRecorder()
	first.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/states", nil))
	var memory Memory
	if err := json.Unmarshal(recorder.Body.Bytes(), &memory); err != nil {
		t.Fatalf("%v in %s", err, recorder.Body)
	}

	for name, tt := range map[string]struct {
		memory  Memory
		unknown int
		desired int
	}{"taken over": {memory, 1, 1}, "nothing to take over": {Memory{}, 2, 4}} {
		second := start()
		second.deploy("other", 1, annotations)
		if unknown := second.Recall(tt.memory); unknown != tt.unknown {
			t.Errorf("%s: %d targets are unknown, want %d", name, unknown, tt.unknown)
		}
		if d := second.tick(4).Find("ns", "a").Decision; d.Desired != tt.desired {
			t.Errorf("%s: %d, want %d (%s)", name, d.Desired, tt.desired, d.Message())
		}
	}
}
