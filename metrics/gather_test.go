package metrics

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// row is one series of a reply: namespace, pod, exported namespace, exported pod, source, value.
type row struct {
	ns, pod, expNS, expPod, source string
	value                          float64
	idle                           bool
}

func gatherRows(t *testing.T, signal policy.Signal, rows []row) Result {
	t.Helper()
	spec, err := specOf(signal)
	if err != nil {
		t.Fatal(err)
	}
	g := newGatherer(spec)
	for _, r := range rows {
		var labels labelSet
		labels[fieldNamespace], labels[fieldPod] = r.ns, r.pod
		labels[fieldExportedNamespace], labels[fieldExportedPod] = r.expNS, r.expPod
		labels[fieldSource] = r.source
		if r.idle {
			labels[fieldIdle] = "true"
		}
		g.add(&labels, 1767225600, r.value)
	}
	return merged([]*gatherer{g})
}

// shown renders readings as "namespace/pod": "value source".
func shown(result Result) map[string]string {
	got := map[string]string{}
	for key, r := range result.Samples.All() {
		s := fmt.Sprintf("%g %s", r.Value, r.Source)
		if r.Idle {
			s += " idle"
		}
		got[key.Namespace+"/"+key.Pod] = s
	}
	return got
}

func TestGather(t *testing.T) {
	const util, prof = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
	nan := math.NaN()
	tests := []struct {
		name    string
		signal  policy.Signal
		rows    []row
		want    map[string]string
		dropped []Drop
	}{
		{
			"plain and exported labels", policy.GPUUtilization,
			[]row{
				{ns: "ml", pod: "a", source: util, value: 10},
				{expNS: "ml", expPod: "b", pod: "exporter", source: util, value: 20},
				{expNS: "ml", pod: "c", source: util, value: 30},                  // only the namespace was renamed
				{ns: "ml", expPod: "d", pod: "exporter", source: util, value: 40}, // only the pod was
			},
			map[string]string{"ml/a": "10 " + util, "ml/b": "20 " + util, "ml/c": "30 " + util, "ml/d": "40 " + util},
			nil,
		},
		{
			"mean over GPUs", policy.GPUUtilization,
			[]row{{ns: "ml", pod: "a", source: util, value: 100}, {ns: "ml", pod: "a", source: util, value: 50}},
			map[string]string{"ml/a": "75 " + util},
			nil,
		},
		{
			"sum over engines", policy.QueueDepth,
			[]row{{ns: "ml", pod: "a", source: "tgi_queue_size", value: 3}, {ns: "ml", pod: "a", source: "tgi_queue_size", value: 4}},
			map[string]string{"ml/a": "7 tgi_queue_size"},
			nil,
		},
		{
			"largest of engines", policy.KVCache,
			[]row{{ns: "ml", pod: "a", source: "sglang:token_usage", value: 30}, {ns: "ml", pod: "a", source: "sglang:token_usage", value: 40}},
			map[string]string{"ml/a": "40 sglang:token_usage"},
			nil,
		},
		{
			"two exporters on one node are not added up", policy.QueueDepth,
			[]row{
				{expNS: "ml", expPod: "a", pod: "x1", source: "tgi_queue_size", value: 3},
				{expNS: "ml", expPod: "a", pod: "x2", source: "tgi_queue_size", value: 4},
				{expNS: "ml", expPod: "a", pod: "x1", source: "tgi_queue_size", value: 2},
				{ns: "ml", pod: "a", source: "tgi_queue_size", value: 4},
			},
			map[string]string{"ml/a": "5 tgi_queue_size"},
			nil,
		},
		{
			"the earlier source answers, per pod", policy.GPUUtilization,
			[]row{
				{ns: "ml", pod: "a", source: prof, value: 99},
				{ns: "ml", pod: "a", source: util, value: 1},
				{ns: "ml", pod: "b", source: prof, value: 60},
			},
			map[string]string{"ml/a": "1 " + util, "ml/b": "60 " + prof},
			nil,
		},
		{
			"an impossible sample spoils the pod, and a later source steps in", policy.GPUUtilization,
			[]row{
				{ns: "ml", pod: "a", source: util, value: 50},
				{ns: "ml", pod: "a", source: util, value: 4294967295},
				{ns: "ml", pod: "b", source: util, value: -1},
				{ns: "ml", pod: "b", source: prof, value: 60},
			},
			map[string]string{"ml/b": "60 " + prof},
			[]Drop{{Negative, 1}, {OutOfRange, 1}},
		},
		{
			"one negative engine does not lower the sum", policy.QueueDepth,
			[]row{{ns: "ml", pod: "a", source: "tgi_queue_size", value: 9}, {ns: "ml", pod: "a", source: "tgi_queue_size", value: -9}},
			map[string]string{},
			[]Drop{{Negative, 1}},
		},
		{
			"no identity", policy.GPUUtilization,
			[]row{{source: util, value: 50}, {ns: "ml", source: util, value: 50}, {pod: "a", source: util, value: 50}},
			map[string]string{},
			[]Drop{{NoIdentity, 3}},
		},
		{
			"an unknown source is better than none", policy.GPUUtilization,
			[]row{{ns: "ml", pod: "a", value: 50}, {ns: "ml", pod: "b", value: 50}, {ns: "ml", pod: "b", source: prof, value: 7}},
			map[string]string{"ml/a": "50 ", "ml/b": "7 " + prof},
			nil,
		},
		{
			"idle is not missing and not NaN", policy.TTFTP95,
			[]row{
				{ns: "ml", pod: "a", source: "vllm:time_to_first_token_seconds", value: nan},
				{ns: "ml", pod: "a", source: "vllm:time_to_first_token_seconds", idle: true},
				{ns: "ml", pod: "b", source: "vllm:time_to_first_token_seconds", value: nan},
			},
			map[string]string{"ml/a": "0 vllm:time_to_first_token_seconds idle"},
			[]Drop{{NotANumber, 1}},
		},
		{
			"counts are not clamped", policy.QueueDepth,
			[]row{{ns: "ml", pod: "a", source: "tgi_queue_size", value: 4294967295}},
			map[string]string{},
			[]Drop{{OutOfRange, 1}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The order of the series says nothing.
			for seed := range uint64(20) {
				rows := slices.Clone(tt.rows)
				rand.New(rand.NewPCG(seed, 0)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
				result := gatherRows(t, tt.signal, rows)
				if got := shown(result); !maps.Equal(got, tt.want) {
					t.Fatalf("%v\n got %v\nwant %v", rows, got, tt.want)
				}
				if !reflect.DeepEqual(result.Dropped, tt.dropped) {
					t.Fatalf("dropped %v, want %v", result.Dropped, tt.dropped)
				}
			}
		})
	}
}

func TestInternerFollowsChanges(t *testing.T) {
	in := &interner{}
	rng := rand.New(rand.NewPCG(7, 7))
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("pod-%d", i))
	}
	for round := range 50 {
		switch {
		case round%10 == 9:
			rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		case len(names) > 100:
			i := rng.IntN(len(names) - 60)
			names = slices.Delete(names, i, i+rng.IntN(60))
			names = slices.Insert(names, rng.IntN(len(names)), fmt.Sprintf("new-%d", round))
		}
		for _, name := range names {
			if got := in.get([]byte(name), fieldPod); got != name {
				t.Fatalf("round %d: got %q for %q", round, got, name)
			}
		}
		in.end()
	}
}

