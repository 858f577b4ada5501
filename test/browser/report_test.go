package browser

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
)

// report is a file that the program writes for people: how it is made, and what must be on it.
type report struct {
	name  string
	args  []string // of the program; the file of the report is added
	shows []string
}

// reports are of scenarios, and of what Prometheus has recorded of the workloads by now.
func reports() []report {
	return []report{
		{"simulate", []string{"simulate", "../scenarios/llm-load.yaml", "--html"}, []string{"Replicas"}},
		{"simulate-outage", []string{"simulate", "../scenarios/prometheus-outage.yaml", "--html"}, []string{"Replicas", "NoData"}},
		{
			"backtest",
			[]string{
				"backtest", "deployment/chat", "-n", "llm", "--kubeconfig", world.admin, "--prometheus-url", world.prometheus.URL(),
				"--since", "1m", "--interval", "1s", "--no-cache", "--against", "current,hpa", "--set", "target.running-requests=8", "--html",
			},
			[]string{"Backtest of chat in llm", "as annotated", "hpa", "GPU-hours", "Not told by the data"},
		},
	}
}

func TestReports(t *testing.T) {
	for _, r := range reports() {
		file, err := filepath.Abs(filepath.Join(t.TempDir(), "report.html"))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), world.path, append(r.args, file)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", r.name, err, out)
		}
		for _, as := range []look{light, dark, phone} {
			t.Run(r.name+"/"+as.name, func(t *testing.T) {
				b := open(t, (&url.URL{Scheme: "file", Path: file}).String(), as)
				b.shoot("report-" + r.name + "-" + as.name)
				b.shows("body", r.shows...)
				if n := script[float64](b, `document.querySelectorAll('svg').length`); n == 0 {
					t.Error("there is no chart")
				}
				b.fits()
				b.clean("file://")
			})
		}
	}
}
