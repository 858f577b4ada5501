package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// core is what a restart of Prometheus replaces: everything but its port.
type core struct {
	dir     string
	db      *tsdb.DB
	stats   *tsdb.DBStats
	scrapes *scrape.Manager
	engine  *promql.Engine
	handler http.Handler
	groups  chan map[string][]*targetgroup.Group
	done    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	config config.Config
}

type coreConfig struct {
	parent   string
	interval time.Duration
	jobs     []Job
	logger   *slog.Logger
}

func startCore(cfg coreConfig) (*core, error) {
	dir, err := tempDir(cfg.parent)
	if err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	c := &core{
		dir: dir, stats: tsdb.NewDBStats(),
		groups: make(chan map[string][]*targetgroup.Group), done: make(chan struct{}),
	}
	if err := c.start(cfg); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *core) start(cfg coreConfig) error {
	registry := prometheus.NewRegistry() // one each: a second server would register the same metrics again
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = -1 // nothing has to outlive the process
	opts.NoLockfile = true
	opts.StripeSize = 1024
	var err error
	if c.db, err = tsdb.Open(c.dir, cfg.logger, registry, opts, c.stats); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	c.scrapes, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval: model.Duration(50 * time.Millisecond), DiscoveryReloadOnStartup: true,
	}, cfg.logger, nil, nil, c.db, registry)
	if err != nil {
		return fmt.Errorf("making the scrape manager: %w", err)
	}
	if err := c.apply(cfg); err != nil {
		return err
	}
	c.engine = promql.NewEngine(promql.EngineOpts{
		Logger: cfg.logger, Reg: registry, MaxSamples: 50_000_000, Timeout: 2 * time.Minute,
		LookbackDelta: 5 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		Parser:                   parser.NewParser(parser.Options{}),
	})
	c.handler = c.newHandler(cfg.logger, registry)
	c.running.Go(func() { _ = c.scrapes.Run(c.groups) })
	return nil
}

// apply sets the jobs. Targets come separately, by discover.
func (c *core) apply(cfg coreConfig) error {
	var text strings.Builder
	interval := model.Duration(cfg.interval)
	fmt.Fprintf(&text, "global: {scrape_interval: %s, scrape_timeout: %s}\nscrape_configs:\n", interval, interval)
	for _, job := range cfg.jobs {
		more := ""
		if job.Token != "" {
			more = fmt.Sprintf(", scheme: https, authorization: {credentials: %q}, tls_config: {insecure_skip_verify: true}", job.Token)
		}
		fmt.Fprintf(&text, "- {job_name: %q, honor_labels: %t%s}\n", job.Name, job.HonorLabels, more)
	}
	parsed, err := config.Load(text.String(), cfg.logger)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	c.mu.Lock()
	c.config = *parsed
	c.mu.Unlock()
	if err := c.scrapes.ApplyConfig(parsed); err != nil {
		return fmt.Errorf("applying the configuration: %w", err)
	}
	return nil
}

// discover tells the scrape manager all targets, as service discovery would.
func (c *core) discover(jobs []Job, targets map[string][]fleet.Target) {
	groups := map[string][]*targetgroup.Group{}
	for _, job := range jobs {
		group := &targetgroup.Group{Source: job.Name}
		for _, t := range targets[job.Source] {
			if job.Select == nil || job.Select(t) {
				group.Targets = append(group.Targets, labelsOf(t))
			}
		}
		groups[job.Name] = []*targetgroup.Group{group}
	}
	select {
	case c.groups <- groups:
	case <-c.done:
	}
}

func labelsOf(t fleet.Target) model.LabelSet {
	set := model.LabelSet{model.AddressLabel: model.LabelValue(t.Addr)}
	for name, value := range t.Labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set
}

// stop ends it and removes its data.
func (c *core) stop() error {
	close(c.done)
	if c.scrapes != nil {
		c.scrapes.Stop()
	}
	c.running.Wait()
	var errs []error
	if c.engine != nil {
		errs = append(errs, c.engine.Close())
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

func (c *core) query(ctx context.Context, expr string) ([]Sample, error) {
	query, err := c.engine.NewInstantQuery(ctx, c.db, nil, expr, time.Now())
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(ctx)
	vector, err := result.Vector()
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, len(vector))
	for i, s := range vector {
		set := map[string]string{}
		s.Metric.Range(func(l labels.Label) { set[l.Name] = l.Value })
		samples[i] = Sample{Labels: set, Value: s.F, Time: time.UnixMilli(s.T)}
	}
	return samples, nil
}

// externalURL is what the server would call itself; nothing follows it.
func externalURL() *url.URL { return &url.URL{Scheme: "http", Host: "prometheus:9090"} }

// unlimited is the number of samples that remote read may return.
const unlimited = math.MaxInt32
