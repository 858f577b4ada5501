package soak

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// tenant is one who does harm, by accident or on purpose.
type tenant struct {
	name string
	// does is what the webhook does to our writes in the tenant's namespace.
	does behaviour
	// deployments is how many Deployments there are, and annotations are theirs.
	deployments int
	annotations func() map[string]string
	// written is a result of writes that must have been counted, empty for none.
	written string
	// floods says that the tenant's pods expose series without end, which Prometheus has scraped.
	floods bool
}

// below are annotations of a Deployment that must be raised in each tick, with or without metrics.
func below() map[string]string { return annotations("min-replicas", "2") }

// garbage are as many wrong annotations as the API server takes: 256 KiB with their keys.
func garbage() map[string]string {
	a := annotations()
	for n := range 1900 {
		a[fmt.Sprintf("%sgarbage-%d", stage.Prefix, n)] = strings.Repeat("x", 100)
	}
	return a
}

var tenants = []tenant{
	{"hangs", hangs, 60, below, "unknown", false},
	{"denies", denies, 60, below, "forbidden", false},
	{"mutates", mutates, 60, below, "success", false},
	{"slow", slow, 60, below, "success", false},
	{"garbage", answers, 100, garbage, "", false},
	{"floods", answers, 1, func() map[string]string { return annotations() }, "", true},
}

// promptly is how long a write of a good tenant may take from its decision. A write that hangs takes ten seconds.
const promptly = 3 * time.Second

// Whatever a tenant has done to his Deployments and to our writes in his namespace: the writes of another go out as soon as they are
// decided.
func TestBadTenant(t *testing.T) {
	hook := startWebhook(t)
	for _, bad := range tenants {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			p := stage.StartPrometheus(t, false)
			good, ns := stage.Namespace(t, "good"), stage.Namespace(t, "bad") // sorted by name, the bad one comes first
			load := stage.NewLoad(100)
			d := stage.Create(t, good, "vision", 2, annotations(), load)
			hook.behave(ns, bad.does)
			if bad.floods {
				if err := p.SetHandler(flood(ns)); err != nil {
					t.Fatal(err)
				}
			}
			for n := range bad.deployments {
				builder := fleet.Deployment(ns, fmt.Sprint("bad-", n)).Replicas(1).Annotations(bad.annotations())
				builder.Object().Spec.Paused = true // no pods: they are not what this is about
				if _, err := builder.Create(t.Context(), stage.Cluster.Client()); err != nil {
					t.Fatal(err)
				}
			}
			stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+good+`"} == 50)`, 2)
			program := stage.Runs(t, good, p.URL(), "--watch-namespace", ns)
			d.WaitReason(program, "WithinTolerance")
			if bad.written != "" {
				bed.WaitFor(t, 30*time.Second, "writes with the result "+bad.written, func() error {
					if written(program, bad.written) == 0 {
						return fmt.Errorf("none")
					}
					return nil
				})
			}
			for round, want := range []int{4, 6} {
				load.SetLoad(float64(50 * want))
				d.WaitReplicas(want, 30*time.Second)
				took := decidedToWritten(t, program, good, want)
				t.Logf("raise %d was made %v after it was decided", round, took)
				if took > promptly {
					t.Errorf("raise %d was made %v after it was decided, want within %v", round, took, promptly)
				}
				d.WaitReady(want)
			}
			if resident := program.Resident(t); resident > 200<<20 {
				t.Errorf("%d MiB in use", resident>>20)
			}
		})
	}
}

// flood answers queries that ask for a namespace with 70 MiB of series of it, as a Prometheus does that has scraped a pod which makes them up.
func flood(namespace string) func(http.Handler) http.Handler {
	const series = `{"metric":{"namespace":%q,"pod":"made-up-%d","engine":"0","source":"DCGM_FI_DEV_GPU_UTIL"},"value":[%d,"0"]},`
	return func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.FormValue("query"), namespace) {
				api.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`)
			for n, sent := 0, 0; sent < 70<<20; n++ {
				k, err := fmt.Fprintf(w, series, namespace, n, time.Now().Unix())
				if err != nil {
					return // whoever reads has had enough
				}
				sent += k
			}
			_, _ = io.WriteString(w, `{"metric":{},"value":[0,"0"]}]}}`)
		})
	}
}

// written is how many writes had a result.
func written(p *stage.Process, result string) (n float64) {
	families, err := scrape(p)
	if err != nil {
		return 0
	}
	for _, m := range families["gpuscaler_scale_writes_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetValue() == result {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// decidedToWritten finds in the log how long after the decision for so many replicas the write was made.
func decidedToWritten(t *testing.T, p *stage.Process, namespace string, replicas int) time.Duration {
	t.Helper()
	at := func(message, field string) (when time.Time) {
		for _, line := range strings.Split(p.Output(), "\n") {
			if strings.Contains(line, message) && strings.Contains(line, namespace) && strings.Contains(line, fmt.Sprintf("%q: %d", field, replicas)) {
				when, _ = time.Parse(time.RFC3339Nano, strings.Fields(line)[0])
			}
		}
		if when.IsZero() {
			t.Fatalf("the log has no %q with %s %d", message, field, replicas)
		}
		return when
	}
	var took time.Duration
	bed.WaitFor(t, 5*time.Second, "the log", func() error {
		if !strings.Contains(p.Output(), fmt.Sprintf("%q: %d", "replicas", replicas)) {
			return fmt.Errorf("says nothing of it")
		}
		took = at(" Scaled ", "replicas").Sub(at(" Decided ", "desired"))
		return nil
	})
	return took
}
