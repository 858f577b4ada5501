package fleet

import (
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// rig is a fleet without an API server: its node is really there, and the test puts loaded pods on it.
func rig(t *testing.T, opts Options) *Fleet {
	t.Helper()
	if opts.Log == nil {
		opts.Log = t.Logf
	}
	f, err := newFleet(nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

func rigNode(t *testing.T, f *Fleet, gpus, slices int) *node {
	t.Helper()
	n := &node{name: "gpu-0", devices: gpus, slices: slices}
	if err := f.start(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// rigPod is a ready pod with one GPU.
func rigPod(t *testing.T, n *node, f *Fleet, name string, annotations map[string]string) *podRun {
	t.Helper()
	return place(t, n, f, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name), Annotations: annotations},
		Spec:       corev1.PodSpec{NodeName: n.name, Containers: []corev1.Container{container("server", 1)}},
	})
}

func metaOf(name string, uid types.UID) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ml", Name: name, UID: uid}
}

func container(name string, gpus int64) corev1.Container {
	c := corev1.Container{Name: name}
	if gpus > 0 {
		c.Resources.Limits = corev1.ResourceList{GPUResource: *resource.NewQuantity(gpus, resource.DecimalSI)}
	}
	return c
}

func place(t *testing.T, n *node, f *Fleet, pod *corev1.Pod) *podRun {
	t.Helper()
	run := newPodRun(f, n, pod)
	if !n.admit(run) {
		t.Fatalf("node %s has no room for pod %s", n.name, pod.Name)
	}
	f.mu.Lock()
	f.pods[pod.UID] = run
	f.mu.Unlock()
	run.mark(true, true)
	run.startEngine()
	t.Cleanup(func() { leave(run) })
	return run
}

// leave ends a pod.
func leave(run *podRun) {
	run.cancel()
	run.stopEngine()
	run.node.release(run)
	run.fleet.mu.Lock()
	delete(run.fleet.pods, run.uid)
	run.fleet.mu.Unlock()
}

// order changes an annotation of a running pod.
func order(run *podRun, key, value string) {
	run.mu.Lock()
	pod := run.pod.DeepCopy()
	run.mu.Unlock()
	annotations := maps.Clone(pod.Annotations)
	annotations[key] = value
	pod.Annotations = annotations
	run.set(pod)
}

// patient is a client with neither caches nor redirects, that takes bodies as they are sent.
var patient = &http.Client{
	Timeout:       30 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func get(t *testing.T, url string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := patient.Do(request)
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

// scrape reads a whole exposition.
func scrape(t *testing.T, url string) []byte {
	t.Helper()
	response, err := get(t, url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return body
}
