package faults

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofTenants are the faults of one Deployment or one namespace, which must not be others'.
var ofTenants = []row{
	{
		number: 24, fault: "A policy of the cluster forbids the writes in one namespace",
		promise: "it is not tried again for a minute; others are undisturbed; once it is allowed, an edit of the annotations has it tried at once",
		guard:   noPauses, play: forbiddenByPolicy,
	},
	{
		number: 24, fault: "The rights to write in one namespace are taken away (403)",
		promise: "it is not tried again for a minute; others are undisturbed",
		guard:   noPauses, play: forbiddenByRights,
	},
	{
		number: 24, fault: "The rights to read in one namespace are taken away (403)",
		promise: "nothing is written there and it says why; others are undisturbed; with the rights back it goes on within 30 s",
		guard: &mutant.Mutation{Name: "a namespace that cannot be watched stops all", Edits: []mutant.Edit{{
			File: "controller/stale.go", Old: "	return p.stale[namespace]\n",
			New: "	for _, why := range p.stale {\n		if mutant == N { return why }\n	}\n	return p.stale[namespace]\n",
		}}},
		play: unreadable,
	},
	{
		number: 24, fault: "A policy of the cluster makes another number of what is written",
		promise: "the number that there is counts; who gets no more is not asked for it each tick; others are undisturbed",
		guard: &mutant.Mutation{Name: "a number that is not granted is asked for each tick", Edits: []mutant.Edit{{
			File: "controller/settle.go", Old: "	if o.replicas != o.from {\n", New: "	if mutant == N || o.replicas != o.from {\n",
		}}},
		play: otherNumber,
	},
	{
		number: 26, fault: "A rollout with maxSurge whose new pods crash, while the load rises",
		promise: "no more of the pods that crash; one Event says why; once the pods are mended the load is followed",
		guard: &mutant.Mutation{Name: "crash loops are fed", Edits: []mutant.Edit{{
			File: "policy/guard.go", Old: `	if seen.CrashLoop != "" {`, New: `	if mutant != N && seen.CrashLoop != "" {`,
		}}},
		play: crashingRollout,
	},
	{
		number: 29, fault: "Annotations are 200 KiB long, 1e309, -1, NaN, of a thousand years, contradictory, unknown, 10,000 policies, or no text",
		promise: "none of them is scaled, and each is told what is wrong; others are undisturbed; one that is mended is scaled at once",
		guard: &mutant.Mutation{Name: "annotations with errors are taken for what is left of them", Edits: []mutant.Edit{{
			File: "controller/asked.go", Old: "	case len(problems) == 0:\n", New: "	case mutant == N || len(problems) == 0:\n",
		}}},
		play: bombs,
	},
	{
		number: 29, fault: "An annotation breaks on a Deployment that is being scaled",
		promise: "the last good ones go on for raising only; an error in a bound stops all",
		guard: &mutant.Mutation{Name: "the last good annotations lower too", Edits: []mutant.Edit{{
			File: "controller/asked.go", Old: "		a.spec, a.raiseOnly = stand(good, &spec, annotations), policy.InvalidAnnotations\n",
			New: "		a.spec, a.raiseOnly = stand(good, &spec, annotations), policy.InvalidAnnotations\n		if mutant == N { a.raiseOnly = \"\" }\n",
		}}},
		play: breaksLater,
	},
	{
		number: 30, fault: "Deciding about one Deployment panics",
		promise: "only that one is left alone, for ten minutes, and it says so; others are undisturbed",
		guard: &mutant.Mutation{Name: "a panic over one Deployment ends the program", Edits: []mutant.Edit{
			{
				File: "controller/tick.go", Old: "	t.note = \"\"\n	if !listed {",
				New: "	t.note = \"\"\n	if t.seen.name == \"" + panics + "\" { panic(\"rigged\") }\n	if !listed {",
			},
			{
				File: "controller/tick.go", Old: "func (p *pass) contain(t *target) {\n",
				New: "func (p *pass) contain(t *target) {\n	if mutant == N { return }\n",
			},
		}},
		play: rigged(panicking),
	},
	{
		number: 30, fault: "100 Deployments that want a write appear in one moment",
		promise: "at most 24 writes are under way at once; each Deployment gets its own; others are undisturbed",
		guard: &mutant.Mutation{Name: "all writes are sent at once", Edits: []mutant.Edit{
			{File: "controller/writes.go", Old: "	for w.inFlight < w.limit {\n", New: "	for mutant == N || w.inFlight < w.limit {\n"},
			{File: "controller/writes.go", Old: "return s == nil || s.underWay < s.limit", New: "return mutant == N || s == nil || s.underWay < s.limit"},
		}},
		play: appearing,
	},
	{
		number: 30, fault: "One namespace wants 60 writes of an API server that is slow",
		promise: "others need not wait for it: the namespaces take turns",
		guard: &mutant.Mutation{Name: "a namespace with many writes goes first with all of them", Edits: []mutant.Edit{
			{
				File: "controller/lane.go", Old: "			l.jobs[namespace] = list[1:]\n			l.turns = append(l.turns, namespace)",
				New: "			l.jobs[namespace] = list[1:]\n			l.turns = append(l.turns, namespace)\n			if mutant == N { l.turns = append([]string{namespace}, l.turns[:len(l.turns)-1]...) }",
			},
			{
				File: "controller/writes.go", Old: "func (w *writes) may(namespace string) bool {\n",
				New: "func (w *writes) may(namespace string) bool {\n	if mutant == N { return true }\n",
			},
		}},
		play: takesTurns,
	},
	{
		number: 30, fault: "50 Deployments come and go",
		promise: "the metrics of the program are as few as before",
		guard: &mutant.Mutation{Name: "the series of workloads that are gone stay", Edits: []mutant.Edit{
			{
				File: "controller/instruments.go", Old: "	s := w.snapshot()\n", New: `	s := w.snapshot()
	if mutant == N {
		for i := range s.Workloads {
			seenEver[s.Workloads[i].Namespace+"/"+s.Workloads[i].Name] = s.Workloads[i]
		}
		s = &Snapshot{}
		for _, w := range seenEver {
			s.Workloads = append(s.Workloads, w)
		}
	}
`,
			},
			{
				File: "controller/instruments.go", Old: "// gauge is 1 for true.\n",
				New: "var seenEver = map[string]Workload{}\n\n// gauge is 1 for true.\n",
			},
		}},
		play: comeAndGo,
	},
}

