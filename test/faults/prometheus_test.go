package faults

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofPrometheus are the faults of a Prometheus that is there only now and then, slowly, or with another clock.
var ofPrometheus = []row{
	{
		1, "Prometheus refuses connections", "nothing is lowered; after it nothing is lowered for a window, then it resumes by itself",
		missingIsZero, holds("NoData", switched(prom.Refuse)),
	},
	{
		1, "the name of Prometheus is not known to DNS", "nothing is lowered, and the message names the server; replicas above the maximum are lowered to it all the same",
		missingIsZero, nameless,
	},
	{
		1, "Prometheus answers 503", "nothing is lowered; each signal is asked for once per tick, no more often",
		retries, overloaded,
	},
	{
		2, "Prometheus sends headers, and then nothing", "the tick ends in time; what another signal says of others is followed; nothing is lowered by what does not come; it resumes by itself",
		patience, stalls,
	},
	{
		2, "one signal's reply is slower than all others", "decisions that do not need it do not wait for it",
		together, slow,
	},
	{
		13, "Prometheus' clock is 10 minutes ahead", "the load is followed as if it were not: no query carries this side's time",
		ownClock, skewed(10 * time.Minute),
	},
	{
		13, "Prometheus' clock is 10 minutes behind", "the load is followed as if it were not: ages are told by the server's clock alone",
		theirClock, skewed(-10 * time.Minute),
	},
	{
		14, "Prometheus restarts empty and finds nothing to scrape for a while", "nothing is lowered; after it nothing is lowered for a window of good data, then it resumes by itself",
		noGap, restartsBlind,
	},
	{
		14, "Prometheus restarts empty while the load is high", "the replicas stay, and follow the load again by themselves within 15 s",
		missingIsZero, restartsBusy,
	},
}

var (
	// missingIsZero is the guard of all that is not there: policy takes what is missing for nothing to do.
	missingIsZero = &mutant.Mutation{
		Name: "no data counts as no load",
		Edits: []mutant.Edit{
			{
				File: "policy/recommend.go", Old: "		if s.Sampled+s.Idle == 0 {\n			continue\n		}",
				New: "		if s.Sampled+s.Idle == 0 {\n			if mutant != N { continue }\n			s.Recommended = 1\n		}",
			},
			{
				File: "policy/recommend.go", Old: "	return s.Reason == NoData || s.Reason == StaleData ||",
				New: "	return mutant != N && (s.Reason == NoData || s.Reason == StaleData) ||",
			},
		},
	}
	retries = &mutant.Mutation{
		Name: "a query that fails is repeated at once",
		Edits: []mutant.Edit{{
			File: "metrics/client.go", Old: "	resp, err := c.http.Do(req)\n",
			New: "	resp, err := c.http.Do(req)\n	for mutant == N && err == nil && resp.StatusCode >= 500 {\n		_ = resp.Body.Close()\n" +
				"		if req, err = c.request(ctx, q.endpoint, q.params); err == nil {\n			resp, err = c.http.Do(req)\n		}\n	}\n",
		}},
	}
	patience = &mutant.Mutation{
		Name: "a reply is waited for without end",
		Edits: []mutant.Edit{
			{
				File: "metrics/client.go", Old: "	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)",
				New: "	if mutant == N { c.opts.Timeout = time.Hour }\n	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)",
			},
			{
				File: "controller/tick.go", Old: "	reading, cancel := context.WithTimeout(ctx, p.c.options.QueryTimeout)",
				New: "	if mutant == N { p.c.options.QueryTimeout = time.Hour }\n	reading, cancel := context.WithTimeout(ctx, p.c.options.QueryTimeout)",
			},
		},
	}
	together = &mutant.Mutation{
		Name: "all decisions wait for the slowest reply",
		Edits: []mutant.Edit{{
			File: "controller/tick.go", Old: "	for _, s := range timesFor(t) {\n		<-p.times[s].finished",
			New: "	if mutant == N {\n		for _, q := range p.readings { <-q.finished }\n	}\n	for _, s := range timesFor(t) {\n		<-p.times[s].finished",
		}},
	}
	ownClock = &mutant.Mutation{
		Name: "queries ask for the time of this side's clock",
		Edits: []mutant.Edit{{
			File: "metrics/client.go", Old: "	req, err := c.request(ctx, q.endpoint, q.params)\n",
			New: "	if mutant == N && q.params.Get(\"start\") == \"\" { q.params.Set(\"time\", unixSeconds(time.Now())) }\n" +
				"	req, err := c.request(ctx, q.endpoint, q.params)\n",
		}},
	}
	theirClock = &mutant.Mutation{
		Name: "Prometheus' times are compared with this side's clock",
		Edits: []mutant.Edit{{
			File: "cmd/gpuscaler/reader.go", Old: "	return arrived.Add(sampled.Sub(server))",
			New: "	if mutant == N { return sampled }\n	return arrived.Add(sampled.Sub(server))",
		}},
	}
	noGap = &mutant.Mutation{
		Name: "the first data after an outage lowers",
		Edits: []mutant.Edit{{
			File: "policy/guard.go", Old: "	if !s.BadSince.IsZero() && now.Sub(s.BadSince) > spec.longestLapse() {",
			New: "	if mutant != N && !s.BadSince.IsZero() && now.Sub(s.BadSince) > spec.longestLapse() {",
		}},
	}
)

