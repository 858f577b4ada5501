package faults

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// site is where the metrics break: a Deployment whose GPUs are at 50 percent, as it wants them to be, and a Prometheus of
// its own. It asks for a scale-down window of 3 s.
type site struct {
	*world
	prometheus *prom.Server
	exporter   *exporter
	load       *stage.Load
	ns         string
	d          stage.Deployment
	// program is nil until start.
	program *stage.Process
}

const (
	// window is the Deployment's for scaling down, and oldest how old a sample may be.
	window, oldest = 3 * time.Second, 5 * time.Second
	// outage is how long things stay broken: long enough for a gap, and for a scaler that trusts what is broken to lower.
	outage = 10 * time.Second
)

// site sets one up, with so many replicas and more annotations.
func (w *world) site(replicas int32, more ...string) *site {
	w.Helper()
	s := &site{world: w, prometheus: stage.StartPrometheus(w, false), load: stage.NewLoad(50 * float64(replicas)), ns: stage.Namespace(w, "fault")}
	s.exporter = newExporter(w)
	s.jobs(s.exporter.job())
	s.d = s.deploy("vision", replicas, s.load, more...)
	return s
}

// deploy makes a Deployment that asks for the same.
func (s *site) deploy(name string, replicas int32, model fleet.Model, more ...string) stage.Deployment {
	s.Helper()
	annotations := stage.GPUAnnotations(append([]string{"scale-down.stabilization", window.String()}, more...)...)
	return stage.Create(s, s.ns, name, replicas, annotations, model)
}

// jobs lets Prometheus scrape these, and the engines and gateways of the fleet, in place of what it scraped.
func (s *site) jobs(jobs ...prom.Job) {
	s.Helper()
	jobs = append(jobs, prom.Job{Name: "vllm", Source: fleet.SourceVLLM}, prom.Job{Name: "gateway", Source: fleet.SourceGateway})
	s.exporter.scrapedBy(s.prometheus)
	if err := s.prometheus.SetJobs(jobs); err != nil {
		s.Fatal(err)
	}
}

// start starts the program and waits until it is content.
func (s *site) start(args ...string) *site {
	s.Helper()
	s.program = s.runs(s.ns, s.prometheus.URL(), append([]string{"--max-sample-age", oldest.String()}, args...)...)
	s.d.WaitReason(s.program, "WithinTolerance")
	return s
}

// fault breaks the metrics of a site and heals them.
type fault struct{ start, heal func(s *site) }

// holds plays a load that goes away while the metrics are broken, so that a scaler which trusts them would lower. The program must say the
// reason meanwhile, and after it all lower by itself, but not before it has seen a window of good data.
func holds(reason string, f fault) func(w *world) {
	return func(w *world) {
		s := w.site(4).start()
		f.start(s)
		s.load.SetLoad(20)
		s.d.NeverBelow(4, outage)
		s.d.WaitReason(s.program, reason)
		s.said(fmt.Sprintf("gpuscaler_held{namespace=%q,reason=%q,workload=%q,workload_kind=\"Deployment\"}", s.ns, reason, s.d.Name))
		if events := s.d.Events(reason); len(events) > 1 {
			s.Errorf("%d Events %s, want one at most: %q", len(events), reason, events)
		}
		s.resumes(f, oldest)
	}
}

// resumes heals a fault that was a gap, and wants good data for some time before the replicas are lowered: for the longer of the window and
// the age that a sample may have.
func (s *site) resumes(f fault, least time.Duration) {
	s.Helper()
	healed := time.Now() // at the earliest: a tick may come while it heals
	f.heal(s)
	s.d.WaitReplicas(1, 30*time.Second)
	if took := time.Since(healed); took < least {
		s.Errorf("lowered %s after the data came back, want a full window of %s", took, least)
	}
}

// switched is a fault that Prometheus has a switch for.
func switched(f prom.Fault) fault {
	set := func(f prom.Fault) func(*site) {
		return func(s *site) {
			if err := s.prometheus.SetFault(f); err != nil {
				s.Fatal(err)
			}
		}
	}
	return fault{set(f), set(prom.Normal)}
}

// handled is a fault that a handler in front of Prometheus makes.
func handled(answer func(api http.Handler) http.Handler) fault {
	return fault{func(s *site) { handle(s, s.prometheus, answer) }, switched(prom.Normal).heal}
}