// noPauses is the guard of all that only a person can mend.
var noPauses = &mutant.Mutation{
	Name: "what is forbidden is tried each tick",
	Edits: []mutant.Edit{{
		File: "controller/settle.go", Old: "	longest := longestPause\n", New: "	longest := longestPause\n	if mutant == N && r == forbidden { return 0 }\n",
	}},
}

// panics is the name of Deployments over which a rigged program panics.
const panics = "panics"

// neighbours are two Deployments in two namespaces that one program scales: one which is troubled, and one which must not notice.
type neighbours struct {
	*world
	gateway         *bed.Gateway
	program         *stage.Process
	load            *stage.Load // of the troubled one
	well            *stage.Load // of the other
	troubled, other stage.Deployment
}

// neighbours starts a program for two.
func (w *world) neighbours(name string) *neighbours {
	w.Helper()
	p := stage.StartPrometheus(w, false)
	n := &neighbours{world: w, load: stage.NewLoad(100), well: stage.NewLoad(100)}
	bad, good := stage.Namespace(w, "bad"), stage.Namespace(w, "good")
	n.troubled = stage.Create(w, bad, name, 2, stage.GPUAnnotations(), n.load)
	n.other = stage.Create(w, good, "other", 2, stage.GPUAnnotations(), n.well)
	var config string
	n.gateway, config = stage.Gatewayed(w)
	n.program = w.run(config, "run", "--interval", "1s", "--watch-namespace", bad, "--watch-namespace", good,
		"--prometheus-url", p.URL(), "--leader-elect=false")
	n.other.WaitReason(n.program, "WithinTolerance")
	return n
}

