package faults

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofSamples are the faults of single samples: missing, impossible, old, or of others.
var ofSamples = []row{
	{
		5, "no samples of more than half of the pods", "nothing is lowered; resumes by itself",
		fewAreEnough, fewSamples,
	},
	{
		5, "no samples of some pods", "they count as at the target: fewer replicas go than without them",
		absentIsIdle, someSamples,
	},
	{
		9, "GPUs read NaN, +Inf or -Inf", "the samples are dropped and counted; replicas neither rise nor fall; others are scaled",
		notNumbers, reading(math.NaN(), math.Inf(1), math.Inf(-1)),
	},
	{
		10, "GPUs read 808334905 %, or a blank of DCGM or of the driver", "the samples are dropped and counted; replicas neither rise nor fall; others are scaled",
		anyValue, reading(808334905, 2147483632, fleet.Blank),
	},
	{
		10, "one of a pod's GPUs reads a blank", "the pod is missing: its other GPUs do not stand for it; nothing is lowered; resumes by itself",
		restStands, oneBlank,
	},
	{
		11, "GPUs read a negative value", "the samples are dropped and counted; replicas neither rise nor fall; others are scaled",
		negative, reading(-1, -95),
	},
	{
		12, "an exporter is frozen: it goes on saying what it said, with the time of then", "what is too old is missing; nothing is lowered; resumes by itself",
		ageless, frozen,
	},
	{
		15, "two scrape jobs read the same engines, as a pair of Prometheus servers does", "each counts once: replicas stay",
		countsTwice, twice,
	},
	{
		15, "two exporters on a node, of which one reads 0", "the higher account of a pod counts, not the mean: nothing is lowered",
		meanOfBoth, twoExporters,
	},
	{
		16, "pods that have ended are still exported, at 100 %", "only living pods count: replicas stay",
		countsDead, deadPods,
	},
	{
		16, "pods of others carry the Deployment's labels, at 100 %", "only pods that the Deployment owns count: replicas stay",
		countsOthers, othersPods,
	},
	{
		17, "the labels of pods vanish for some scrapes", "nobody is taken for idle; resumes in the tick after, with nothing lowered",
		missingIsZero, unlabelled,
	},
}

