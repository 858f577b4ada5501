package controller

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gpuscaler/gpuscaler/controller/dashboard"
)

// handler serves what Handler documents. forward is how a standby has the leader answer.
func (c *Controller) handler(forward http.HandlerFunc) http.Handler {
	atLeader := func(serve http.HandlerFunc) http.Handler { return c.atLeader(serve, forward) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", c.healthz)
	mux.HandleFunc("GET /readyz", c.readyz)
	if c.options.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(c.options.Gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	}
	mux.Handle("GET /api/v1/workloads", atLeader(c.serveWorkloads))
	mux.Handle("GET /api/v1/workloads/{namespace}/{name}", atLeader(c.serveWorkload))
	mux.Handle("GET /api/v1/workloads/{namespace}/{name}/history", atLeader(c.serveHistory))
	mux.Handle("GET /api/v1/states", atLeader(c.serveStates))
	dashboard.New(pages{c}).Register(mux, atLeader)
	return mux
}

// maxTickAge is how long a leader may go without finishing a tick before it counts as hung.
const maxTickAge = time.Minute

// healthz fails on a leader that has not finished a tick for a minute, or for three intervals if they are longer. A
// process that never led is well.
func (c *Controller) healthz(w http.ResponseWriter, _ *http.Request) {
	allowed := max(maxTickAge, 3*c.options.Settings.Interval)
	if alive := c.alive.Load(); alive != nil && c.Leading() && time.Since(*alive) > allowed {
		http.Error(w, fmt.Sprintf("no tick has finished for %v", time.Since(*alive).Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyz fails until the caches are synced.
func (c *Controller) readyz(w http.ResponseWriter, _ *http.Request) {
	if !c.ready.Load() {
		http.Error(w, "the caches are not synced yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// serveWorkloads answers with all workloads.
func (c *Controller) serveWorkloads(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, ReportOf(c.Snapshot()))
}

// serveWorkload answers with one workload.
func (c *Controller) serveWorkload(w http.ResponseWriter, r *http.Request) {
	if workload := found(c.Snapshot(), w, r); workload != nil {
		writeJSON(w, ReportWorkload(workload))
	}
}

// found returns the workload that the path names. If there is none it says so and returns nil.
func found(s *Snapshot, w http.ResponseWriter, r *http.Request) *Workload {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	workload := s.Find(namespace, name)
	if workload == nil {
		http.Error(w, fmt.Sprintf("no workload %q in namespace %q is scaled: /api/v1/workloads lists them", name, namespace), http.StatusNotFound)
	}
	return workload
}

// serveHistory answers with the past decisions of one workload and what they were made from: all that are kept, or those since a
// duration ago.
func (c *Controller) serveHistory(w http.ResponseWriter, r *http.Request) {
	s := c.Snapshot()
	workload := found(s, w, r)
	if workload == nil {
		return
	}
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		ago, err := time.ParseDuration(text)
		if err != nil || ago <= 0 {
			http.Error(w, fmt.Sprintf("since=%q is not allowed: give a duration above 0, as in since=1h", text), http.StatusBadRequest)
			return
		}
		since = s.Time.Add(-ago)
	}
	writeJSON(w, workload.History(since))
}

// serveStates answers with what is remembered, for a pass elsewhere that goes on from there.
func (c *Controller) serveStates(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, MemoryOf(c.Snapshot()))
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // fails only if the client has gone
}
