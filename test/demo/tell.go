package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// wave is how long the load takes to rise and fall once.
const wave = 3 * time.Minute

// level is the height of the load at a time of the wave, 0 to 1: quiet, a steep rise, busy, a fall, quiet.
func level(at time.Duration) float64 {
	t := math.Mod(at.Seconds()/wave.Seconds(), 1)
	switch {
	case t < 0.1 || t >= 0.65:
		return 0
	case t < 0.25:
		return (t - 0.1) / 0.15
	case t < 0.5:
		return 1
	default:
		return (0.65 - t) / 0.15
	}
}

// introduce tells what is there and how to look at it.
func (s *stage) introduce(p *program, duration time.Duration) {
	fmt.Printf(`
  in a browser   http://%s/

  kubectl   export KUBECONFIG=%s
            kubectl get deployments -w
            kubectl get events -w
  yours     kubectl create deployment mine --image=any
            kubectl annotate deployment mine gpuscaler.io/enabled=true gpuscaler.io/max-replicas=4 \
              gpuscaler.io/min-replicas=2 gpuscaler.io/target.gpu-utilization=60

`, p.listen, s.admin)
	for _, w := range s.workloads {
		fmt.Printf("  Deployment %s\n", w.name)
		for _, k := range slices.Sorted(maps.Keys(w.annotations)) {
			fmt.Printf("    gpuscaler.io/%s: %q\n", k, w.annotations[k])
		}
	}
	fmt.Printf("\nThe load rises, stays and falls. A line per Deployment and tick of %s, for %s; Ctrl-C ends it.\n\n", interval, duration)
}

// tell moves the load and tells each tick until the time is over.
func (s *stage) tell(ctx context.Context, p *program, duration time.Duration) error {
	start, told := time.Now(), time.Time{}
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for time.Since(start) < duration {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("the program ended: %s\n%s", p.cmd.ProcessState, text)
		case <-ticker.C:
		}
		at := time.Since(start)
		if err := s.load(at); err != nil {
			return err
		}
		reports, err := p.workloads(ctx)
		if err != nil || len(reports) == 0 || !reports[0].Time.After(told) {
			continue // not up yet, or no new tick
		}
		told = reports[0].Time
		fmt.Printf("%2d:%02d  load %s\n", int(at.Minutes()), int(at.Seconds())%60, s.loads(at))
		for i := range reports {
			fmt.Println("      " + reports[i].String())
		}
	}
	return nil
}

// load sets the rates of a time.
func (s *stage) load(at time.Duration) error {
	for _, w := range s.workloads {
		if err := errors.Join(w.model.SetRate(w.rate(at)), w.model.Err()); err != nil {
			return err
		}
	}
	return nil
}

// rate is the workload's requests per second at a time.
func (w *workload) rate(at time.Duration) float64 { return w.low + (w.high-w.low)*level(at) }

// loads shows the load as a bar and in numbers.
func (s *stage) loads(at time.Duration) string {
	parts := make([]string, len(s.workloads))
	for i, w := range s.workloads {
		parts[i] = fmt.Sprintf("%s %.0f/s", w.name, w.rate(at))
	}
	n := int(math.Round(level(at) * 10))
	return strings.Repeat("█", n) + strings.Repeat("░", 10-n) + "  " + strings.Join(parts, ", ")
}

// String is a workload in one line: replicas, pods, and why.
func (r *report) String() string {
	replicas := fmt.Sprint(r.Current)
	if r.Desired != r.Current {
		replicas = fmt.Sprintf("%d → %d", r.Current, r.Desired)
	}
	pods := fmt.Sprintf("%d ready", r.Pods.Ready)
	if r.Pods.Loading > 0 {
		pods += fmt.Sprintf(", %d loading", r.Pods.Loading)
	}
	if r.Pods.Unschedulable > 0 {
		pods += fmt.Sprintf(", %d without a GPU", r.Pods.Unschedulable)
	}
	return fmt.Sprintf("%-8s %-7s %-20s %s: %s", r.Name, replicas, pods, r.Reason, r.Message)
}
