package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// explanation is what explain tells, as much of it as the test looks at.
type explanation struct {
	Source   string
	Notes    []string
	Decision struct{ Current, Desired int }
	Signals  []struct {
		Signal, Source string
		Value          *float64
		Sampled        int
		Oldest         time.Time
	}
	Changes []struct {
		Kind, Text string
		Replicas   int
	}
}

// A person with read rights alone sees why, from the running controller and without one; and all that it has decided replays.
func TestExplain(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "explain")
	load := fleet.NewShared(nil)
	load.SetLoad(100)
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations("scale-down.stabilization", "1m"), load)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	load.SetLoad(200)
	d.WaitReplicas(4, 20*time.Second)
	load.SetLoad(100)
	d.WaitReason(program, "ScaleDownStabilized")
	err := stage.Cluster.Expose(t.Context(), bed.Service{Namespace: "explain-controller", Name: "gpuscaler", Port: 8080, PortName: "http", Addr: program.Listen})
	if err != nil {
		t.Fatal(err)
	}
	const url = "kube://explain-controller/gpuscaler:8080"

	told := explains(t, ns, "--controller-url", url)
	if told.Source != "controller" || told.Decision.Current != 4 || told.Decision.Desired != 4 {
		t.Errorf("%+v", told)
	}
	byTime := false
	for _, c := range told.Changes {
		byTime = byTime || c.Kind == "time" && c.Replicas < 4
	}
	if !byTime {
		t.Errorf("that the window ends is not told: %+v", told.Changes)
	}

	computed := explains(t, ns, "--controller-url", "kube://explain-controller/nobody:8080", "--prometheus-url", p.URL(), "--interval", "1s")
	if computed.Source != "computed" || len(computed.Notes) == 0 || !strings.Contains(computed.Notes[0], "approximate") {
		t.Errorf("%+v", computed)
	}
	if len(computed.Signals) != 1 || computed.Signals[0].Oldest.IsZero() {
		t.Errorf("the age of the samples is not known: %+v", computed.Signals)
	}
	replaysAll(t, ns, url)
}

// explains runs explain as the viewer.
func explains(t *testing.T, ns string, args ...string) explanation {
	t.Helper()
	stdout, stderr, code := stage.Command(t, append([]string{"explain", "deployment/vision", "-n", ns, "-o", "json", "--kubeconfig", stage.Cluster.Viewer}, args...)...)
	var e explanation
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 0 {
		t.Fatalf("explain: code %d, %v\n%s\n%s", code, err, stdout, stderr)
	}
	if len(e.Signals) != 1 || e.Signals[0].Value == nil || e.Signals[0].Sampled != 4 || e.Signals[0].Source != "DCGM_FI_DEV_GPU_UTIL" {
		t.Errorf("signals %+v", e.Signals)
	}
	return e
}

// replaysAll fetches the history and decides everything in it again.
func replaysAll(t *testing.T, ns, url string) {
	t.Helper()
	args := []string{"explain", "deployment/vision", "-n", ns, "--controller-url", url, "--kubeconfig", stage.Cluster.Viewer, "--history", "1h"}
	table, stderr, code := stage.Command(t, args...)
	if code != 0 || !strings.Contains(table, "ReadyForNewScale") || !strings.Contains(table, "ScaleDownStabilized") {
		t.Errorf("history: code %d\n%s\n%s", code, table, stderr)
	}
	recorded, stderr, code := stage.Command(t, append(args, "-o", "json")...)
	if code != 0 {
		t.Fatalf("history: code %d\n%s", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "history.json")
	if err := os.WriteFile(file, []byte(recorded), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := stage.Command(t, "explain", "--replay", file, "-o", "json")
	var replayed struct{ Decisions, Same int }
	if err := json.Unmarshal([]byte(stdout), &replayed); err != nil || code != 0 || replayed.Decisions < 4 || replayed.Same != replayed.Decisions {
		t.Errorf("replay: code %d, %v\n%s\n%s", code, err, stdout, stderr)
	}
}