// says waits until the program tells that of the troubled one.
func (n *neighbours) says(words string) {
	n.Helper()
	n.troubled.WaitSays(n.program, words)
}

// undisturbed wants the other one to follow its load.
func (n *neighbours) undisturbed() {
	n.Helper()
	n.well.SetLoad(200)
	n.other.WaitReplicas(4, 10*time.Second)
}

// inNamespace are the rules of an admission policy for the writes of replicas in one namespace.
func inNamespace(ns string) string {
	return fmt.Sprintf(`{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}},
  resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments/scale]}]}`, ns)
}

// admit makes an admission policy and waits until it counts: until a trial of three replicas no longer yields three.
func (n *neighbours) admit(kind, spec, binding string) (remove func()) {
	n.Helper()
	ns := n.troubled.Namespace
	manifest := fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: %[1]s
metadata: {name: %[2]s}
spec: {failurePolicy: Fail, matchConstraints: %[3]s, %[4]s}
---
apiVersion: admissionregistration.k8s.io/v1
kind: %[1]sBinding
metadata: {name: %[2]s}
spec: {policyName: %[2]s%[5]s}
`, kind, ns, inNamespace(ns), spec, binding)
	if err := stage.Cluster.Apply(n.Context(), []byte(manifest)); err != nil {
		n.Fatal(err)
	}
	acts := func() bool {
		var made autoscalingv1.Scale
		err := stage.Cluster.Client().AppsV1().RESTClient().Patch(types.MergePatchType).Namespace(ns).Resource("deployments").Name(n.troubled.Name).
			SubResource("scale").Param("dryRun", metav1.DryRunAll).Body([]byte(`{"spec":{"replicas":4}}`)).Do(n.Context()).Into(&made)
		return err != nil || made.Spec.Replicas != 4
	}
	bed.WaitFor(n, 20*time.Second, "the policy to count", func() error { return bed.Want("counts", acts(), true) })
	return func() {
		n.Helper()
		policies := stage.Cluster.Client().AdmissionregistrationV1()
		err := policies.ValidatingAdmissionPolicyBindings().Delete(n.Context(), ns, metav1.DeleteOptions{})
		if err != nil {
			n.Fatal(err)
		}
		bed.WaitFor(n, 20*time.Second, "the policy to be gone", func() error { return bed.Want("counts", acts(), false) })
	}
}

func forbiddenByPolicy(w *world) {
	n := w.neighbours("vision")
	remove := n.admit("ValidatingAdmissionPolicy", `validations: [{expression: "object.spec.replicas <= 2", reason: Forbidden, message: no budget}]`, ", validationActions: [Deny]")
	n.load.SetLoad(200)
	bed.WaitFor(w, 20*time.Second, "the write", func() error { return bed.Want("writes", len(n.troubled.Writes()), 1) })
	n.undisturbed()
	n.says("no budget")
	n.troubled.HoldsReplicas(2, 5*time.Second)
	n.troubled.WantWrites(1)
	remove()
	n.troubled.Annotate("max-replicas", "9")
	n.troubled.WaitReplicas(4, 10*time.Second)
}

func forbiddenByRights(w *world) {
	n := w.neighbours("vision")
	var seen tries
	n.gateway.Break(func(c *bed.Call) bool { return scales(c) && c.Namespace == n.troubled.Namespace },
		seen.instead(bed.Answer(http.StatusForbidden, metav1.StatusReasonForbidden, 0)))
	n.load.SetLoad(200)
	bed.WaitFor(w, 20*time.Second, "the write", func() error { return bed.Want("writes", seen.all(), 1) })
	n.undisturbed()
	bed.Holds(w, 6*time.Second, "one write alone", func() error { return bed.Want("writes", seen.all(), 1) })
}

func unreadable(w *world) {
	n := w.neighbours("vision")
	n.troubled.WaitReason(n.program, "WithinTolerance")
	reads := func(c *bed.Call) bool {
		return c.Resource == "deployments" && c.Namespace == n.troubled.Namespace && (c.Verb == "list" || c.Verb == "watch")
	}
	n.gateway.Break(reads, bed.Answer(http.StatusForbidden, metav1.StatusReasonForbidden, 0))
	n.gateway.Cut(reads)
	n.says("watching Deployments of namespace " + n.troubled.Namespace + " fails")
	n.load.SetLoad(200)
	n.undisturbed()
	n.troubled.HoldsReplicas(2, 3*time.Second)
	n.troubled.WantWrites(0)
	n.gateway.Heal()
	n.troubled.WaitReplicas(4, 30*time.Second)
}

func otherNumber(w *world) {
	n := w.neighbours("vision")
	n.admit("MutatingAdmissionPolicy", `reinvocationPolicy: Never, matchConditions: [{name: more, expression: "object.spec.replicas > 3"}],
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "replace", path: "/spec/replicas", value: 3}]'}}]`, "")
	n.load.SetLoad(200)
	n.troubled.WaitReplicas(3, 20*time.Second)
	n.undisturbed()
	n.troubled.HoldsReplicas(3, 6*time.Second)
	n.troubled.WantWrites(2)
	n.says("the API server made 3 of it")
}

