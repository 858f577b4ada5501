// Package e2e shows the program's main job on a real control plane and a real Prometheus: the tests run the built program as its
// users do, under exactly the rights that deploy/ ships, and look at what happens in the cluster.
//
// All tests share one control plane, one fleet of GPU nodes and one program binary; each has a namespace, a program and, where
// it makes it fail, a Prometheus of its own.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// cluster is what all tests share.
var cluster struct {
	*bed.Bed
	fleet   *fleet.Fleet
	scraped *scrapers
	program string // path of the built program
	config  string // kubeconfig of the service account that deploy/ sets up
	viewer  string // kubeconfig of a person with the viewer role
}

// controllerUser is how the audit log names the controller.
const controllerUser = "system:serviceaccount:" + install.Namespace + ":" + install.ServiceAccount

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait most of the time, for scrapes, ticks and windows.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

// run brings the cluster up, runs the tests and takes it down.
func run(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "starting the cluster:", err)
		return 1
	}
	b, err := bed.Start(ctx, bed.Options{})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := b.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the cluster:", err)
			code = 1
		}
	}()
	cluster.Bed, cluster.scraped = b, &scrapers{targets: map[string][]fleet.Target{}}
	nodes, err := b.KubeletConfig()
	if err != nil {
		return fail(err)
	}
	agent, err := fleet.BuildAgent(ctx, "../..", b.Dir())
	if err != nil {
		return fail(err)
	}
	cluster.fleet, err = fleet.Start(ctx, nodes, fleet.Options{
		Network: b.Egress(), Scraper: cluster.scraped, StartDelay: 100 * time.Millisecond, AgentProgram: agent,
	})
	if err != nil {
		return fail(err)
	}
	defer cluster.fleet.Stop()
	// One large node: its exporter is scraped at one moment, so that no tick sees a change of load on only some of the pods.
	if err := cluster.fleet.AddNodes(ctx, 1, 96); err != nil {
		return fail(err)
	}
	if cluster.config, cluster.viewer, err = install.Rights(ctx, b, "../../deploy/rbac"); err != nil {
		return fail(err)
	}
	if cluster.program, err = gpuscaler.Build(ctx, "../..", b.Dir()); err != nil {
		return fail(err)
	}
	return m.Run()
}

// scrapers tells several Prometheus servers what there is to scrape, also those that come later.
type scrapers struct {
	mu      sync.Mutex
	servers []*prom.Server
	targets map[string][]fleet.Target
}

// SetTargets passes targets on.
func (s *scrapers) SetTargets(source string, targets []fleet.Target) {
	// What does harm is not for them: each would read a million series a second.
	targets = slices.DeleteFunc(slices.Clone(targets), func(t fleet.Target) bool {
		return strings.HasPrefix(t.Labels["namespace"], hostileNamespace+"-")
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[source] = targets
	for _, p := range s.servers {
		p.SetTargets(source, targets)
	}
}

// add lets one more server scrape.
func (s *scrapers) add(p *prom.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, p)
	for source, targets := range s.targets {
		p.SetTargets(source, targets)
	}
}

// remove lets a server scrape no more.
func (s *scrapers) remove(p *prom.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = slices.DeleteFunc(s.servers, func(q *prom.Server) bool { return q == p })
}

// startPrometheus starts a Prometheus that scrapes the fleet each second. With honorLabels the scraped labels win, as
// with honorLabels: true in a ServiceMonitor.
func startPrometheus(t testing.TB, honorLabels bool) *prom.Server {
	t.Helper()
	return startPrometheusAt(t, honorLabels, time.Second)
}

// startPrometheusAt starts one that scrapes at an interval.
func startPrometheusAt(t testing.TB, honorLabels bool, interval time.Duration) *prom.Server {
	t.Helper()
	jobs := append(prom.DefaultJobs(), prom.Job{Name: "gateway", Source: fleet.SourceGateway})
	for i := range jobs {
		jobs[i].HonorLabels = honorLabels
	}
	p, err := prom.Start(prom.Options{Dir: cluster.Dir(), Interval: interval, Jobs: jobs})
	if err != nil {
		t.Fatal(err)
	}
	cluster.scraped.add(p)
	t.Cleanup(func() {
		cluster.scraped.remove(p)
		if err := p.Stop(); err != nil {
			t.Errorf("stopping Prometheus: %v", err)
		}
	})
	return p
}