// TestInternerAllocates shows what it is for: the same reply again costs no string.
func TestInternerAllocates(t *testing.T) {
	in := &interner{}
	names := make([][]byte, 1000)
	for i := range names {
		names[i] = fmt.Appendf(nil, "llama-5d8f9c7b6d-%d", i)
	}
	pass := func() {
		for _, name := range names {
			in.get(name, fieldPod)
		}
		in.end()
	}
	pass()
	pass()
	if allocs := testing.AllocsPerRun(10, pass); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestGatherAgain: a gatherer that is used again says what a new one says, whatever came before, and leaves alone what it said then.
func TestGatherAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	spec, err := specOf(policy.GPUUtilization)
	if err != nil {
		t.Fatal(err)
	}
	add := func(g *gatherer, pods []int, value float64) map[string]string {
		for _, pod := range pods {
			labels := labelSet{fieldNamespace: "ml", fieldPod: fmt.Sprint(pod), fieldSource: spec.sources[0].Name}
			if pod%7 == 3 {
				labels[fieldExportedPod], labels[fieldPod] = labels[fieldPod], "exporter"
			}
			v := value
			if pod%11 == 5 && value > 50 {
				v = math.NaN()
			}
			g.add(&labels, 1767225600, v)
		}
		return shown(merged([]*gatherer{g}))
	}
	again := newGatherer(spec)
	var pods []int
	for pod := range 40 {
		pods = append(pods, pod)
	}
	for reply := range 200 {
		before := again.samples()
		said := shown(Result{Samples: before})
		again.again(spec)
		switch r.IntN(6) {
		case 0: // one goes
			at := r.IntN(len(pods))
			pods = slices.Delete(pods, at, at+1)
		case 1: // one comes
			pods = slices.Insert(pods, r.IntN(len(pods)), 100+reply)
		case 2: // one has another GPU, listed beside the first or at the end
			at := r.IntN(len(pods))
			pods = slices.Insert(pods, []int{at, len(pods)}[r.IntN(2)], pods[at])
		case 3:
			i, j := r.IntN(len(pods)), r.IntN(len(pods))
			pods[i], pods[j] = pods[j], pods[i]
		}
		got, want := add(again, pods, float64(reply%100)), add(newGatherer(spec), pods, float64(reply%100))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("reply %d of %v: got\n%v\nwant\n%v", reply, pods, got, want)
		}
		if still := shown(Result{Samples: before}); !reflect.DeepEqual(still, said) {
			t.Fatalf("reply %d changed what was said before: %v, was %v", reply, still, said)
		}
	}
}
