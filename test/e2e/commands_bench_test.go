package e2e

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// BenchmarkCommands is what a person waits for in a namespace with 100 Deployments: each of the commands once, as the viewer and with
// nothing cached, without a running controller.
func BenchmarkCommands(b *testing.B) {
	const deployments = 100
	ns := stage.Namespace(b, "hundred")
	p := stage.StartPrometheus(b, false)
	if err := stage.Cluster.Fleet.AddNode(b.Context(), "hundred", deployments); err != nil {
		b.Fatal(err)
	}
	for i := range deployments {
		builder := fleet.Deployment(ns, fmt.Sprintf("model-%03d", i)).Annotations(stage.GPUAnnotations())
		if _, err := builder.Create(b.Context(), stage.Cluster.Client()); err != nil {
			b.Fatal(err)
		}
	}
	bed.WaitFor(b, time.Minute, "100 ready pods", func() error {
		list, err := stage.Cluster.Client().CoreV1().Pods(ns).List(b.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		return bed.Want("ready pods", stage.Count(list.Items, "Ready", "True", ""), deployments)
	})
	for _, args := range [][]string{
		{"get"}, {"plan"}, {"explain", "deployment/model-042"}, {"doctor"},
	} {
		b.Run(args[0], func(b *testing.B) {
			args := append(args, "-n", ns, "--kubeconfig", stage.Cluster.Viewer)
			if args[0] != "get" {
				args = append(args, "--prometheus-url", p.URL())
			}
			for b.Loop() {
				if out, errs, code := stage.Command(b, args...); code == 2 || out == "" {
					b.Fatalf("exit code %d\n%s\n%s", code, out, errs)
				}
			}
		})
	}
}
