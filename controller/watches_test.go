package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// owned makes the metadata of an object with a controlling owner.
func owned(ns, name, kind, owner string) metav1.ObjectMeta {
	controller := true
	return metav1.ObjectMeta{
		Namespace: ns, Name: name, UID: types.UID(ns + "/" + name),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner, UID: types.UID(ns + "/" + owner), Controller: &controller}},
	}
}

// apiDeployment makes a Deployment as the API has it.
func apiDeployment(ns, name string, replicas int32, annotations map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID(ns + "/" + name), ResourceVersion: "1", Annotations: annotations},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas},
	}
}

// apiPod makes a ready pod as the API has it.
func apiPod(ns, name, set string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: owned(ns, name, "ReplicaSet", set),
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon)},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon.Add(time.Minute))},
		}},
	}
}

// controllerOn makes a Controller on a client.
func controllerOn(t *testing.T, client kubernetes.Interface, change ...func(*Options)) *Controller {
	t.Helper()
	reader := &fakeReader{}
	reader.set(policy.RunningRequests, 50)
	o := Options{Client: client, Signals: reader, Settings: policy.Settings{Interval: 5 * time.Second, MaxSampleAge: 90 * time.Second}}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.scaler = &fakeScaler{}
	return c
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// names lists the workloads of a snapshot with their ready pods.
func names(s *Snapshot) string {
	var list []string
	for i := range s.Workloads {
		w := &s.Workloads[i]
		list = append(list, fmt.Sprintf("%s/%s:%d", w.Namespace, w.Name, w.Ready))
	}
	return strings.Join(list, " ")
}

// ofNodes reports whether a request is for the pods that have a node.
func ofNodes(a k8stesting.Action) bool {
	switch a := a.(type) {
	case k8stesting.ListActionImpl:
		return a.ListOptions.FieldSelector == boundPods
	case k8stesting.WatchActionImpl:
		return a.ListOptions.FieldSelector == boundPods
	}
	return false
}

func TestTargetsAndTheirPodsAreFound(t *testing.T) {
	old := apiPod("team-a", "old-1", "a-old")
	terminating := apiPod("team-a", "a-3", "a-new")
	terminating.DeletionTimestamp, terminating.Finalizers = &metav1.Time{Time: noon}, []string{"test/hold"}
	finished := apiPod("team-a", "a-4", "a-new")
	finished.Status.Phase = corev1.PodFailed
	client := fake.NewClientset(
		apiDeployment("team-a", "a", 3, asks(policy.RunningRequests)),
		apiDeployment("team-a", "plain", 3, nil),
		apiDeployment("team-b", "off", 3, asks(policy.RunningRequests, "enabled", "false")),
		&appsv1.ReplicaSet{ObjectMeta: owned("team-a", "a-old", "Deployment", "a")},
		&appsv1.ReplicaSet{ObjectMeta: owned("team-a", "a-new", "Deployment", "a")},
		&appsv1.ReplicaSet{ObjectMeta: owned("team-a", "plain-1", "Deployment", "plain")},
		old, apiPod("team-a", "a-1", "a-new"), apiPod("team-a", "a-2", "a-new"), terminating, finished,
		apiPod("team-a", "plain-1-1", "plain-1"), apiPod("team-b", "off-1", "off-rs"),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "naked"}},
	)
	c := controllerOn(t, client)
	if err := c.Sync(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := names(c.Tick(t.Context(), noon)); got != "team-a/a:3" {
		t.Errorf("workloads %q, want team-a/a with 3 ready pods", got)
	}
	for _, a := range client.Actions() {
		if a.GetResource().Resource == "pods" && a.GetNamespace() != "team-a" && !ofNodes(a) {
			t.Errorf("pods were asked for in %q, want only where there are targets", a.GetNamespace())
		}
	}

	// A Deployment opts in: the pods of its namespace are watched from then on. Another opts out and is forgotten.
	off := apiDeployment("team-b", "off", 3, asks(policy.RunningRequests))
	off.ResourceVersion = "2"
	if _, err := client.AppsV1().Deployments("team-b").Update(t.Context(), off, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	plain := apiDeployment("team-a", "a", 3, nil)
	plain.ResourceVersion = "2"
	if _, err := client.AppsV1().Deployments("team-a").Update(t.Context(), plain, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "team-b is watched and team-a no longer", func() bool {
		c.watches.mu.RLock()
		defer c.watches.mu.RUnlock()
		return c.watches.members["team-b"] != nil && c.watches.members["team-b"].synced() && c.watches.members["team-a"] == nil
	})
	if got := names(c.Tick(t.Context(), noon.Add(time.Minute))); got != "team-b/off:0" {
		t.Errorf("workloads %q, want team-b/off, whose pods have no ReplicaSet", got)
	}
}

func TestManyNamespacesAreWatchedAsOne(t *testing.T) {
	objects := make([]runtime.Object, 0, 3*(maxNamespaceWatches+2))
	for i := range maxNamespaceWatches {
		objects = append(objects, apiDeployment(fmt.Sprintf("team-%03d", i), "a", 1, asks(policy.RunningRequests)))
	}
	client := fake.NewClientset(objects...)
	c := controllerOn(t, client)
	if err := c.Sync(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if n := len(c.watches.members); n != maxNamespaceWatches {
		t.Fatalf("%d namespaces watched, want %d one by one", n, maxNamespaceWatches)
	}
	for _, o := range []runtime.Object{
		&appsv1.ReplicaSet{ObjectMeta: owned("extra", "a-1", "Deployment", "a")}, apiPod("extra", "a-1-1", "a-1"),
		apiDeployment("extra", "a", 1, asks(policy.RunningRequests)),
	} {
		if err := client.Tracker().Add(o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one watch of everything", func() bool {
		c.watches.mu.RLock()
		defer c.watches.mu.RUnlock()
		return len(c.watches.members) == 1 && c.watches.members[""] != nil
	})
	if w := c.Tick(t.Context(), noon).Find("extra", "a"); w == nil || w.Ready != 1 {
		t.Errorf("workload %+v, want extra/a with its pod", w)
	}
}

func TestNamespacesCanBeListedOrSelected(t *testing.T) {
	namespace := func(name, gpu string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"gpu": gpu}}}
	}
	objects := []runtime.Object{namespace("a", "yes"), namespace("b", "no"), namespace("c", "yes")}
	for _, ns := range []string{"a", "b", "c"} {
		objects = append(objects, apiDeployment(ns, "d", 1, asks(policy.RunningRequests)))
	}
	for want, change := range map[string]func(*Options){
		"a/d:0 b/d:0 c/d:0": func(*Options) {},
		"a/d:0 b/d:0":       func(o *Options) { o.Namespaces = []string{"b", "a", "b"} },
		"a/d:0 c/d:0":       func(o *Options) { o.NamespaceSelector = labels.SelectorFromSet(labels.Set{"gpu": "yes"}) },
		"b/d:0":             func(o *Options) { o.Select = func(namespace, _ string) bool { return namespace == "b" } },
	} {
		c := controllerOn(t, fake.NewClientset(objects...), change)
		if err := c.Sync(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if got := names(c.Tick(t.Context(), noon)); got != want {
			t.Errorf("workloads %q, want %q", got, want)
		}
	}
}

