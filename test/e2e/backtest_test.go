package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// decided is what the controller decided at one tick.
type decided struct {
	current, desired int
	reason           string
}

// What Prometheus recorded reproduces what the controller decided: at least 98 of 100 ticks. Others are compared with it, and the
// samples that are exported give the same without a stage.Cluster.
func TestBacktestReproducesWhatHappened(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "replayed")
	load := fleet.NewShared(nil)
	load.SetLoad(100)
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations("scale-down.stabilization", "8s", "scale-up.policies", "2 pods/4s"), load)
	program := stage.Runs(t, ns, p.URL())
	scrapeProgram(t, p, program)
	d.WaitReason(program, "WithinTolerance")

	from := time.Now().Add(time.Second).Truncate(time.Second)
	log := map[time.Time]decided{}
	for i, l := range []float64{100, 180, 330, 200, 60, 240, 90} {
		load.SetLoad(l)
		watch(t, program, d, log, time.Duration(8+3*(i%3))*time.Second)
	}
	to := time.Now()
	time.Sleep(2 * time.Second) // the last scrapes

	file := filepath.Join(t.TempDir(), "samples.json")
	args := []string{
		"backtest", "deployment/vision", "-n", ns, "--kubeconfig", stage.Cluster.Viewer, "--prometheus-url", p.URL(), "--interval", "1s", "--no-cache",
		"--since", fmt.Sprintf("%ds", int(time.Since(from).Seconds())), "--against", "current,hpa,keda", "--export", file,
	}
	out, errs, code := stage.Command(t, args...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"POLICY", "as annotated", "current", "hpa", "keda", "gpuscaler_current_replicas of gpuscaler"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	reproduces(t, file, log, from, to)
	alone, errs, code := stage.Command(t, "backtest", "--from", file, "--against", "current,hpa,keda")
	if code != 0 || alone != out {
		t.Errorf("from the file: exit code %d, %s\n%s\nwant what Prometheus gave:\n%s", code, errs, alone, out)
	}
}

// scrapeProgram lets a Prometheus scrape the controller.
func scrapeProgram(t *testing.T, p *prom.Server, program *stage.Process) {
	t.Helper()
	const source = "gpuscaler"
	jobs := append(prom.DefaultJobs(), prom.Job{Name: "gateway", Source: fleet.SourceGateway}, prom.Job{Name: source, Source: source})
	if err := p.SetJobs(jobs); err != nil {
		t.Fatal(err)
	}
	p.SetTargets(source, []fleet.Target{{Addr: program.Listen, Labels: map[string]string{"instance": program.Listen, "namespace": "gpuscaler-system"}}})
}

// watch notes every decision for a while.
func watch(t *testing.T, program *stage.Process, d stage.Deployment, log map[time.Time]decided, duration time.Duration) {
	t.Helper()
	for end := time.Now().Add(duration); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		text, err := stage.Get("http://" + program.Listen + "/api/v1/workloads/" + d.Namespace + "/" + d.Name)
		if err != nil {
			t.Fatal(err)
		}
		var w struct {
			Time             time.Time
			Current, Desired int
			Reason           string
		}
		if err := json.Unmarshal(text, &w); err != nil {
			t.Fatal(err)
		}
		log[w.Time.UTC().Round(time.Second)] = decided{w.Current, w.Desired, w.Reason}
	}
}

// reproduces replays the samples of a file and compares each tick with what was decided.
func reproduces(t *testing.T, file string, log map[time.Time]decided, from, to time.Time) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r backtest.Recording
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	spec, problems := policy.Parse(r.Annotations, policy.Settings{Interval: r.Step(), MaxSampleAge: 90 * time.Second})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	same, compared, changes := 0, 0, 0
	var told strings.Builder
	for _, replayed := range backtest.Replay(&r, spec) {
		live, known := log[replayed.Time]
		if !known || replayed.Time.Before(from) || replayed.Time.After(to) {
			continue
		}
		compared++
		if live.current != live.desired {
			changes++
		}
		mark := " "
		if live.desired == replayed.Desired {
			same++
		} else {
			mark = "*"
		}
		fmt.Fprintf(&told, "%s %s live %d -> %d %s, replayed %d -> %d %s\n", mark, replayed.Time.Format(time.TimeOnly), live.current, live.desired, live.reason,
			replayed.Current, replayed.Desired, replayed.Reason)
	}
	t.Logf("%d of %d ticks are the same, with %d changes", same, compared, changes)
	if compared < 50 || changes < 5 {
		t.Errorf("%d ticks with %d changes are too few to show anything", compared, changes)
	}
	if 100*same < 98*compared {
		t.Errorf("%d of %d ticks are the same, want 98 of 100:\n%s", same, compared, told.String())
	}
}