// crashAfter is longer than a tick, so that the container is often seen running between two crashes.
const crashAfter = "1500ms"

func crashingRollout(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "crash")
	load := stage.NewLoad(100)
	builder := fleet.Deployment(ns, "vision").Replicas(2).Annotations(stage.GPUAnnotations())
	builder.PodAnnotations(map[string]string{fleet.CrashAfter: crashAfter})
	surge, unavailable := intstr.FromInt32(2), intstr.FromInt32(0)
	builder.Object().Spec.Strategy = appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable},
	}
	d := stage.Launch(w, builder, load)
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	d.ChangePods(fleet.Crash, `"true"`)
	d.WaitEvent("CrashLoop", "CrashLoopBackOff", "and 1 more")

	load.SetLoad(200)
	d.HoldsReplicas(2, 8*time.Second)
	d.WaitReason(program, "CrashLoop")
	d.WantWrites(0)
	if events := d.Events("CrashLoop"); len(events) != 1 {
		w.Errorf("Events %q, want one", events)
	}

	d.ChangePods(fleet.Crash, "null")
	d.WaitReplicas(4, 30*time.Second)
}

// annotationBomb is what nobody should write into annotations, and what is said of it.
type annotationBomb struct{ annotations, says []string }

// allBombs are by the name of the Deployment that has them.
func allBombs() map[string]annotationBomb {
	const target = "target.gpu-utilization"
	return map[string]annotationBomb{
		"several":       {[]string{target, "lots", "min-replicas", "-1"}, []string{`gpuscaler.io/target.gpu-utilization: "lots" `, "a number above 0 and at most 100", `gpuscaler.io/min-replicas: "-1" `}},
		"long":          {[]string{target, strings.Repeat("9", 200<<10)}, []string{"over 16384 bytes", "gpuscaler.io/target.gpu-utilization is the longest"}},
		"overflow":      {[]string{target, "1e309"}, []string{`"1e309" `, "a number above 0"}},
		"negative":      {[]string{target, "-1"}, []string{`"-1" `, "a number above 0"}},
		"nan":           {[]string{target, "NaN"}, []string{`"NaN" `, "a number above 0"}},
		"eternal":       {[]string{"scale-down.stabilization", "9000000h"}, []string{"gpuscaler.io/scale-down.stabilization", `"9000000h" `}},
		"contradictory": {[]string{"max-replicas", "2"}, []string{"gpuscaler.io/min-replicas", "is above max-replicas 2"}},
		"unknown":       {[]string{"taget.gpu-utilization", "50"}, []string{"gpuscaler.io/taget.gpu-utilization", "is not a known key"}},
		"policies":      {[]string{"scale-up.policies", strings.Repeat("1 pods/15s, ", 10_000) + "1 pods/15s"}, []string{"gpuscaler.io/scale-up.policies is the longest"}},
		"steps":         {[]string{"steps.gpu-utilization", strings.Repeat(">1:+1, ", 10_000) + ">1:+1"}, []string{"gpuscaler.io/steps.gpu-utilization is the longest"}},
		"replaced":      {[]string{"class", "a\uFFFD"}, []string{"gpuscaler.io/class", "is not a class"}},
		"raw":           {[]string{"class", "a\xff\xfe"}, []string{"gpuscaler.io/class", "is not a class"}},
	}
}