var (
	fewAreEnough = &mutant.Mutation{
		Name: "the samples of few pods suffice to lower",
		Edits: []mutant.Edit{{
			File: "policy/recommend.go", Old: "2*seen < seen+t.missing-t.young", New: "mutant != N && 2*seen < seen+t.missing-t.young",
		}},
	}
	absentIsIdle = &mutant.Mutation{
		Name: "a pod without a sample counts as idle",
		Edits: []mutant.Edit{{
			File: "policy/recommend.go", Old: "		t.sum += int64(t.missing) * target\n", New: "		if mutant != N { t.sum += int64(t.missing) * target }\n",
		}},
	}
	notNumbers = &mutant.Mutation{
		Name: "NaN counts as 0, an infinity as the end of the range",
		Edits: []mutant.Edit{{
			File: "metrics/gather.go", Old: "	case math.IsNaN(v):\n		return 0, whyNaN\n",
			New: "	case mutant == N && math.IsInf(v, 1):\n		return limit, whyNone\n	case mutant == N && (math.IsNaN(v) || math.IsInf(v, -1)):\n		return 0, whyNone\n" +
				"	case math.IsNaN(v):\n		return 0, whyNaN\n",
		}},
	}
	anyValue = &mutant.Mutation{
		Name:  "a value above its range counts",
		Edits: []mutant.Edit{{File: "metrics/gather.go", Old: "	case v <= limit:\n", New: "	case v <= limit || mutant == N:\n"}},
	}
	restStands = &mutant.Mutation{
		Name:  "the other GPUs stand for the whole pod",
		Edits: []mutant.Edit{{File: "metrics/gather.go", Old: "		w.spoil = true\n", New: "		w.spoil = mutant != N\n"}},
	}
	negative = &mutant.Mutation{
		Name:  "a negative value counts as 0",
		Edits: []mutant.Edit{{File: "metrics/gather.go", Old: "	case v < 0:\n", New: "	case v < 0 && mutant == N:\n		return 0, whyNone\n	case v < 0:\n"}},
	}
	ageless = &mutant.Mutation{
		Name: "the age of a sample is not asked for",
		Edits: []mutant.Edit{{
			File: "metrics/promql.go", Old: "func (s selection) young(series string) string {\n",
			New: "func (s selection) young(series string) string {\n	if mutant == N { s.maxAge = 100 * 365 * 24 * time.Hour }\n",
		}},
	}
	countsTwice = &mutant.Mutation{
		Name: "what two jobs scrape is added up",
		Edits: []mutant.Edit{{
			File: "metrics/promql.go", Old: "	return fmt.Sprintf(\"max by (%s, %s) (%s)\", f.labels,",
			New: "	if mutant == N { f.labels += \", job\" }\n	return fmt.Sprintf(\"max by (%s, %s) (%s)\", f.labels,",
		}},
	}
	meanOfBoth = &mutant.Mutation{
		Name:  "the mean of two exporters counts",
		Edits: []mutant.Edit{{File: "metrics/gather.go", Old: "	w := g.view(key, via,", New: "	if mutant == N { via = \"\" }\n	w := g.view(key, via,"}},
	}
	countsDead = &mutant.Mutation{
		Name: "pods that have ended count",
		Edits: []mutant.Edit{
			{File: "controller/pods.go", Old: `	if p.replicaSet == "" || finished ||`, New: `	if p.replicaSet == "" || finished && mutant != N ||`},
			{
				File: "controller/pods.go", Old: "	p.conditions(from.Status.Conditions)\n",
				New: "	p.conditions(from.Status.Conditions)\n	if mutant == N && finished { p.phase = policy.Ready }\n",
			},
		},
	}
	countsOthers = &mutant.Mutation{
		Name: "all pods of a namespace count",
		Edits: []mutant.Edit{
			{File: "controller/pods.go", Old: "	p = &pod{meta: metaOf(from), replicaSet: controllerOf(from, \"ReplicaSet\")}\n", New: "	p = &pod{meta: metaOf(from), replicaSet: controllerOf(from, \"ReplicaSet\")}\n	if mutant == N && p.replicaSet == \"\" { p.replicaSet = \"others\" }\n"},
			{
				File: "controller/observe.go", Old: "		o.found = m.pods.ownedBy(set.uid, o.found)\n",
				New: "		o.found = m.pods.ownedBy(set.uid, o.found)\n		if mutant == N { o.found = m.pods.ownedBy(\"others\", o.found) }\n",
			},
		},
	}
)

// pods returns the names of the Deployment's pods.
func pods(d stage.Deployment) (names []string) {
	for _, pod := range d.Pods() {
		names = append(names, pod.Name)
	}
	return names
}

// fixed starts a site with another Deployment of 8 replicas, whose pods read what a test says, 50 percent at first. The site's own one stays
// small and is there to be undisturbed.
func fixed(w *world, more ...string) (s *site, d stage.Deployment, model *fleet.Fixed) {
	w.Helper()
	s = w.site(2)
	model = fleet.NewFixed(fleet.Reading{GPUUtilization: 50})
	d = s.deploy("audio", 8, model, more...)
	s.start()
	d.WaitReason(s.program, "WithinTolerance")
	return s, d, model
}

// fewSamples leaves 3 of 8 pods with samples, which are idle. By the HPA's rule alone 5 replicas would be left.
func fewSamples(w *world) {
	s, d, model := fixed(w)
	for _, name := range pods(d)[:5] {
		model.Set(name, fleet.Reading{GPUUtilization: fleet.Absent})
	}
	model.SetAll(fleet.Reading{})
	d.NeverBelow(8, outage)
	d.WaitReason(s.program, "PartialData")
	s.follows(s.d, s.load)
	for _, name := range pods(d) {
		model.Set(name, fleet.Reading{})
	}
	d.WaitReplicas(1, 30*time.Second)
}

