package prom

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// Version is the release of Prometheus whose packages run here.
const Version = "3.16.0"

// newHandler serves the part of Prometheus' HTTP interface that programs use: /api/v1 and its health checks.
func (c *core) newHandler(logger *slog.Logger, registry *prometheus.Registry) http.Handler {
	flags := map[string]string{"query.lookback-delta": "5m", "query.timeout": "2m"}
	external := externalURL()
	// The parameters of NewAPI are positional and change from release to release; those without a comment are named by
	// their value.
	api := apiv1.NewAPI(c.engine, c.db, nil /* appends */, c.db,
		func(context.Context) apiv1.ScrapePoolsRetriever { return c.scrapes },
		func(context.Context) apiv1.TargetRetriever { return c.scrapes },
		func(context.Context) apiv1.AlertmanagerRetriever { return noAlerting{} },
		c.currentConfig, flags,
		apiv1.GlobalURLOptions{ListenAddress: external.Host, Host: external.Host, Scheme: external.Scheme},
		func(next http.HandlerFunc) http.HandlerFunc { return next },                            // always ready
		database{DB: c.db, stats: c.stats}, c.dir, false /* admin API */, false /* search */, 0, /* search limit */
		logger, func(context.Context) apiv1.RulesRetriever { return noAlerting{} },
		unlimited /* remote read: samples */, 10 /* concurrency */, 1<<20, /* bytes in a frame */
		false /* agent */, regexp.MustCompile(".*"), /* CORS */
		runtimeInfo, buildInfo(),
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, func() {}, false },
		registry, registry, nil /* stats renderer */, false /* remote write */, nil, /* its messages */
		false, false, false, /* OTLP */
		5*time.Minute /* lookback */, false /* type and unit labels */, false /* metadata */, nil /* error codes */, nil, /* features */
		apiv1.OpenAPIOptions{ExternalURL: external.String(), Version: Version},
		parser.NewParser(parser.Options{}), false /* query cost */, 2*time.Minute /* query timeout */)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		router.Get(path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("Prometheus Server is Ready.\n"))
		})
	}
	return router
}

func (c *core) currentConfig() config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config
}

func runtimeInfo() (apiv1.RuntimeInfo, error) {
	return apiv1.RuntimeInfo{
		ServerTime: time.Now().UTC(), ReloadConfigSuccess: true, GoroutineCount: runtime.NumGoroutine(),
		GOMAXPROCS: runtime.GOMAXPROCS(0), StorageRetention: "15d",
	}, nil
}

func buildInfo() *apiv1.PrometheusVersion {
	return &apiv1.PrometheusVersion{Version: Version, GoVersion: runtime.Version()}
}

// database gives the API the few numbers that tsdb.DB has in another form.
type database struct {
	*tsdb.DB
	stats *tsdb.DBStats
}

// Stats returns statistics of the head block.
func (d database) Stats(label string, limit int) (*tsdb.Stats, error) {
	return d.Head().Stats(label, limit), nil
}

// WALReplayStatus says that there is nothing to replay.
func (d database) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return d.stats.Head.WALReplayStatus.GetWALReplayStatus(), nil
}

// BlockMetas returns the blocks on disk.
func (d database) BlockMetas() ([]tsdb.BlockMeta, error) { return d.DB.BlockMetas(), nil }

// noAlerting is a server without rules and Alertmanagers.
type noAlerting struct{}

func (noAlerting) Alertmanagers() []*url.URL            { return nil }
func (noAlerting) DroppedAlertmanagers() []*url.URL     { return nil }
func (noAlerting) RuleGroups() []*rules.Group           { return nil }
func (noAlerting) AlertingRules() []*rules.AlertingRule { return nil }