// bombs has all of them beside a Deployment that is well. Each would be raised to its minimum if its other annotations counted.
func bombs(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "bombs")
	load := stage.NewLoad(100)
	good := stage.Create(w, ns, "good", 2, stage.GPUAnnotations(), load)
	program := w.runs(ns, p.URL())
	good.WaitReason(program, "WithinTolerance")

	// What is no text does not pass a JSON encoder as it is.
	config := stage.Cluster.AdminConfig()
	config.ContentType = "application/vnd.kubernetes.protobuf"
	binary, err := kubernetes.NewForConfig(config)
	if err != nil {
		w.Fatal(err)
	}
	placed := map[string]annotationBomb{}
	for name, annotationBomb := range allBombs() {
		builder := fleet.Deployment(ns, name).Annotations(stage.GPUAnnotations(append([]string{"min-replicas", "3"}, annotationBomb.annotations...)...))
		builder.Object().Spec.Paused = true // no pods
		if _, err := binary.AppsV1().Deployments(ns).Create(w.Context(), builder.Object(), metav1.CreateOptions{}); err != nil {
			if name != "raw" {
				w.Fatal(err)
			}
			w.Logf("the API server does not let it in: %v", err)
			continue
		}
		placed[name] = annotationBomb
	}
	load.SetLoad(200)
	good.WaitReplicas(4, 20*time.Second)
	for name := range placed {
		d := stage.Of(w, ns, name)
		if n := d.Replicas(); n != 1 || len(d.Writes()) != 0 {
			w.Fatalf("%s has %d replicas after the writes %v, want none", name, n, d.Writes())
		}
	}
	for name, annotationBomb := range placed {
		d := stage.Of(w, ns, name)
		d.WaitReason(program, "InvalidAnnotations")
		d.WaitEvent("InvalidAnnotations", annotationBomb.says...)
	}
	mended := stage.Of(w, ns, "negative")
	mended.Annotate("target.gpu-utilization", "50")
	mended.WaitReplicas(3, 10*time.Second)
}

func breaksLater(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "later")
	l := stage.NewLoad(100)
	d := stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(), l)
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	d.Annotate("scale-down.stabilization", "soon")
	d.WaitEvent("InvalidAnnotations", "scale-down.stabilization", `"soon"`)
	l.SetLoad(200)
	d.WaitReplicas(4, 15*time.Second)
	l.SetLoad(20)
	d.HoldsReplicas(4, 8*time.Second)
	d.Annotate("max-replicas", "many")
	l.SetLoad(400)
	d.HoldsReplicas(4, 5*time.Second)
}

func panicking(w *world) {
	n := w.neighbours(panics)
	n.says("left alone after a panic")
	n.load.SetLoad(200)
	n.undisturbed()
	n.troubled.HoldsReplicas(2, 3*time.Second)
	n.troubled.WantWrites(0)
	if text := string(page(w, n.program)); !strings.Contains(text, "\ngpuscaler_panics_total 1\n") {
		w.Errorf("gpuscaler_panics_total is not 1: it panics each tick")
	}
}