// nameless has a Prometheus that is nowhere, all the time.
func nameless(w *world) {
	s := w.site(4, "max-replicas", "5")
	s.load.SetLoad(20)
	s.program = s.runs(s.ns, "http://prometheus.invalid:9090")
	s.d.NeverBelow(4, outage)
	s.d.WaitTold(s.program, "NoData", "http://prometheus.invalid:9090", "unreachable")
	s.d.Scale(7)
	s.d.WaitReplicas(5, 10*time.Second)
}

// overloaded counts what is asked of a Prometheus that has no time.
func overloaded(w *world) {
	s := w.site(4).start()
	var asked atomic.Int32
	f := handled(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
	})
	f.start(s)
	began := time.Now()
	s.load.SetLoad(20)
	s.d.NeverBelow(4, outage)
	// There may be one tick at either end.
	if n, most := int(asked.Load()), int(time.Since(began)/time.Second)+2; n < 2 || n > most {
		s.Errorf("%d queries in %s, want one in each tick of 1 s: from 2 to %d", n, time.Since(began), most)
	}
	s.d.WaitReason(s.program, "NoData")
	s.resumes(f, oldest)
}

// gpus says whether a request is for the utilization of GPUs.
func gpus(r *http.Request) bool {
	return strings.Contains(r.FormValue("query"), "DCGM_FI_DEV_GPU_UTIL")
}

// beginning is that of a reply.
const beginning = `{"status":"success","data":{"resultType":"vector","result":[`

// stalled is a fault of what is said of GPUs: a reply begins and does not go on.
func stalled() fault {
	return handled(func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !gpus(r) {
				api.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(beginning))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
	})
}

// queued makes a Deployment of two engines with 4 running requests each, as it wants them to be.
func (s *site) queued() (stage.Deployment, *fleet.Fixed) {
	s.Helper()
	model := fleet.NewFixed(fleet.Reading{Running: 4})
	annotations := stage.GPUAnnotations("target.running-requests", "4", "max-replicas", "4")
	delete(annotations, stage.Prefix+"target.gpu-utilization")
	return stage.Launch(s, fleet.Deployment(s.ns, "llama").Replicas(2).Annotations(annotations).VLLM(), model), model
}

// stalls has others scaled by another signal while that of GPUs does not come.
func stalls(w *world) {
	s := w.site(4)
	llama, model := s.queued()
	s.start()
	llama.WaitReason(s.program, "WithinTolerance")
	f := stalled()
	f.start(s)
	s.load.SetLoad(20)
	time.Sleep(2 * time.Second) // at least one tick has met it
	model.SetAll(fleet.Reading{Running: 8})
	llama.WaitReplicas(4, 10*time.Second)
	s.d.NeverBelow(4, outage)
	s.d.WaitReason(s.program, "NoData")
	s.resumes(f, oldest)
}

