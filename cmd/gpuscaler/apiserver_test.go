package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
)

// apiServer answers the reads that the program sends, over HTTP as the real one does. It holds two workloads and a
// Prometheus behind its service proxy.
type apiServer struct {
	*httptest.Server
	kubeconfig string

	mu       sync.Mutex
	objects  map[string][]runtime.Object // by resource
	refused  map[string]int              // status codes by resource
	requests []string                    // METHOD path
	queries  []string                    // of Prometheus
	denied   map[string]bool             // rights, as VERB RESOURCE
	// prometheus answers its queries.
	prometheus http.HandlerFunc
	// controller answers as the running one, nil if there is none.
	controller http.HandlerFunc
}

// newAPIServer starts a server and writes a kubeconfig for it.
func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{objects: map[string][]runtime.Object{}, refused: map[string]int{}, denied: map[string]bool{}}
	s.prometheus = s.utilization
	s.workload("team", "vision", 2, map[string]string{
		"gpuscaler.io/enabled": "true", "gpuscaler.io/max-replicas": "8", "gpuscaler.io/target.gpu-utilization": "50",
	})
	s.workload("team", "broken", 1, map[string]string{"gpuscaler.io/enabled": "true", "gpuscaler.io/target.gpu-utilization": "500"})
	s.workload("team", "bystander", 1, nil)
	s.objects["nodes"] = []runtime.Object{&corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "gpu-1", UID: "uid-gpu-1", ResourceVersion: "1"},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("110")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}}
	s.service("monitoring", "prometheus", map[string]string{"app.kubernetes.io/name": "prometheus"})
	s.service("team", "vision", nil)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: laptop,
