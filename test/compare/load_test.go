package compare

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
)

// TestBuiltinLoads: they can be built with every seed, need no more than the most replicas, and leave time around the hazards.
func TestBuiltinLoads(t *testing.T) {
	for _, l := range builtin() {
		for seed := range uint64(seeds) {
			if _, err := l.requests(seed + 1); err != nil {
				t.Fatal(err)
			}
			for _, h := range []hazard{outage, shortage} {
				for _, e := range h.events(l.rise(seed + 1)) {
					if e.At < 5*time.Minute || e.At+e.For > l.duration-5*time.Minute {
						t.Errorf("%s, seed %d: the %s from %v for %v is not inside %v", l.name, seed+1, h, e.At, e.For, l.duration)
					}
				}
			}
		}
	}
}

// TestSpikesDiffer: they stay apart, and no two seeds have them at the same times.
func TestSpikesDiffer(t *testing.T) {
	courses := map[[spikes]time.Duration]bool{}
	for seed := range uint64(seeds) {
		var course [spikes]time.Duration
		for k := range course {
			course[k] = spikeStart(seed+1, k)
			if k > 0 && course[k] < course[k-1]+spikeLength+rateStep {
				t.Errorf("seed %d: spike %d begins at %v, before the one at %v is over", seed+1, k, course[k], course[k-1])
			}
		}
		courses[course] = true
	}
	if len(courses) != seeds {
		t.Errorf("%d different courses of %d", len(courses), seeds)
	}
}

// TestCourse: the seed says where a trace begins; nothing is lost, and every request has its copies close by.
func TestCourse(t *testing.T) {
	trace := []serving.Request{
		{At: 0, PromptTokens: 1, OutputTokens: 1},
		{At: 30 * time.Minute, PromptTokens: 2, OutputTokens: 1},
		{At: 50*time.Minute - time.Second, PromptTokens: 3, OutputTokens: 1},
	}
	for seed, want := range map[uint64][3]time.Duration{
		1: {0, 30 * time.Minute, 50*time.Minute - time.Second},
		2: {40 * time.Minute, 20 * time.Minute, 40*time.Minute - time.Second},
		5: {10 * time.Minute, 40 * time.Minute, 10*time.Minute - time.Second},
	} {
		var count [3]int
		for _, q := range course(trace, 4, seed) {
			which := q.PromptTokens - 1
			count[which]++
			if late := q.At - want[which]; late < 0 || late > spread {
				t.Errorf("seed %d: request %d at %v, want it within %v after %v", seed, which, q.At, spread, want[which])
			}
		}
		if count != [3]int{4, 4, 4} {
			t.Errorf("seed %d: the requests came %v times, want 4 times each", seed, count)
		}
	}
}

// TestRecorded: no folder is no trace, and a folder without them is an error.
func TestRecorded(t *testing.T) {
	folder := t.TempDir()
	if loads, err := recorded(filepath.Join(folder, "absent")); err != nil || loads != nil {
		t.Errorf("without the folder: got %d loads, %v", len(loads), err)
	}
	if _, err := recorded(folder); err == nil {
		t.Error("an empty folder is no error")
	}
	for _, tr := range traces {
		text := "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
		if err := os.WriteFile(filepath.Join(folder, tr.file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loads, err := recorded(folder)
	if err != nil || len(loads) != len(traces) {
		t.Fatalf("got %d loads, %v", len(loads), err)
	}
	if _, err := loads[0].requests(seeds); err != nil {
		t.Error(err)
	}
	if _, err := loads[0].requests(seeds + 1); err == nil {
		t.Error("a seed too many is no error")
	}
}