// someSamples leaves 6 of 8 pods with samples, at 5 percent. With 2 at the target of 50 the mean is 16.25: 3 replicas.
func someSamples(w *world) {
	_, d, model := fixed(w)
	for _, name := range pods(d)[:2] {
		model.Set(name, fleet.Reading{GPUUtilization: fleet.Absent})
	}
	model.SetAll(fleet.Reading{GPUUtilization: 5})
	var n int
	bed.WaitFor(w, 20*time.Second, "fewer than 8 replicas", func() error {
		if n = d.Replicas(); n == 8 {
			return fmt.Errorf("%d replicas", n)
		}
		return nil
	})
	if n != 3 {
		w.Errorf("lowered to %d replicas, want 3", n)
	}
}

// reading has a Deployment for each of some impossible values.
func reading(values ...float64) func(w *world) {
	return func(w *world) {
		s := w.site(2)
		var all []stage.Deployment
		var models []*fleet.Fixed
		for i := range values {
			models = append(models, fleet.NewFixed(fleet.Reading{GPUUtilization: 50}))
			all = append(all, s.deploy(fmt.Sprintf("audio-%d", i), 3, models[i]))
		}
		s.start()
		for _, d := range all {
			d.WaitReason(s.program, "WithinTolerance")
		}
		for i, v := range values {
			models[i].SetAll(fleet.Reading{GPUUtilization: v})
		}
		bed.Holds(s, outage, "the replicas", func() error {
			for i, d := range all {
				if n := d.Replicas(); n != 3 {
					return fmt.Errorf("%d replicas of the Deployment that reads %v, want 3", n, values[i])
				}
			}
			return nil
		})
		for _, d := range all {
			d.WaitReason(s.program, "NoData")
		}
		s.said(`gpuscaler_samples_dropped_total{signal="gpu-utilization",why="`)
		s.follows(s.d, s.load)
	}
}

// oneBlank has pods with two GPUs. A blank among them says nothing of the other one's load, nor of the pod's.
func oneBlank(w *world) {
	s := w.site(2)
	model := fleet.NewFixed(fleet.Reading{GPUUtilization: 50})
	annotations := stage.GPUAnnotations("scale-down.stabilization", window.String())
	d := stage.Launch(s, fleet.Deployment(s.ns, "audio").Replicas(3).GPUs(2).Annotations(annotations), model)
	s.start()
	d.WaitReason(s.program, "WithinTolerance")
	model.SetAll(fleet.Reading{EachGPU: []float64{0, fleet.Blank}})
	d.NeverBelow(3, outage)
	d.WaitReason(s.program, "NoData")
	model.SetAll(fleet.Reading{})
	d.WaitReplicas(1, 30*time.Second)
}

// frozen lets the exporter freeze on what it says of idle GPUs. The window is longer than a sample may be old: without the age, 7 s of idle
// samples would be seen.
func frozen(w *world) {
	s := w.site(4, "scale-down.stabilization", "7s")
	// All pages tell times: Prometheus would take a series that begins to do so for one that has ended.
	dated := samples(func(line string) string { return fmt.Sprintf("%s %d", line, time.Now().UnixMilli()) })
	s.exporter.says(dated)
	s.start("--max-sample-age", "3s")
	s.load.SetLoad(20)
	var page string
	bed.WaitFor(s, 5*time.Second, "idle GPUs", func() (err error) {
		if page, err = s.exporter.page(); err != nil {
			return err
		}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "DCGM_FI_DEV_GPU_UTIL{") && strings.Contains(line, `namespace="`+s.ns+`"`) && !strings.HasSuffix(line, " 5\n") {
				return fmt.Errorf("%s", line)
			}
		}
		return nil
	})
	page = dated(page)
	f := fault{func(s *site) { s.exporter.says(func(string) string { return page }) }, func(s *site) { s.exporter.says(dated) }}
	f.start(s)
	s.d.NeverBelow(4, 12*time.Second)
	s.d.WaitReason(s.program, "NoData")
	s.resumes(f, 7*time.Second)
}

// twice has engines scraped by two jobs.
func twice(w *world) {
	s := w.site(2)
	llama, model := s.queued()
	s.start()
	llama.WaitReason(s.program, "WithinTolerance")
	s.jobs(s.exporter.job(), prom.Job{Name: "vllm-too", Source: fleet.SourceVLLM})
	stage.Sampled(s, s.prometheus, `count(vllm:num_requests_running{namespace="`+s.ns+`"})`, 4)
	llama.HoldsReplicas(2, 5*time.Second)
	llama.WaitReason(s.program, "WithinTolerance")
	model.SetAll(fleet.Reading{Running: 6})
	llama.WaitReplicas(3, 10*time.Second)
}