func TestSyncSaysWhatCannotBeListed(t *testing.T) {
	client := fake.NewClientset(apiDeployment("team-a", "a", 1, asks(policy.RunningRequests)))
	client.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("pods is forbidden: no right")
	})
	c := controllerOn(t, client)
	err := c.Sync(t.Context(), 500*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "listing Pods of namespace team-a") || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("error %v, want it to name pods of team-a and the reason", err)
	}
	if message := c.Tick(t.Context(), noon).Workloads[0].Message(); !strings.Contains(message, "listing Pods of namespace team-a: pods is forbidden") {
		t.Errorf("message %q, want the reason", message)
	}
}

// A list that expires between its pages is asked for as a whole. Half of it would look like a cluster whose pods have gone.
func TestListThatExpiresIsReadWhole(t *testing.T) {
	const pods = pageSize + 20
	client := fake.NewClientset()
	client.PrependReactor("list", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		options := action.(k8stesting.ListActionImpl).ListOptions
		if options.Continue != "" {
			return true, nil, apierrors.NewResourceExpired("the continue token is too old")
		}
		list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
		for n := range pods {
			if options.Limit > 0 && int64(n) == options.Limit {
				list.Continue = "more"
				break
			}
			list.Items = append(list.Items, *apiPod("ns", fmt.Sprint(n), "set"))
		}
		return true, list, nil
	})
	into := &store[*pod]{}
	source := watchPods(client, "ns", into)
	go source.run(t.Context())
	eventually(t, "the first list", source.synced)
	if n := len(into.all(nil)); n != pods {
		t.Errorf("%d pods, want all %d", n, pods)
	}
}

// streamer is an API server that streams lists (WatchList) of Deployments.
type streamer struct {
	mu       sync.Mutex
	requests []string
	more     chan string
}

func (s *streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Path+" "+r.URL.Query().Get("sendInitialEvents"))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("sendInitialEvents") != "true" || !strings.HasSuffix(r.URL.Path, "/deployments") {
		http.Error(w, "only streams are served", http.StatusInternalServerError)
		return
	}
	send := func(kind, name, version, annotations string) {
		fmt.Fprintf(w, `{"type":%q,"object":{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"namespace":"ns","name":%q,"uid":"u-%s","resourceVersion":%q,"annotations":{%s}},"spec":{"replicas":3}}}`+"\n", kind, name, name, version, annotations)
		w.(http.Flusher).Flush()
	}
	const ours = `"gpuscaler.io/enabled":"true","other":"x"`
	send("ADDED", "a", "5", ours)
	send("ADDED", "plain", "7", `"other":"x"`)
	send("BOOKMARK", "", "9", `"k8s.io/initial-events-end":"true"`)
	for {
		select {
		case <-r.Context().Done():
			return
		case name := <-s.more:
			if name == "" {
				send("MODIFIED", "a", "11", `"other":"x"`)
			} else {
				send("ADDED", name, "10", ours)
			}
		}
	}
}