func handle(t testing.TB, p *prom.Server, answer func(api http.Handler) http.Handler) {
	t.Helper()
	if err := p.SetHandler(answer); err != nil {
		t.Fatal(err)
	}
}

// replies is a fault of the replies: each true one is handed to a function that sends what it makes of it, as JSON unless it says otherwise.
func replies(send func(w http.ResponseWriter, reply []byte)) fault {
	return handled(func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reply := httptest.NewRecorder()
			api.ServeHTTP(reply, r)
			w.Header().Set("Content-Type", "application/json")
			send(w, reply.Body.Bytes())
		})
	})
}

// answers is a fault of the replies: each is this one.
func answers(reply string) fault {
	return replies(func(w http.ResponseWriter, _ []byte) { _, _ = w.Write([]byte(reply)) })
}

// edited is a fault of the replies: in each one text stands for another.
func edited(old, now string) fault {
	return replies(func(w http.ResponseWriter, reply []byte) {
		_, _ = w.Write([]byte(strings.Replace(string(reply), old, now, 1)))
	})
}

// exporter stands between a Prometheus and the DCGM exporter of the fleet, and changes what that says.
type exporter struct {
	t      testing.TB
	server *httptest.Server
	behind fleet.Target

	mu     sync.Mutex
	change func(page string) string
}

// faulty is the source of the targets that are exporters of this package.
const faulty = "faulty"

func newExporter(t testing.TB) *exporter {
	t.Helper()
	e := &exporter{t: t, behind: stage.Cluster.Fleet.Targets(fleet.SourceDCGM)[0]}
	e.says(nil)
	e.server = httptest.NewServer(e)
	t.Cleanup(e.server.Close)
	return e
}

// job is how Prometheus scrapes it: as the exporter behind it.
func (e *exporter) job() prom.Job { return prom.Job{Name: "dcgm-exporter", Source: faulty} }

func (e *exporter) scrapedBy(p *prom.Server) { p.SetTargets(faulty, []fleet.Target{e.target()}) }

func (e *exporter) target() fleet.Target {
	return fleet.Target{Addr: e.server.Listener.Addr().String(), Node: e.behind.Node, Labels: e.behind.Labels}
}

// says lets a function change every page from now on; nil ends it.
func (e *exporter) says(change func(page string) string) {
	if change == nil {
		change = func(page string) string { return page }
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change = change
}

// page is what the exporter behind says now.
func (e *exporter) page() (string, error) {
	text, err := stage.Get("http://" + e.behind.Addr + "/metrics")
	return string(text), err
}

// ServeHTTP answers a scrape.
func (e *exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	page, err := e.page()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = io.WriteString(w, e.change(page))
}

// samples changes the samples of a page, line by line, and leaves its comments.
func samples(change func(line string) string) func(page string) string {
	return func(page string) string {
		var out strings.Builder
		for line := range strings.Lines(page) {
			if !strings.HasPrefix(line, "#") {
				line = change(strings.TrimSuffix(line, "\n")) + "\n"
			}
			out.WriteString(line)
		}
		return out.String()
	}
}

// says is a fault of the exporter.
func says(change func(page string) string) fault {
	return fault{func(s *site) { s.exporter.says(change) }, func(s *site) { s.exporter.says(nil) }}
}

// follows wants a Deployment to follow its load although others have trouble.
func (s *site) follows(d stage.Deployment, load *stage.Load) {
	s.Helper()
	before := d.Replicas()
	load.SetLoad(float64(before+1) * 50)
	d.WaitReplicas(before+1, 15*time.Second)
}

// said waits until the program's page of metrics has a line that begins so with a value above 0.
func (s *site) said(metric string) {
	s.Helper()
	bed.WaitFor(s, 10*time.Second, metric, func() error {
		text, err := stage.Get("http://" + s.program.Listen + "/metrics")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, metric); ok && strings.TrimSpace(rest) != "0" {
				return nil
			}
		}
		return fmt.Errorf("/metrics lacks it")
	})
}

// gateway starts one in front of the Deployments, until the test ends.
func (s *site) gateway() *fleet.Gateway {
	s.Helper()
	gateway, err := stage.Cluster.Fleet.StartGateway(s.ns)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(gateway.Stop)
	return gateway
}

// file writes one and returns its path.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}
