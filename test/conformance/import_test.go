package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"

	autoscaling "k8s.io/api/autoscaling/v2"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// TestImport has the program import the HPAs of scenarios and wants the policies of those scenarios, and then the decisions of the
// very HPAs that were imported.
func TestImport(t *testing.T) {
	scenarios := make([]*scenario, *seeds)
	var manifest bytes.Buffer
	for seed := range scenarios {
		s := newScenario(uint64(seed))
		scenarios[seed] = s
		object := &autoscaling.HorizontalPodAutoscaler{}
		object.APIVersion, object.Kind, object.Name = "autoscaling/v2", "HorizontalPodAutoscaler", fmt.Sprintf("seed-%d", seed)
		object.Spec.ScaleTargetRef = autoscaling.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: object.Name}
		s.translate(object)
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&manifest, "---\n%s\n", text)
	}
	specs := make([]policy.Spec, len(scenarios))
	for seed, annotations := range imports(t, manifest.Bytes(), len(scenarios)) {
		specs[seed] = imported(t, scenarios[seed], annotations)
	}
	t.Run("decisions", func(t *testing.T) { playImports(t, specs[:min(len(specs), 500)]) })
}

// imports builds the program and has it import a manifest. It returns the annotations of each HPA.
func imports(t *testing.T, manifest []byte, want int) []map[string]string {
	t.Helper()
	dir := t.TempDir()
	file, program := filepath.Join(dir, "hpas.yaml"), filepath.Join(dir, "gpuscaler")
	if err := os.WriteFile(file, manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/gpuscaler")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	var stderr bytes.Buffer
	run := exec.CommandContext(t.Context(), program, "import", file, "-o", "json", "--strict") // all of it has an equivalent
	run.Stderr = &stderr
	out, err := run.Output()
	if err != nil {
		t.Fatalf("importing: %v\n%.2000s", err, stderr.String())
	}
	var report struct {
		Imports []struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Imports) != want {
		t.Fatalf("%d imports of %d HPAs", len(report.Imports), want)
	}
	var list []map[string]string
	for _, i := range report.Imports {
		list = append(list, i.Annotations)
	}
	return list
}

// imported reads annotations and wants them to say what the scenario does.
func imported(t *testing.T, s *scenario, annotations map[string]string) policy.Spec {
	t.Helper()
	spec, problems := policy.Parse(annotations, policy.Settings{MaxSampleAge: s.spec.MaxSampleAge, Interval: s.spec.Interval})
	if len(problems) > 0 {
		t.Fatalf("seed %d: %v", s.seed, problems)
	}
	if got, want := policyOf(&spec), policyOf(&s.spec); !reflect.DeepEqual(got, want) {
		t.Fatalf("seed %d: %v is\n%+v, want\n%+v", s.seed, annotations, got, want)
	}
	return spec
}

// policyOf returns what a scenario says of a Spec.
func policyOf(s *policy.Spec) [5]any {
	return [5]any{s.MinReplicas, s.MaxReplicas, targets(s.Targets), s.ScaleUp, s.ScaleDown}
}

// playImports plays scenarios with the imported policies against the HPAs.
func playImports(t *testing.T, specs []policy.Spec) {
	a, count := hpa.New(t.Context()), newTally()
	synctest.Test(t, func(t *testing.T) {
		for seed := range specs {
			r := newReplay(uint64(seed), a, count, 12)
			r.s.spec = specs[seed]
			if err := r.play(); err != nil {
				t.Fatalf("%v\n%s", err, r.tell())
			}
		}
	})
	t.Logf("%d scenarios, %d ticks", count.seeds, count.ticks)
}