// page is what the program has at /metrics.
func page(w *world, p *stage.Process) []byte {
	w.Helper()
	text, err := stage.Get("http://" + p.Listen + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// label gives a namespace the label by which it is chosen.
func label(w *world, ns, value string) {
	w.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"fault":%q}}}`, value)
	if _, err := stage.Cluster.Client().CoreV1().Namespaces().Patch(w.Context(), ns, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.Fatal(err)
	}
}

// A namespace that gets the label for which the program looks brings all of its Deployments at once.
func appearing(w *world) {
	p := stage.StartPrometheus(w, false)
	load := stage.NewLoad(100)
	ns, good := stage.Namespace(w, "crowd"), stage.Namespace(w, "good")
	other := stage.Create(w, good, "other", 2, stage.GPUAnnotations(), load)
	list := crowd(w, ns, 100)
	label(w, good, ns)
	gateway, config := stage.Gatewayed(w)
	var seen tries
	gateway.Break(scales, seen.instead(bed.Late(100*time.Millisecond, nil)))
	program := w.run(config, "run", "--interval", "1s", "--watch-namespace-selector", "fault="+ns, "--prometheus-url", p.URL(), "--leader-elect=false")
	other.WaitReason(program, "WithinTolerance")
	label(w, ns, ns)
	bed.WaitFor(w, 10*time.Second, "the first writes", func() error { return bed.Want("some came", seen.all() > 0, true) })
	load.SetLoad(200)
	other.WaitReplicas(4, 20*time.Second)
	haveAll(w, list, 30*time.Second)
	if n := seen.atOnce(); n > 24 || n < 10 {
		w.Errorf("%d writes at once, want 24 at most, and not few", n)
	}
	if n := seen.all(); n != len(list)+1 {
		w.Errorf("%d writes, want one for each of %d", n, len(list)+1)
	}
}

// Both are seen in the same tick, and the one with few comes last by its name.
func takesTurns(w *world) {
	many, few := stage.Namespace(w, "a-crowd"), stage.Namespace(w, "z-few")
	list := crowd(w, many, 60)
	alone := crowd(w, few, 1)
	gateway, config := stage.Gatewayed(w)
	var seen tries
	gateway.Break(scales, seen.instead(bed.Late(300*time.Millisecond, nil)))
	w.run(config, "run", "--interval", "1s", "--watch-namespace", many, "--watch-namespace", few, "--prometheus-url", "http://127.0.0.1:1", "--leader-elect=false")
	alone[0].WaitReplicas(2, 20*time.Second)
	if n := seen.all(); n >= len(list) {
		w.Errorf("the single one was written after %d others, want it among the first", n-1)
	}
	haveAll(w, list, 30*time.Second)
}

// seriesOf is a series of the program's metrics.
var seriesOf = regexp.MustCompile(`(?m)^gpuscaler_.*$`)

func comeAndGo(w *world) {
	ns := stage.Namespace(w, "come")
	program := w.runs(ns, "http://127.0.0.1:1")
	count := func() int {
		time.Sleep(200 * time.Millisecond)
		return len(seriesOf.FindAll(page(w, program), -1))
	}
	bed.WaitFor(w, 20*time.Second, "the metrics", func() error {
		_, err := stage.Get("http://" + program.Listen + "/metrics")
		return err
	})
	before := count()
	list := crowd(w, ns, 50)
	haveAll(w, list, 30*time.Second)
	bed.WaitFor(w, 10*time.Second, "their series", func() error { return bed.Want("some for each", count() > before+4*len(list), true) })
	err := stage.Cluster.Client().AppsV1().Deployments(ns).DeleteCollection(w.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	const kinds = 30 // results and reasons that had not happened before: a closed list
	bed.WaitFor(w, 15*time.Second, "the series to go", func() error {
		if n := count(); n > before+kinds {
			return fmt.Errorf("%d series, %d before", n, before)
		}
		return nil
	})
}
