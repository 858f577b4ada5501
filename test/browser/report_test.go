package browser

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
)

// reports are files that the program writes for people: how one is made, and what must be on it.
var reports = []struct {
	name  string
	args  []string // of the program; the file of the report is added
	shows []string
}{
	{"simulate", []string{"simulate", "../scenarios/llm-load.yaml", "--html"}, []string{"Replicas"}},
	{"simulate-outage", []string{"simulate", "../scenarios/prometheus-outage.yaml", "--html"}, []string{"Replicas", "NoData"}},
}

func TestReports(t *testing.T) {
	for _, r := range reports {
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
