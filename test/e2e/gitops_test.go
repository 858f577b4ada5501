package e2e

import (
	"fmt"
	"testing"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// What deploy/README.md says about taking spec.replicas out of a manifest by server-side apply: the field stays if somebody else has
// changed it since, and falls to 1 if nobody has.
func TestTakingReplicasOut(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "gitops")
	manifest := func(name, replicas string) []byte {
		return fmt.Appendf(nil, `apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec: {%[3]s selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: c, image: c}]}}}
`, name, ns, replicas)
	}
	for name, c := range map[string]struct{ scaled, want int }{"scaled": {5, 5}, "untouched": {0, 1}} {
		if err := stage.Cluster.Apply(t.Context(), manifest(name, "replicas: 3,")); err != nil {
			t.Fatal(err)
		}
		d := stage.Of(t, ns, name)
		if c.scaled > 0 {
			d.Scale(c.scaled)
		}
		if err := stage.Cluster.Apply(t.Context(), manifest(name, "")); err != nil {
			t.Fatal(err)
		}
		if got := d.Replicas(); got != c.want {
			t.Errorf("%s: %d replicas, want %d", name, got, c.want)
		}
	}
}
