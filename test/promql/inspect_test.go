package promql

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// TestCensus counts series of every source, and those that name no pod.
func TestCensus(t *testing.T) {
	p := newServer(t, database{
		dcgm(util, "e-1", "a", "0"):                                  last(50),
		dcgm(util, "e-1", "b", "1"):                                  last(50),
		util + `{namespace="gpu-operator",UUID="GPU-2"}`:             last(0),
		util + `{exported_pod="c",UUID="GPU-3"}`:                     last(0),
		prof + `{UUID="GPU-4"}`:                                      last(0.5),
		engine(vqueue, "ml", "a", ""):                                last(1),
		engine("vllm:num_requests_waiting_by_reason", "ml", "a", ""): last(1), // without reason="capacity" it is not the source
	}, false).reader(false)
	census, err := p.Census(t.Context(), policy.GPUUtilization)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(census.Present), fmt.Sprintf("[{%s 4 2} {%s 1 1}]", util, prof); got != want || !census.ServerTime.Equal(now) {
		t.Errorf("got %s at %v, want %s at %v", got, census.ServerTime, want, now)
	}
	census, err = p.Census(t.Context(), policy.QueueDepth)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(census.Present), fmt.Sprintf("[{%s 1 0}]", vqueue); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if census, err = p.Census(t.Context(), policy.TTFTP95); err != nil || len(census.Present) > 0 {
		t.Errorf("no series: got %v, %v", census, err)
	}
	if at, err := p.Clock(t.Context()); err != nil || !at.Equal(now) {
		t.Errorf("the server's clock: got %v, %v, want %v", at, err, now)
	}
}

// TestGPUPods tells pods that share a GPU from one that two exporters read.
func TestGPUPods(t *testing.T) {
	part := func(pod, instance string) string {
		return fmt.Sprintf(`%s{namespace="ml",pod=%q,UUID="GPU-9",GPU_I_ID=%q,GPU_I_PROFILE="1g.10gb"}`, used, pod, instance)
	}
	p := newServer(t, database{
		dcgm(used, "e-1", "a", "0"):                         last(50),
		dcgm(used, "e-1", "b", "0"):                         last(50), // time slicing: the same GPU
		dcgm(used, "e-1", "alone", "1"):                     last(50),
		dcgm(used, "e-2", "alone", "1"):                     last(50),
		used + `{namespace="ml",pod="plain",UUID="GPU-5"}`:  last(1),
		used + `{namespace="vision",pod="v",UUID="GPU-5"}`:  last(1),
		used + `{namespace="other",pod="o-1",UUID="GPU-6"}`: last(1),
		used + `{namespace="other",pod="o-2",UUID="GPU-6"}`: last(1),
		used + `{UUID="GPU-7"}`:                             last(1),
		part("m-1", "3"):                                    last(1),
		part("m-2", "4"):                                    last(1),
	}, false).reader(false)
	found, err := p.GPUPods(t.Context(), []string{"ml", "vision"})
	if err != nil {
		t.Fatal(err)
	}
	var shared, mig []string
	for key, n := range found.Shared {
		shared = append(shared, fmt.Sprintf("%s/%s %d", key.Namespace, key.Pod, n))
	}
	for key := range maps.Keys(found.MIG) {
		mig = append(mig, key.Pod)
	}
	slices.Sort(shared)
	slices.Sort(mig)
	if got, want := fmt.Sprint(shared, mig), "[ml/a 2 ml/b 2 ml/plain 2 vision/v 2] [m-1 m-2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCadence sees through scrapes at which interval the values change.
func TestCadence(t *testing.T) {
	const power = "DCGM_FI_DEV_POWER_USAGE"
	readings := func(scrape, change, span int) []scraped {
		var samples []scraped
		for ago := span; ago > 0; ago -= scrape {
			samples = append(samples, scraped{time.Duration(ago) * time.Second, float64((span - ago) / change)})
		}
		return samples
	}
	for _, c := range []struct {
		name                 string
		scrape, change, span int
		want                 metrics.Cadence
	}{
		{"DCGM's default", 15, 30, 590, metrics.Cadence{Scrape: 15 * time.Second, Change: 30 * time.Second}},
		{"as fast as it is scraped", 5, 5, 590, metrics.Cadence{Scrape: 5 * time.Second, Change: 5 * time.Second}},
		{"a young series", 5, 30, 240, metrics.Cadence{Scrape: 5 * time.Second, Change: 30 * time.Second}},
		{"too young", 15, 30, 60, metrics.Cadence{}},
		{"a value that does not change", 15, 10000, 590, metrics.Cadence{Scrape: 15 * time.Second}},
	} {
		p := newServer(t, database{power + `{UUID="GPU-1"}`: readings(c.scrape, c.change, c.span)}, false).reader(false)
		if got, err := p.Cadence(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}
