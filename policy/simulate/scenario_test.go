package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

func TestValidate(t *testing.T) {
	good := func() Scenario {
		return scene(t, 10, 1, "target.running-requests=10").reads(t, policy.RunningRequests, "10")
	}
	for want, change := range map[string]func(*Scenario){
		"interval: 0s is not allowed":                          func(s *Scenario) { s.Interval = 0 },
		"duration: 1000h0m0s in ticks of 15s are 240001 ticks": func(s *Scenario) { s.Duration = 1000 * time.Hour },
		"duration: -1ns is not allowed":                        func(s *Scenario) { s.Duration = -1 },
		"start: 0001-01-01 00:00:00 +0000 UTC":                 func(s *Scenario) { s.Start = time.Time{} },
		"startup: -1ns is not allowed":                         func(s *Scenario) { s.Startup = -1 },
		"replicas: 10001 is not allowed":                       func(s *Scenario) { s.Replicas = 10001 },
		"gpus: -1 is not allowed":                              func(s *Scenario) { s.GPUs = new(int); *s.GPUs = -1 },
		"signals.running-requests: has no series":              func(s *Scenario) { s.Signals[0].Series = nil },
		"workload.running-requests: is read from each pod": func(s *Scenario) {
			s.Workload = []WorkloadSignal{{Signal: policy.RunningRequests, Series: series(t, "1")}}
		},
		"workload.foo: is given twice": func(s *Scenario) {
			s.Workload = []WorkloadSignal{{Signal: "foo", Series: series(t, "1")}, {Signal: "foo", Series: series(t, "1")}}
		},
		"events[1].at: 11m0s is not allowed":                    func(s *Scenario) { s.Events = []Event{{At: 11 * time.Minute, Kind: Restart}} },
		"events[1].at: -1s is not allowed":                      func(s *Scenario) { s.Events = []Event{{At: -time.Second, Kind: Restart}} },
		"events[2].for: 1s is not allowed: replicas is over at": func(s *Scenario) { s.Events = []Event{{Kind: Restart}, {For: time.Second, Kind: SetReplicas}} },
		"events[1].for: -1ns is not allowed":                    func(s *Scenario) { s.Events = []Event{{For: -1, Kind: Outage}} },
		"events[1].replicas: -1 is not allowed":                 func(s *Scenario) { s.Events = []Event{{Kind: SetReplicas, Number: -1}} },
		"expect.min-slo-attainment: there are no requests": func(s *Scenario) {
			s.Expect = []Expectation{expectation(t, "min-slo-attainment", 1)}
		},
		"load.requests-per-second: has NaN at 1m0s": func(s *Scenario) {
			*s = closedDay(t)
			s.Load.RequestsPerSecond = series(t, "1x3 NaN")
		},
		"load.requests-per-second: has no value at 1m0s": func(s *Scenario) {
			*s = closedDay(t)
			s.Load.RequestsPerSecond = series(t, "1x3 _")
		},
		"load.requests-per-second: sends about 86400000 requests": func(s *Scenario) {
			*s = closedDay(t)
			s.Load.RequestsPerSecond = series(t, "1000")
		},
		"server.max-running: 0 is not allowed": func(s *Scenario) {
			*s = closedDay(t)
			s.Load.Serving.Server.MaxRunning = 0
		},
	} {
		s := good()
		change(&s)
		if _, err := Run(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// A signal that nothing gives is missing at every tick, and told.
func TestSignalThatNothingGives(t *testing.T) {
	s := scene(t, 10, 3, "target.running-requests=10", "target.gpu-utilization=50", "scale-down.stabilization=0s").reads(t, policy.RunningRequests, "1")
	want := "gpuscaler.io/target.gpu-utilization: nothing gives the signal gpu-utilization, so that it is missing at every tick: give it a series under signals, or a load"
	if notes := s.Notes(); len(notes) != 1 || notes[0] != want {
		t.Errorf("got %q, want %q", notes, want)
	}
	if last := simulated(t, s).Ticks[5]; last.Desired != 3 || last.Reason != policy.NoData {
		t.Errorf("got %d %s, want 3 held for want of data", last.Desired, last.Reason)
	}
}

// Absurd numbers of replicas end a run instead of the memory.
func TestTooManyReplicas(t *testing.T) {
	s := scene(t, 10, 1, "target.running-requests=1", "max-replicas=2000000000", "scale-up.policies=1000000%/15s").reads(t, policy.RunningRequests, "1000000")
	if _, err := Run(s); err == nil || !strings.Contains(err.Error(), "at most 10000 can be simulated") {
		t.Errorf("got %v", err)
	}
}
