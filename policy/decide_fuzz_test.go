package policy

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// FuzzDecide feeds a State of any bytes, pods of any phases and any reading. No panic; the same again gives the same; the outcome is within
// bounds; without a sample nothing is lowered; a first raise is within its budget; and what is remembered can be written down as JSON, is
// read back as it was, and decides the same.
func FuzzDecide(f *testing.F) {
	f.Add([]byte(`{}`), 50.0, 3, int64(0), uint8(0))
	f.Add([]byte(`{}`), math.NaN(), 30, int64(0), uint8(0))
	f.Add([]byte(`{}`), 100.0, 7, int64(0), uint8(5))
	f.Add([]byte(`{"newest":{"replicas":-9,"time":"9999-01-01T00:00:00Z"},"past":[{"replicas":1000000}],"events":[{"change":2147483647}]}`), math.Inf(1), 1, int64(1), uint8(3))
	f.Add([]byte(`{"badSince":"0001-01-01T00:00:00Z","gapEnd":"2026-01-01T00:00:00Z","fired":[{"signal":"x"}]}`), math.NaN(), 40, int64(math.MaxInt64), uint8(255))
	f.Add([]byte(`{"newest":{"replicas":4,"time":"2026-01-05T07:59:00Z"},"seen":"2026-01-05T07:59:50Z","startups":[-5,99999999999,40],
		"shortage":{"since":"2026-01-05T07:00:00Z","tries":99,"until":"2036-01-05T07:00:00Z","enough":"2026-01-01T00:00:00Z"},
		"hands":{"replicas":-3,"since":"2026-01-05T07:00:00Z","override":{"replicas":-7,"raised":true,"until":"2027-01-01T00:00:00Z"},"restore":-2,"resets":["2026-01-05T07:30:00Z"],"stoppedUntil":"2026-01-05T07:00:00Z"},
		"trial":{"signal":"gpu-utilization","value":-1,"replicas":-1,"time":"2026-01-05T07:00:00Z"},"deaf":{"signal":"gpu-utilization","raises":-9},
		"idleSince":"2020-01-01T00:00:00Z","stuck":[{"pod":"0","time":"0001-01-01T00:00:00Z"}],"served":[{"pod":"0"}]}`), 90.0, 4, int64(0), uint8(0b1001))
	f.Fuzz(func(t *testing.T, text []byte, value float64, replicas int, seconds int64, phases uint8) {
		in, ok := fuzzInput(t, text, value, replicas, seconds, phases)
		if !ok {
			return
		}
		d, next := in.Decide()
		if again, same := in.Decide(); !reflect.DeepEqual(again, d) || !reflect.DeepEqual(same, next) {
			t.Fatalf("decided\n%+v\nand then\n%+v", d, again)
		}
		checkOutcome(t, &in, &d)
		checkMemory(t, &in, next.Wrote(d, in.Time))
	})
}

// fuzzBounds are those that FuzzDecide decides within.
var fuzzBounds = struct{ least, most int }{2, 50}

// fuzzInput makes the input of a decision; ok is false if there is no such State.
func fuzzInput(t *testing.T, text []byte, value float64, replicas int, seconds int64, phases uint8) (in Input, ok bool) {
	t.Helper()
	if json.Unmarshal(text, &in.State) != nil {
		return in, false
	}
	w := world{replicas: min(max(replicas, 0), 1000), now: testStart.Add(time.Duration(seconds % (1 << 40))), spec: mustParse(t, map[string]string{
		"min-replicas": "2", "max-replicas": "50", "target.gpu-utilization": "50", "steps.running-requests": ">10:+3",
	})}
	o := w.seen(value)
	for i := range o.Pods {
		p := &o.Pods[i]
		p.Phase = Phase(phases>>(i%4*2)) % 3
		p.Served, p.Restarts, p.Scheduled = i%3 == 0, i%4, w.now.Add(-time.Duration(i%7)*time.Minute)
	}
	o.Hand.By, o.FreeKnown, o.Free, o.Refused = HandKind(phases%5), phases%2 == 0, int(phases%16), phases%3 == 0
	o.Rollout, o.Started = phases%7 == 0, []time.Duration{time.Duration(seconds)}
	in.Spec, in.Seen, in.Time = w.spec, o, w.now
	return in, true
}

// checkOutcome looks at what was decided.
func checkOutcome(t *testing.T, in *Input, d *Decision) {
	t.Helper()
	from, sampled := in.Seen.Replicas, false
	for _, s := range in.Seen.Readings[0].Samples {
		sampled = sampled || s.OK
	}
	switch {
	case from > 0 && (d.Desired < fuzzBounds.least || d.Desired > fuzzBounds.most):
		t.Fatalf("%d is out of bounds (%s)", d.Desired, d.Message())
	case !reasonKnown(d.Reason):
		t.Fatalf("the reason %q is not in the list", d.Reason)
	case !sampled && d.Recommended.Replicas < min(from, fuzzBounds.most):
		t.Fatalf("without a sample %d is recommended for %d (%s)", d.Recommended.Replicas, from, d.Message())
	case len(in.State.Events) == 0 && reflect.ValueOf(in.State.Hands).IsZero() && in.Seen.Hand == (Hand{}) &&
		from >= fuzzBounds.least && d.Desired > max(from+4, 2*from):
		t.Fatalf("raised from %d to %d at once (%s)", from, d.Desired, d.Message())
	}
}

func reasonKnown(r Reason) bool { return r == "" || slices.Contains(Reasons(), r) }

// checkMemory writes down what is remembered, reads it back, and decides from both.
func checkMemory(t *testing.T, in *Input, next State) {
	t.Helper()
	text, err := json.Marshal(next)
	if err != nil {
		if in.Time.Year() < 9999 {
			t.Fatal(err)
		}
		return // RFC 3339 has no such year
	}
	var back State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	again, _ := json.Marshal(back)
	if string(again) != string(text) {
		t.Fatalf("wrote\n%s\nand read\n%s", text, again)
	}
	now := in.Time.Add(testInterval)
	a, _ := Decide(in.Spec, next, in.Seen, now)
	b, _ := Decide(in.Spec, back, in.Seen, now)
	if a.Desired != b.Desired || a.Reason != b.Reason {
		t.Fatalf("from memory %d (%s), from what was written %d (%s)", a.Desired, a.Message(), b.Desired, b.Message())
	}
}