func TestListsAreStreamed(t *testing.T) {
	s := &streamer{more: make(chan string)}
	server := httptest.NewServer(s)
	defer server.Close()
	client, err := ClientFor(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	into := &store[*deployment]{}
	source := watchDeployments(client, "", into)
	go source.run(ctx)
	eventually(t, "the first list", source.synced)
	d := into.get(key{"ns", "a"})
	if len(into.all(nil)) != 1 || d == nil || d.replicas != 3 || d.version != "5" || len(d.annotations) != 1 {
		t.Errorf("stored %+v, want only a with our annotation", d)
	}
	s.more <- "b"
	eventually(t, "b is there", func() bool { return into.get(key{"ns", "b"}) != nil })
	s.more <- "" // a opts out
	eventually(t, "a is gone", func() bool { return into.get(key{"ns", "a"}) == nil })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) != 1 {
		t.Errorf("requests %q, want one stream", s.requests)
	}
}

func TestPodsAreNarrowed(t *testing.T) {
	limits := func(n string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(n), "cpu": resource.MustParse("4")}}
	}
	always := corev1.ContainerRestartPolicyAlways
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus, reason string, at int) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(noon.Add(time.Duration(at) * time.Second))}
	}
	begin := noon.Unix()
	for name, tt := range map[string]struct {
		conditions []corev1.PodCondition
		phase      policy.Phase
		scheduled  int64
		since      int64
	}{
		"just created":  {nil, policy.Loading, 0, 0},
		"unschedulable": {[]corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", 3)}, policy.Unschedulable, 0, begin + 3},
		"gated":         {[]corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, "SchedulingGated", 3)}, policy.Unschedulable, 0, begin + 3},
		"loading": {[]corev1.PodCondition{
			condition(corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady", 5), condition(corev1.PodScheduled, corev1.ConditionTrue, "", 4),
		}, policy.Loading, begin + 4, begin + 4},
		"ready": {[]corev1.PodCondition{
			condition(corev1.PodReady, corev1.ConditionTrue, "", 50), condition(corev1.PodScheduled, corev1.ConditionTrue, "", 4),
		}, policy.Ready, begin + 4, begin + 50},
	} {
		api := &corev1.Pod{ObjectMeta: owned("ns", "p", "ReplicaSet", "rs"), Status: corev1.PodStatus{Conditions: tt.conditions}}
		api.Spec.Containers = []corev1.Container{{Resources: limits("2")}, {}, {Resources: limits("1")}}
		api.Spec.InitContainers = []corev1.Container{{Resources: limits("4")}, {Resources: limits("1"), RestartPolicy: &always}}
		p, keep := newPod(api)
		if !keep || p.phase != tt.phase || p.scheduled != tt.scheduled || p.since != tt.since || p.gpus != 4 || p.replicaSet != "ns/rs" {
			t.Errorf("%s: kept %v, %+v", name, keep, p)
		}
	}
}

func TestStore(t *testing.T) {
	changes := 0
	s := &store[*pod]{changed: func() { changes++ }, adopt: (&startups{}).adopt}
	owners := func(owner types.UID) int { return len(s.ownedBy(owner, nil)) }
	add := func(name string, owner types.UID) { _ = s.Add(&pod{meta: meta{"ns", name, "1"}, replicaSet: owner}) }
	add("a", "x")
	add("b", "x")
	add("a", "x") // an update
	add("b", "y") // adopted by another
	if owners("x") != 1 || owners("y") != 1 || changes != 2 {
		t.Errorf("x has %d, y has %d after %d changes; want 1, 1 and 2", owners("x"), owners("y"), changes)
	}
	_ = s.Delete(&pod{meta: meta{"ns", "a", ""}})
	_ = s.Delete(&pod{meta: meta{"ns", "unknown", ""}})
	if owners("x") != 0 || len(s.byOwner) != 1 || changes != 3 {
		t.Errorf("x has %d of %d owners after %d changes; want 0 of 1 and 3", owners("x"), len(s.byOwner), changes)
	}
	if err := s.Add("no pod"); err == nil || !strings.Contains(err.Error(), "string") {
		t.Errorf("storing a string: %v, want an error that names the type", err)
	}
	_ = s.Replace([]any{&pod{meta: meta{"ns", "c", ""}, replicaSet: "z"}}, "5")
	if owners("y") != 0 || owners("z") != 1 || !s.synced.Load() {
		t.Errorf("y has %d, z has %d; want 0 and 1", owners("y"), owners("z"))
	}
}