clusters: [{name: fake, cluster: {server: %q}}], users: [{name: me, user: {token: secret}}],
contexts: [{name: laptop, context: {cluster: fake, user: me, namespace: team}}]}`, s.URL)
	if err := os.WriteFile(s.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// workload adds a Deployment with its ReplicaSet and ready pods.
func (s *apiServer) workload(ns, name string, replicas int32, annotations map[string]string) {
	created := metav1.NewTime(time.Now().Add(-time.Hour))
	meta := func(name string, owners ...metav1.OwnerReference) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1", CreationTimestamp: created, OwnerReferences: owners,
		}
	}
	ownedBy := func(kind, name string) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID("uid-" + name), Controller: ptr.To(true)}
	}
	d := &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta(name),
		Spec: appsv1.DeploymentSpec{Replicas: ptr.To(replicas)},
	}
	d.Annotations = annotations
	set := &appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"}, ObjectMeta: meta(name+"-1", ownedBy("Deployment", name))}
	s.objects["deployments"] = append(s.objects["deployments"], d)
	s.objects["replicasets"] = append(s.objects["replicasets"], set)
	for i := range replicas {
		pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta(fmt.Sprintf("%s-1-%d", name, i), ownedBy("ReplicaSet", name+"-1"))}
		pod.Status.Phase = corev1.PodRunning
		for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady} {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: created})
		}
		s.objects["pods"] = append(s.objects["pods"], pod)
	}
}

// service adds a Service with port 9090.
func (s *apiServer) service(ns, name string, labels map[string]string) {
	s.objects["services"] = append(s.objects["services"], &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 9090, TargetPort: intstr.FromInt32(9090)}}},
	})
}

// refuse answers a resource with a status code from now on.
func (s *apiServer) refuse(resource string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[resource] = code
}

// versioned is what stands before namespaces and resources in a path.
var versioned = regexp.MustCompile(`^/(api/v1|apis/(apps/v1|autoscaling/v2))/`)

// ServeHTTP answers /api/v1/…, /apis/apps/v1/… and the HPAs of /apis/autoscaling/v2/….
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	parts := strings.Split(versioned.ReplaceAllString(r.URL.Path, ""), "/")
	ns := ""
	if parts[0] == "namespaces" && len(parts) > 2 {
		ns, parts = parts[1], parts[2:]
	}
	s.mu.Lock()
	code := s.refused[parts[0]]
	s.mu.Unlock()
	switch {
	case len(parts) > 3 && parts[2] == "proxy":
		s.proxy(w, r, parts[1])
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		s.review(w, r)
	case r.URL.Path == "/version":
		writeObject(w, map[string]string{"gitVersion": "v1.37.0"})
	case r.Method != http.MethodGet:
		status(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "only reads are expected")
	case code != 0:
		status(w, code, metav1.StatusReason(http.StatusText(code)), parts[0]+" is refused")
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	default:
		only, _ := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
		s.read(w, ns, parts, only)
	}
}

// review answers who asks for their rights: they may do what is not denied.
func (s *apiServer) review(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	review, ok := object.(*authorizationv1.SelfSubjectAccessReview)
	if err != nil || !ok {
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("no review: %v", err))
		return
	}
	a := review.Spec.ResourceAttributes
	s.mu.Lock()
	defer s.mu.Unlock()
	review.Status.Allowed = !s.denied[a.Verb+" "+strings.TrimSuffix(a.Resource+"/"+a.Subresource, "/")]
	review.TypeMeta = metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}
	writeObject(w, review)
}

// proxy answers for a Service.
func (s *apiServer) proxy(w http.ResponseWriter, r *http.Request, service string) {
	switch {
	case service != "gpuscaler:8080":
		s.prometheus(w, r)
	case s.controller == nil:
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound, `services "gpuscaler" not found`)
	default:
		s.controller(w, r)
	}
}

// watch says that lists cannot be streamed, so that the client lists, and then holds watches open: nothing ever changes.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		status(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is forbidden")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// read answers with one object, or a list of all or only of those that have a name.
func (s *apiServer) read(w http.ResponseWriter, ns string, parts []string, only string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []runtime.Object{}
	kind := ""
	for _, o := range s.objects[parts[0]] {
		m := o.(metav1.Object)
		kind = o.GetObjectKind().GroupVersionKind().Kind
		if len(parts) > 1 && m.GetNamespace() == ns && m.GetName() == parts[1] {
			writeObject(w, o)
			return
		}
		if (ns == "" || m.GetNamespace() == ns) && (only == "" || m.GetName() == only) {
			items = append(items, o)
		}
	}
	if len(parts) > 1 {
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", parts[0], parts[1]))
		return
	}
	version := "v1"
	if parts[0] == "deployments" || parts[0] == "replicasets" {
		version = "apps/v1"
	}
	if kind == "" {
		kind = map[string]string{"resourcequotas": "ResourceQuota", "limitranges": "LimitRange"}[parts[0]]
	}
	writeObject(w, map[string]any{"apiVersion": version, "kind": kind + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": items})
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: message,
	})
}

func writeObject(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}

// utilization answers as a Prometheus in which the pods of vision run at 100 percent, now and in the past.
func (s *apiServer) utilization(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.queries = append(s.queries, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	now := float64(time.Now().UnixMilli()) / 1000
	series, kind := []map[string]any{}, "vector"
	if strings.Contains(r.FormValue("query"), "team") {
		for i := range 2 {
			one := map[string]any{
				"metric": map[string]string{"namespace": "team", "pod": fmt.Sprintf("vision-1-%d", i), "UUID": "GPU-1", "source": "DCGM_FI_DEV_GPU_UTIL"},
				"value":  []any{now, "100"},
			}
			if strings.HasSuffix(r.URL.Path, "query_range") {
				one["values"], kind = []any{[]any{now - 60, "100"}, []any{now - 30, "100"}}, "matrix"
				delete(one, "value")
			}
			series = append(series, one)
		}
	}
	writeObject(w, map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": series}})
}

// mutations are the requests that are no reads.
func (s *apiServer) mutations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, r := range s.requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasSuffix(r, "/selfsubjectaccessreviews") {
			found = append(found, r)
		}
	}
	return found
}

// awaitText reads until a text has come, and returns all that was read.
func awaitText(t *testing.T, from io.Reader, want string) (text string) {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		var text strings.Builder
		buffer := make([]byte, 1024)
		for {
			n, err := from.Read(buffer)
			text.Write(buffer[:n])
			if err != nil || strings.Contains(text.String(), want) {
				found <- text.String()
				return
			}
		}
	}()
	select {
	case text = <-found:
		if !strings.Contains(text, want) {
			t.Fatalf("%q never came, only:\n%s", want, text)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%q did not come within 20 s", want)
	}
	return text
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come within 20 s", what)
		}
	}
}
