package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// previous builds the program of the last release, or of what GPUSCALER_PREVIOUS names in git. As long as there has been no release
// the test is left out.
func previous(t *testing.T) string {
	t.Helper()
	ref := os.Getenv("GPUSCALER_PREVIOUS")
	if ref == "" {
		tag, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "describe", "--tags", "--abbrev=0", "--match", "v*").Output()
		if err != nil {
			t.Skip("there is no release yet")
		}
		ref = strings.TrimSpace(string(tag))
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, line := range []string{
		"git -C ../.. archive --format=tar " + ref + " | tar -x -C " + dir,
		"cd " + dir + " && CGO_ENABLED=0 go build -buildvcs=false -o gpuscaler ./cmd/gpuscaler",
	} {
		if out, err := exec.CommandContext(ctx, "sh", "-c", line).CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", ref, err, out)
		}
	}
	return filepath.Join(dir, "gpuscaler")
}

// A controller of the last release is killed inside a scale-down window and replaced by this one, and the other way round: the window
// is not cut short, and the replicas follow the load again.
func TestUpgradeAndRollback(t *testing.T) {
	old := previous(t)
	for name, programs := range map[string][2]string{"upgrade": {old, stage.Cluster.Program}, "rollback": {stage.Cluster.Program, old}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage.StartPrometheus(t, false)
			ns := stage.Namespace(t, name)
			stage.AllowName(t, name)
			l := stage.NewLoad(200)
			d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations("scale-down.stabilization", "60s"), l)
			stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} == 50)`, 4)
			run := func(program string) *stage.Process {
				return stage.StartProgram(t, program, stage.Cluster.Config, "--listen", gpuscaler.FreeAddress(t), "run", "--interval", "1s",
					"--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect", "--controller-name", name)
			}
			first := run(programs[0])
			d.WaitReason(first, "WithinTolerance")
			l.SetLoad(40)
			d.WaitReason(first, "ScaleDownStabilized")
			began := time.Now()
			bed.Holds(t, 10*time.Second, "4 replicas", func() error { return bed.Want("spec.replicas", d.Replicas(), 4) })
			first.Kill()
			second := run(programs[1])
			// A window goes on if the state was understood, and begins anew if it was not.
			d.WaitReplicas(1, 2*time.Minute)
			if took := time.Since(began); took < 56*time.Second {
				t.Errorf("lowered after %s, want not before the window of 60 s ended", took)
			}
			if name == "upgrade" && !strings.Contains(second.Output(), `Going on from the checkpoint {"targets": 1`) {
				t.Errorf("the state of the release before was not understood:\n%s", second.Output())
			}
			d.WantWrites(1)
		})
	}
}
