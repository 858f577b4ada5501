package prom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// Options configure a Server. The zero value works.
type Options struct {
	// Dir is the folder for the database's directory; the system's temporary folder when empty. In that of a bed, the
	// data goes with the bed even if the process is killed.
	Dir string
	// Interval is the scrape interval of all jobs; 1s if zero.
	Interval time.Duration
	// Jobs are what is scraped; DefaultJobs if nil.
	Jobs []Job
	// Log receives Prometheus' log lines; nil discards them.
	Log io.Writer
}

// Job is a scrape job.
type Job struct {
	// Name becomes the label job.
	Name string
	// Source says whose targets it scrapes: fleet.SourceDCGM or fleet.SourceVLLM.
	Source string
	// HonorLabels decides who wins where a scraped label is also one of the target's. With false, Prometheus' default,
	// the pod and the namespace that dcgm-exporter tells become exported_pod and exported_namespace.
	HonorLabels bool
	// Token, if not empty, is sent to the targets, with TLS and whatever certificate they show.
	Token string
	// Select, if not nil, keeps only some targets.
	Select func(fleet.Target) bool
}

// DefaultJobs scrape DCGM exporters as the exporter's Helm chart sets them up and vLLM servers as a PodMonitor does.
func DefaultJobs() []Job {
	return []Job{{Name: "dcgm-exporter", Source: fleet.SourceDCGM}, {Name: "vllm", Source: fleet.SourceVLLM}}
}

// Server is a running Prometheus.
type Server struct {
	opts   Options
	logger *slog.Logger
	addr   string
	fault  *faults

	mu       sync.Mutex
	jobs     []Job
	targets  map[string][]fleet.Target
	core     *core
	listener *http.Server
	stopped  bool
}

// Start starts a Prometheus on a free loopback port. Stop ends it.
func Start(opts Options) (*Server, error) {
	if opts.Interval == 0 {
		opts.Interval = time.Second
	}
	if opts.Jobs == nil {
		opts.Jobs = DefaultJobs()
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	s := &Server{
		opts: opts, logger: slog.New(slog.NewTextHandler(opts.Log, nil)), jobs: opts.Jobs,
		targets: map[string][]fleet.Target{}, fault: newFaults(),
	}
	core, err := startCore(s.coreConfig())
	if err != nil {
		return nil, fmt.Errorf("starting Prometheus: %w", err)
	}
	s.core = core
	s.fault.serve(core.handler)
	if err := s.listen("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("starting Prometheus: %w", errors.Join(err, core.stop()))
	}
	return s, nil
}

func (s *Server) coreConfig() coreConfig {
	return coreConfig{parent: s.opts.Dir, interval: s.opts.Interval, jobs: s.jobs, logger: s.logger}
}

// listen serves the API; on the address it had, if it had one.
func (s *Server) listen(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	s.listener = &http.Server{Handler: s.fault, ReadHeaderTimeout: time.Minute}
	go func(server *http.Server) { _ = server.Serve(listener) }(s.listener)
	return nil
}

// Addr is the loopback "host:port" of the API; it stays the same for the server's life.
func (s *Server) Addr() string { return s.addr }

// URL is the base URL of the API.
func (s *Server) URL() string { return "http://" + s.addr }

// Stop ends the server and removes its data. It may be called more than once.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.fault.set(Normal, nil) // lets hanging requests go
	return errors.Join(s.closeListener(), s.core.stop())
}

func (s *Server) closeListener() error {
	if s.listener == nil {
		return nil
	}
	err := s.listener.Close()
	s.listener = nil
	return err
}

// SetTargets replaces the targets of a source. It makes a Server a fleet.Scraper.
func (s *Server) SetTargets(source string, targets []fleet.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[source] = targets
	if !s.stopped {
		s.core.discover(s.jobs, s.targets)
	}
}

// SetJobs replaces the scrape jobs; data scraped before stays.
func (s *Server) SetJobs(jobs []Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = jobs
	if err := s.core.apply(s.coreConfig()); err != nil {
		return fmt.Errorf("setting scrape jobs: %w", err)
	}
	s.core.discover(s.jobs, s.targets)
	return nil
}

// RestartEmpty replaces the server by a new one that has lost its data and scrapes the same targets. For a moment its
// API refuses connections.
func (s *Server) RestartEmpty() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	listening := s.listener != nil
	if err := errors.Join(s.closeListener(), s.core.stop()); err != nil {
		return fmt.Errorf("restarting Prometheus: %w", err)
	}
	core, err := startCore(s.coreConfig())
	if err != nil {
		s.stopped = true
		return fmt.Errorf("restarting Prometheus: %w", err)
	}
	s.core = core
	s.fault.serve(core.handler)
	core.discover(s.jobs, s.targets)
	if listening {
		if err := s.listen(s.addr); err != nil {
			return fmt.Errorf("restarting Prometheus: %w", err)
		}
	}
	return nil
}

// Sample is one series of the result of a query.
type Sample struct {
	Labels map[string]string
	Value  float64
	// Time is that of the result, not of the scrape.
	Time time.Time
}

// Query evaluates an instant query now, past all faults of the API. The result is in no order.
func (s *Server) Query(ctx context.Context, expr string) ([]Sample, error) {
	s.mu.Lock()
	core := s.core
	s.mu.Unlock()
	samples, err := core.query(ctx, expr)
	if err != nil {
		return nil, fmt.Errorf("querying %s: %w", expr, err)
	}
	return samples, nil
}

func tempDir(parent string) (string, error) { return os.MkdirTemp(parent, "prometheus-") }
