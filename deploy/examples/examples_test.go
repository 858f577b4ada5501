// Package examples holds what the examples promise: that an API server takes them, that they say what a GPU server needs, and that the
// replicas are left to the controller. cmd/gpuscaler checks their annotations, and test/e2e applies them.
package examples

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/gpuscaler/gpuscaler/metrics"
)

// manifests are the examples, one a file.
func manifests(t *testing.T) []string {
	t.Helper()
	single, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("*/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := slices.Concat(single, folders)
	if len(files) < 6 {
		t.Fatalf("found %q, want six examples at least", files)
	}
	return files
}

// read reads a manifest as strictly as kubectl apply --validate=strict.
func read(t *testing.T, file string) []runtime.Object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var objects []runtime.Object
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, object)
	}
}

// Each is a Deployment that could run so, and whoever copies it copies no mistake.
func TestExamples(t *testing.T) {
	for _, file := range manifests(t) {
		t.Run(file, func(t *testing.T) {
			deployments := 0
			for _, object := range read(t, file) {
				switch o := object.(type) {
				case *appsv1.Deployment:
					deployments++
					sound(t, o)
				case *corev1.Service, *corev1.ServiceAccount:
				default:
					t.Errorf("a %T is no part of an example", o)
				}
			}
			if deployments != 1 {
				t.Errorf("%d Deployments, want one", deployments)
			}
		})
	}
}

// sound looks at what is easily forgotten.
func sound(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	if d.Spec.Replicas != nil {
		t.Errorf("spec.replicas is %d: each apply would reset what is scaled", *d.Spec.Replicas)
	}
	if d.Namespace != "" {
		t.Errorf("the namespace is %s: that is for whoever applies it to say", d.Namespace)
	}
	if len(d.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%d containers, want one", len(d.Spec.Template.Spec.Containers))
	}
	c := &d.Spec.Template.Spec.Containers[0]
	if _, tag, found := strings.Cut(c.Image, ":"); !found || tag == "latest" {
		t.Errorf("the image %s has no version", c.Image)
	}
	if gpus := c.Resources.Requests["nvidia.com/gpu"]; gpus.IsZero() || !gpus.Equal(c.Resources.Limits["nvidia.com/gpu"]) {
		t.Errorf("the GPUs are %v, and the limit has to be the same", c.Resources)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
		t.Error("it requests no CPU or memory")
	}
	if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil {
		t.Error("a probe is missing: without one a pod is ready before its model is loaded, or a load is ended half-way")
	}
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		t.Error("no preStop: requests are lost when it shrinks")
	}
}

// The DCGM guide in six lines is six lines.
func TestSixLines(t *testing.T) {
	for _, object := range read(t, "dcgm.yaml") {
		if d, ok := object.(*appsv1.Deployment); ok && len(d.Annotations) != 6 {
			t.Errorf("%d annotations, want 6: %v", len(d.Annotations), d.Annotations)
		}
	}
}

// The file of queries is one that the program takes, and has what the Deployment beside it names.
func TestQueries(t *testing.T) {
	text, err := os.ReadFile("scale-to-zero/queries.yaml")
	if err != nil {
		t.Fatal(err)
	}
	queries, err := metrics.ParseQueries(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, found := queries["gateway-queue"]; !found || len(queries) != 1 {
		t.Errorf("queries are %v, want gateway-queue", queries)
	}
}
