package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/deploy/monitoring"
	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// dashboardVariables stand for those of the dashboard.
var dashboardVariables = strings.NewReplacer("$workload", ".*", "$__rate_interval", "10s")

// Every query of the dashboard and of the alerts is answered by a Prometheus that scrapes a running controller as the ServiceMonitor
// says, and those of the dashboard have something to show.
func TestQueriesOfTheDashboard(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "dashboard")
	l := stage.NewLoad(100)
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), l)
	stage.Create(t, ns, "broken", 1, map[string]string{"gpuscaler.io/enabled": "true", "gpuscaler.io/target.gpu-utilization": "500"}, stage.NewLoad(0))
	stage.Create(t, ns, "blind", 1, stage.GPUAnnotations("target.running-requests", "3"), stage.NewLoad(50)) // no engine
	program := stage.Runs(t, ns, p.URL())
	scrapesProgram(t, p, program, "")
	d.WaitReason(program, "WithinTolerance")
	l.SetLoad(200)
	d.WaitReplicas(4, 15*time.Second)

	replace := func(query string) string {
		return strings.ReplaceAll(dashboardVariables.Replace(query), "$namespace", ns)
	}
	for _, row := range monitoring.Rows() {
		for _, panel := range row.Panels {
			for _, q := range panel.Queries {
				bed.WaitFor(t, 30*time.Second, panel.Title, func() error {
					samples, err := p.Query(t.Context(), replace(q.Expr))
					if err == nil && len(samples) == 0 && !q.Rare {
						err = fmt.Errorf("nothing to show: %s", replace(q.Expr))
					}
					if err == nil {
						err = legendOf(q.Legend, samples)
					}
					return err
				})
			}
		}
	}

	// What is set up here is what these two tell of.
	for query, want := range map[string]string{
		`gpuscaler_held{namespace="` + ns + `",workload="broken",reason="InvalidAnnotations"} == 1`: "broken",
		`gpuscaler_condition{namespace="` + ns + `",workload="blind",reason="NoData"} == 1`:         "blind",
	} {
		bed.WaitFor(t, 30*time.Second, want, func() error {
			samples, err := p.Query(t.Context(), query)
			if err != nil {
				return err
			}
			return bed.Want(query, len(samples), 1)
		})
	}
	tryAlerts(t, p)
}

// scrapesProgram lets a Prometheus scrape a controller with the labels that a ServiceMonitor gives its target, and with TLS and a token
// unless that is empty.
func scrapesProgram(t *testing.T, p *prom.Server, program *stage.Process, token string) {
	t.Helper()
	jobs := append(prom.DefaultJobs(), prom.Job{Name: "gpuscaler", Source: "gpuscaler", HonorLabels: true, Token: token})
	if err := p.SetJobs(jobs); err != nil {
		t.Fatal(err)
	}
	p.SetTargets("gpuscaler", []fleet.Target{{Addr: program.Listen, Labels: map[string]string{
		"namespace": "gpuscaler-system", "pod": "gpuscaler-0", "instance": program.Listen,
	}}})
}

// legendOf wants series to have the labels of a legend.
func legendOf(legend string, samples []prom.Sample) error {
	for part := range strings.SplitSeq(legend, "{{") {
		label, _, named := strings.Cut(part, "}}")
		if !named || len(samples) == 0 {
			continue
		}
		if samples[0].Labels[label] == "" {
			return fmt.Errorf("the legend %q names the label %s, which %v lacks", legend, label, samples[0].Labels)
		}
	}
	return nil
}

// tryAlerts evaluates the alerts, and the metric that each compares.
func tryAlerts(t *testing.T, p *prom.Server) {
	t.Helper()
	alerts, err := monitoring.Alerts()
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range alerts {
		samples, err := p.Query(t.Context(), rule.Expr)
		if err != nil {
			t.Errorf("%s: %v", rule.Name, err)
		}
		switch pending := len(samples) > 0; rule.Name {
		case "GpuscalerInvalidAnnotations", "GpuscalerHoldingForMissingData":
			if !pending {
				t.Errorf("%s: %s finds nothing, and there is such a workload", rule.Name, rule.Expr)
			}
		case "GpuscalerDown", "GpuscalerNoLeader", "GpuscalerConflict", "GpuscalerScaleWritesFail", "GpuscalerTicksMissed", "GpuscalerNotResponding":
			if pending {
				t.Errorf("%s: %s finds %v, and nothing is wrong", rule.Name, rule.Expr, samples)
			}
		}
	}
}