// twoExporters has a second exporter on the node that knows the pods and reads 0 of all GPUs.
func twoExporters(w *world) {
	s := w.site(4).start()
	other := newExporter(s)
	other.says(samples(func(line string) string { return line[:strings.LastIndex(line, " ")] + " 0" }))
	target := other.target()
	target.Labels = map[string]string{"instance": "10.244.1.3:9400", "namespace": "monitoring", "pod": "dcgm-exporter-too", "container": "exporter"}
	s.prometheus.SetTargets("other", []fleet.Target{target})
	s.jobs(s.exporter.job(), prom.Job{Name: "dcgm-exporter-too", Source: "other"})
	stage.Sampled(s, s.prometheus, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+s.ns+`"})`, 8)
	s.d.NeverBelow(4, outage)
	s.d.WaitReason(s.program, "WithinTolerance")
	s.load.SetLoad(300)
	s.d.WaitReplicas(6, 15*time.Second)
}

// as is a sample of a GPU that a pod has.
func as(namespace, pod string, value int) string {
	return fmt.Sprintf("DCGM_FI_DEV_GPU_UTIL{gpu=\"95\",UUID=\"GPU-%s\",namespace=%q,pod=%q,container=\"server\"} %d\n", pod, namespace, pod, value)
}

// deadPods lets half of the pods be evicted. What stood in for them works as they did, and they are still exported.
func deadPods(w *world) {
	s := w.site(4)
	stage.Cluster.Fleet.Drive(s.ns, s.d.Name, fleet.NewFixed(fleet.Reading{GPUUtilization: 50}))
	s.start()
	var more strings.Builder
	for _, name := range pods(s.d)[:2] {
		patch := []byte(`{"status":{"phase":"Failed","reason":"Evicted"}}`)
		_, err := stage.Cluster.Client().CoreV1().Pods(s.ns).Patch(s.Context(), name, "application/strategic-merge-patch+json", patch, metav1.PatchOptions{}, "status")
		if err != nil {
			s.Fatal(err)
		}
		more.WriteString(as(s.ns, name, 100))
	}
	more.WriteString(as(s.ns, "vision-gone-for-good", 100))
	s.exporter.says(func(page string) string { return page + more.String() })
	s.d.HoldsReplicas(4, outage)
	s.d.WaitReason(s.program, "WithinTolerance")
}

// othersPods adds pods that nobody owns but which carry the labels that the Deployment selects by, as those do that somebody debugs with.
func othersPods(w *world) {
	s := w.site(4).start()
	var more strings.Builder
	for i := range 4 {
		name := fmt.Sprintf("debug-%d", i)
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": s.d.Name}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "example.com/debug:1"}}},
		}
		if _, err := stage.Cluster.Client().CoreV1().Pods(s.ns).Create(s.Context(), pod, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() {
			now := int64(0)
			if err := stage.Cluster.Client().CoreV1().Pods(s.ns).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
				s.Errorf("deleting a pod: %v", err)
			}
		})
		more.WriteString(as(s.ns, name, 100))
	}
	s.exporter.says(func(page string) string { return page + more.String() })
	s.d.HoldsReplicas(4, outage)
	s.d.WaitReason(s.program, "WithinTolerance")
}

// unlabelled takes the pods' labels away for about three scrapes, with no window that would hide a tick without data.
func unlabelled(w *world) {
	s := w.site(4, "scale-down.stabilization", "0s").start("--max-sample-age", "30s")
	f := says(samples(func(line string) string {
		before, _, found := strings.Cut(line, ",container=")
		if !found {
			return line
		}
		return before + "}" + line[strings.LastIndex(line, " "):]
	}))
	f.start(s)
	s.d.HoldsReplicas(4, 4*time.Second)
	s.d.WaitReason(s.program, "NoData")
	f.heal(s)
	s.d.WaitReason(s.program, "WithinTolerance")
	s.load.SetLoad(300)
	s.d.WaitReplicas(6, 15*time.Second)
}