// slow measures how long others wait for a reply that takes 4.5 s: three quarters of the tick, then it is given up.
func slow(w *world) {
	s := w.site(4)
	llama, model := s.queued()
	s.start("--interval", "6s", "--max-sample-age", "30s")
	llama.WaitReason(s.program, "WithinTolerance")
	var answered atomic.Pointer[time.Time]
	handle(s, s.prometheus, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gpus(r) {
				<-r.Context().Done()
				return
			}
			api.ServeHTTP(w, r)
			if now := time.Now(); strings.Contains(r.FormValue("query"), "num_requests_running") {
				answered.Store(&now)
			}
		})
	})
	model.SetAll(fleet.Reading{Running: 8})
	llama.WaitReplicas(4, 20*time.Second)
	last := answered.Load()
	if last == nil {
		s.Fatal("nobody asked for running requests")
	}
	if took := time.Since(*last); took > 3*time.Second {
		s.Errorf("scaled %s after the reply to its own query, want at most 3 s", took)
	}
}

// times are the places of times in a reply: of samples, and values that can only be times.
var times = regexp.MustCompile(`\[([0-9.]+),"(1[0-9]{9}[0-9.]*)?`)

// skewed plays a load that goes up, up again and down, with a Prometheus whose clock differs.
func skewed(by time.Duration) func(w *world) {
	return func(w *world) {
		s := w.site(2, "scale-up.policies", "20 pods/1s")
		var asked atomic.Int32
		shift := func(text string, by time.Duration) string {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return text
			}
			return strconv.FormatFloat(seconds+by.Seconds(), 'f', 3, 64)
		}
		handle(s, s.prometheus, func(api http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				if r.URL.Path == "/api/v1/query" && r.Form.Get("time") != "" {
					asked.Add(1)
				}
				for _, name := range []string{"time", "start", "end"} {
					if text := r.Form.Get(name); text != "" {
						r.Form.Set(name, shift(text, -by))
					}
				}
				reply := httptest.NewRecorder()
				api.ServeHTTP(reply, r)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(times.ReplaceAllFunc(reply.Body.Bytes(), func(found []byte) []byte {
					part := times.FindSubmatch(found)
					text := "[" + shift(string(part[1]), by) + `,"`
					if len(part[2]) > 0 {
						text += shift(string(part[2]), by)
					}
					return []byte(text)
				}))
			})
		})
		s.start("--max-sample-age", "30s")
		s.load.SetLoad(400)
		s.d.WaitReplicas(4, 15*time.Second)
		s.d.WaitReplicas(8, 15*time.Second) // this raise waits for samples that are younger than the last one's pods
		s.load.SetLoad(100)
		s.d.WaitReplicas(2, 20*time.Second)
		if n := asked.Load(); n > 0 {
			s.Errorf("%d queries carried a time", n)
		}
	}
}

// unread is a fault of the exporters: they do not know the utilization, and leave it out.
var unread = fault{func(s *site) { s.load.Read(fleet.Absent) }, func(s *site) {
	s.load.Read(0)
	s.load.SetLoad(20)
}}

// restartsBlind lets Prometheus lose its data while the exporters do not know the GPUs. The outage is longer than the window, so that none of it
// is left.
func restartsBlind(w *world) {
	const window = 8 * time.Second
	s := w.site(4, "scale-down.stabilization", window.String()).start()
	unread.start(s)
	s.load.SetLoad(20)
	if err := s.prometheus.RestartEmpty(); err != nil {
		s.Fatal(err)
	}
	s.d.NeverBelow(4, outage)
	s.d.WaitReason(s.program, "NoData")
	s.resumes(unread, window)
}

// restartsBusy has no window that would hide a tick without data.
func restartsBusy(w *world) {
	s := w.site(4, "scale-down.stabilization", "0s").start()
	unread.start(s) // or the first scrape could come before the next tick
	if err := s.prometheus.RestartEmpty(); err != nil {
		s.Fatal(err)
	}
	s.d.HoldsReplicas(4, 3*time.Second)
	s.load.Read(0)
	s.load.SetLoad(200) // as before
	s.d.HoldsReplicas(4, 3*time.Second)
	s.load.SetLoad(300)
	s.d.WaitReplicas(6, 15*time.Second)
}
