package e2e

import (
	"cmp"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// fault is a way in which the metrics break while the load is gone, so that a scaler that trusts them would lower.
type fault struct {
	name  string
	start func(t *testing.T, p *prom.Server, load *stage.Load)
	heal  func(t *testing.T, p *prom.Server, load *stage.Load)
	// reason is what the program says meanwhile, NoData if empty.
	reason string
}

// server makes a fault out of a switch of the Prometheus server.
func server(f prom.Fault) (start, heal func(t *testing.T, p *prom.Server, load *stage.Load)) {
	set := func(f prom.Fault) func(t *testing.T, p *prom.Server, load *stage.Load) {
		return func(t *testing.T, p *prom.Server, _ *stage.Load) {
			t.Helper()
			if err := p.SetFault(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	return set(f), set(prom.Normal)
}

// answers makes a fault out of a reply.
func answers(contentType, body string) (start, heal func(t *testing.T, p *prom.Server, load *stage.Load)) {
	_, heal = server(prom.Normal)
	return func(t *testing.T, p *prom.Server, _ *stage.Load) {
		t.Helper()
		err := p.SetHandler(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				_, _ = w.Write([]byte(body))
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}, heal
}

// reads makes a fault out of a reading.
func reads(v float64) (start, heal func(t *testing.T, p *prom.Server, load *stage.Load)) {
	set := func(v float64) func(t *testing.T, p *prom.Server, load *stage.Load) {
		return func(_ *testing.T, _ *prom.Server, load *stage.Load) {
			load.Read(v)
			load.SetLoad(20) // lets the new reading in
		}
	}
	return set(v), set(0)
}

func faults() []fault {
	make := func(name string) func(start, heal func(*testing.T, *prom.Server, *stage.Load)) fault {
		return func(start, heal func(*testing.T, *prom.Server, *stage.Load)) fault {
			return fault{name: name, start: start, heal: heal}
		}
	}
	partial := make("answering with warnings")(answers("application/json", `{"status":"success","warnings":["partial response"],"data":{"resultType":"vector","result":[]}}`))
	partial.reason = "PartialData"
	return []fault{
		make("stopped")(server(prom.Refuse)),
		make("hanging")(server(prom.Hang)),
		make("answering 500")(server(prom.Status500)),
		make("answering HTML")(server(prom.HTML)),
		partial,
		make("answering a matrix")(answers("application/json", `{"status":"success","data":{"resultType":"matrix","result":[]}}`)),
		make("answering an empty vector")(answers("application/json", `{"status":"success","data":{"resultType":"vector","result":[]}}`)),
		make("reading NaN")(reads(math.NaN())),
		make("reading 4294967295")(reads(fleet.Blank)),
		make("without the series")(reads(fleet.Absent)),
		{
			name: "restarted empty, with the exporters gone",
			start: func(t *testing.T, p *prom.Server, l *stage.Load) {
				t.Helper()
				l.Read(fleet.Absent)
				l.SetLoad(20)
				if err := p.RestartEmpty(); err != nil {
					t.Fatal(err)
				}
			},
			heal: func(_ *testing.T, _ *prom.Server, l *stage.Load) {
				l.Read(0)
				l.SetLoad(20)
			},
		},
	}
}

// Whatever breaks, nothing is ever lowered, and it resumes by itself: after a window of good data it lowers again.
func TestNothingIsLoweredOnBrokenMetrics(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			p := stage.StartPrometheus(t, false)
			l := stage.NewLoad(200)
			ns := stage.Namespace(t, "fault")
			d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations(), l)
			program := stage.Runs(t, ns, p.URL(), "--max-sample-age", "5s")
			d.WaitReason(program, "WithinTolerance")

			f.start(t, p, l)
			l.SetLoad(20)
			d.WaitReason(program, cmp.Or(f.reason, "NoData"))
			d.NeverBelow(4, 7*time.Second) // longer than the window and than a sample may be old: a gap

			healed := time.Now() // at the earliest: a tick may come while it heals
			f.heal(t, p, l)
			d.WaitReason(program, "Gap")
			d.WaitReplicas(1, 30*time.Second)
			if took := time.Since(healed); took < 5*time.Second {
				t.Errorf("lowered %s after the data came back, want a full window of 5 s", took)
			}
		})
	}
}

// A Prometheus that restarts empty while the load is high: the replicas stay, and follow the load again by themselves.
func TestPrometheusRestartsEmpty(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	l := stage.NewLoad(200)
	ns := stage.Namespace(t, "restart")
	d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations(), l)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	if err := p.RestartEmpty(); err != nil {
		t.Fatal(err)
	}
	d.NeverBelow(4, 5*time.Second)
	l.SetLoad(300)
	d.WaitReplicas(6, 15*time.Second)
}
