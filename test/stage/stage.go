// Package stage is what tests of the whole program play on: one control plane, one fleet of GPU nodes and one built program for all
// tests of a package, which Main brings up and takes down. Each test has a namespace, a program and, where it makes it fail, a
// Prometheus of its own. The program runs as its users run it, under exactly the rights that deploy/ ships.
package stage

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
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

// Cluster is what all tests of a package share.
var Cluster struct {
	*bed.Bed
	Fleet   *fleet.Fleet
	Program string // path of the built program
	Config  string // kubeconfig of the service account that deploy/ sets up
	Viewer  string // kubeconfig of a person with the viewer role

	scraped *scrapers
}

// ControllerUser is how the audit log names the controller.
const ControllerUser = "system:serviceaccount:" + install.Namespace + ":" + install.ServiceAccount

// HostileNamespace is how namespaces begin whose pods do harm: no Prometheus scrapes them.
const HostileNamespace = "hostile"

// root is the repository, seen from the folder of a test package.
const root = "../.."

// Main is the TestMain of a package that lies beside this one. It runs so many tests at a time: they wait most of the time, for scrapes,
// ticks and windows.
func Main(m *testing.M, parallel int) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(parallel)); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

// run brings the cluster up, runs the tests and takes it down.
func run(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	b, err := bed.Start(ctx, bed.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the cluster:", err)
		return 1
	}
	defer func() {
		if err := b.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the cluster:", err)
			code = 1
		}
	}()
	Cluster.Bed, Cluster.scraped = b, &scrapers{targets: map[string][]fleet.Target{}}
	if err := equip(ctx, b); err != nil {
		fmt.Fprintln(os.Stderr, "starting the cluster:", err)
		return 1
	}
	defer Cluster.Fleet.Stop()
	return m.Run()
}

// equip gives the control plane nodes, the rights of deploy/ and the program.
func equip(ctx context.Context, b *bed.Bed) error {
	if err := startFleet(ctx, b); err != nil {
		return err
	}
	var err error
	if Cluster.Config, Cluster.Viewer, err = install.Rights(ctx, b, root+"/deploy/rbac"); err == nil {
		Cluster.Program, err = gpuscaler.Build(ctx, root, b.Dir())
	}
	if err != nil {
		Cluster.Fleet.Stop()
	}
	return err
}

func startFleet(ctx context.Context, b *bed.Bed) error {
	nodes, err := b.KubeletConfig()
	if err != nil {
		return err
	}
	agent, err := fleet.BuildAgent(ctx, root, b.Dir())
	if err != nil {
		return err
	}
	Cluster.Fleet, err = fleet.Start(ctx, nodes, fleet.Options{
		Network: b.Egress(), Scraper: Cluster.scraped, StartDelay: 100 * time.Millisecond, AgentProgram: agent,
	})
	if err != nil {
		return err
	}
	// One large node: its exporter is scraped at one moment, so that no tick sees a change of load on only some of the pods.
	if err := Cluster.Fleet.AddNodes(ctx, 1, 96); err != nil {
		Cluster.Fleet.Stop()
		return err
	}
	return nil
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
		return strings.HasPrefix(t.Labels["namespace"], HostileNamespace+"-")
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
