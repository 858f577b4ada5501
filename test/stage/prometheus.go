package stage

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// StartPrometheus starts a Prometheus that scrapes the fleet each second. With honorLabels the scraped labels win, as
// with honorLabels: true in a ServiceMonitor.
func StartPrometheus(t testing.TB, honorLabels bool) *prom.Server {
	t.Helper()
	return StartPrometheusAt(t, honorLabels, time.Second)
}

// StartPrometheusAt starts one that scrapes at an interval.
func StartPrometheusAt(t testing.TB, honorLabels bool, interval time.Duration) *prom.Server {
	t.Helper()
	jobs := append(prom.DefaultJobs(), prom.Job{Name: "gateway", Source: fleet.SourceGateway})
	for i := range jobs {
		jobs[i].HonorLabels = honorLabels
	}
	p, err := prom.Start(prom.Options{Dir: Cluster.Dir(), Interval: interval, Jobs: jobs})
	if err != nil {
		t.Fatal(err)
	}
	Cluster.scraped.add(p)
	t.Cleanup(func() {
		Cluster.scraped.remove(p)
		if err := p.Stop(); err != nil {
			t.Errorf("stopping Prometheus: %v", err)
		}
	})
	return p
}
