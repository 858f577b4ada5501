package admission

import (
	"encoding/json"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// value is what an annotation is set to; nil takes it away.
func value(text string) *string { return &text }

// TestOfBefore changes Deployments that had mistakes before the policy came: it looks only at what is written now.
func TestOfBefore(t *testing.T) {
	for _, c := range []struct {
		what, name string
		change     map[string]*string
		want       string
	}{
		{"another key", "two-mistakes", map[string]*string{"paused": value("true")}, ""},
		{"a key of others", "two-mistakes", map[string]*string{"example.com/x": value("y")}, ""},
		{"one mistake less", "two-mistakes", map[string]*string{"colour": nil}, ""},
		{"one mistake corrected", "two-mistakes", map[string]*string{"target.queue-depth": value("4")}, ""},
		{"both corrected", "two-mistakes", map[string]*string{"colour": nil, "target.queue-depth": value("4")}, ""},
		{
			"another mistake in its place", "two-mistakes",
			map[string]*string{"target.queue-depth": value("y")},
			`target.queue-depth: "y" is not allowed: give a number above 0 (waiting requests)`,
		},
		{
			"one more mistake", "two-mistakes",
			map[string]*string{"min-replicas": value("-1")},
			`min-replicas: "-1" is not allowed: give a whole number from 0 to 2147483647`,
		},
		{"what it needs is taken away", "two-mistakes", map[string]*string{"max-replicas": nil}, "max-replicas: is required: a whole number of at least 1"},
		{"switched off", "two-mistakes", map[string]*string{"enabled": value("false")}, ""},
		{"no longer switched on", "two-mistakes", map[string]*string{"enabled": nil}, ""},
		{"all of ours taken away", "two-mistakes", map[string]*string{"enabled": nil, "max-replicas": nil, "target.queue-depth": nil, "colour": nil}, ""},
		{
			"another key while two contradict each other", "crossed",
			map[string]*string{"paused": value("true")},
			`min-replicas: "8" min-replicas 8 is above max-replicas 4: min-replicas must not be above max-replicas`,
		},
		{"two that contradict each other are switched off", "crossed", map[string]*string{"enabled": value("false")}, ""},
		{"no contradiction any more", "crossed", map[string]*string{"max-replicas": value("8")}, ""},
	} {
		annotations := map[string]any{}
		for k, v := range c.change {
			if k != "example.com/x" {
				k = policy.Prefix + k
			}
			annotations[k] = v
		}
		err := change(t, c.name, map[string]any{"metadata": map[string]any{"annotations": annotations}}, metav1.DryRunAll)
		if err != nil && !apierrors.IsInvalid(err) {
			t.Fatal(err)
		}
		if got := told(err); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, got, c.want)
		}
	}
}

// TestOthersGoOn does to a Deployment with mistakes what has nothing to do with them, and not as a dry run.
func TestOthersGoOn(t *testing.T) {
	template := map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{"rolled": "out"}}}}}
	for what, act := range map[string]func() error{
		"scaling": func() error {
			return change(t, "two-mistakes", map[string]any{"spec": map[string]any{"replicas": 3}}, "", "scale")
		},
		"kubectl scale": func() error {
			scale, err := deployments.GetScale(t.Context(), "crossed", metav1.GetOptions{})
			if err != nil {
				return err
			}
			scale.Spec.Replicas = 2
			_, err = deployments.UpdateScale(t.Context(), "crossed", scale, metav1.UpdateOptions{})
			return err
		},
		"a rollout": func() error { return change(t, "two-mistakes", template, "") },
		"replicas": func() error {
			return change(t, "two-mistakes", map[string]any{"spec": map[string]any{"replicas": 1}}, "")
		},
		"a label": func() error {
			return change(t, "crossed", map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, "")
		},
		"its status": func() error {
			return change(t, "crossed", map[string]any{"status": map[string]any{"observedGeneration": 1}}, "", "status")
		},
		"its removal": func() error {
			return deployments.Delete(t.Context(), "crossed", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		},
	} {
		if err := act(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// change patches a Deployment.
func change(t *testing.T, name string, patch map[string]any, dryRun string, subresources ...string) error {
	t.Helper()
	body, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	options := metav1.PatchOptions{}
	if dryRun != "" {
		options.DryRun = []string{dryRun}
	}
	_, err = deployments.Patch(t.Context(), name, types.MergePatchType, body, options, subresources...)
	return err
}
