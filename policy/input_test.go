package policy

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// TestInputReplays writes down what decisions in a random cluster were made from, reads it back, and wants the same decisions.
func TestInputReplays(t *testing.T) {
	for seed := range uint64(60) {
		c := newChaos(t, seed)
		c.spec.Schedule = mustParse(t, map[string]string{
			"max-replicas": "9", "target.queue-depth": "1", "schedule": "Mon-Fri 08:00-20:00 Europe/Berlin min=2; Sun 22:00-06:00 UTC max=5",
		}).Schedule
		for range 40 {
			seen := c.happen()
			in := Input{Time: c.now, Spec: c.spec, State: c.state, Seen: seen.Clone()}
			decided, next := Decide(c.spec, c.state, seen, c.now)
			text, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			var read Input
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			again, nextAgain := read.Decide()
			if a, b := asJSON(t, decided.Outcome()), asJSON(t, again.Outcome()); a != b {
				t.Fatalf("seed %d: decided\n%s\nreplayed\n%s", seed, a, b)
			}
			if a, b := asJSON(t, next), asJSON(t, nextAgain); a != b {
				t.Fatalf("seed %d: remembered\n%s\nreplayed\n%s", seed, a, b)
			}
			c.state, c.replicas = next.Wrote(decided, c.now), decided.Desired
			c.sync()
			c.now = c.now.Add(testInterval)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCloneIsIndependent: what is written over afterwards does not show, and what JSON cannot tell is missing.
func TestCloneIsIndependent(t *testing.T) {
	o := Observation{Pods: []Pod{{Name: "a"}}, Readings: []Reading{{Samples: []Sample{{Value: 1, OK: true}, {Value: math.NaN(), OK: true}}}}}
	c := o.Clone()
	o.Pods[0].Name, o.Readings[0].Samples[0].Value = "b", 2
	if c.Pods[0].Name != "a" || c.Readings[0].Samples[0].Value != 1 || c.Readings[0].Samples[1] != (Sample{}) {
		t.Errorf("%+v", c)
	}
}

// TestWords: every value of an enumeration is read back from its word, and other words are refused.
func TestWords(t *testing.T) {
	for _, v := range []any{Loading, Ready, Unschedulable, NoHand, CreatorsHand, Pods, Percent, MaxChange, Disabled, Up, Down, Up | Down} {
		read := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal([]byte(asJSON(t, v)), read.Interface()); err != nil || read.Elem().Interface() != v {
			t.Errorf("%T %v: %v, %v", v, v, read.Elem(), err)
		}
	}
	var p Phase
	if err := json.Unmarshal([]byte(`"asleep"`), &p); err == nil || !strings.Contains(err.Error(), `"asleep" is not allowed`) {
		t.Errorf("error %v", err)
	}
}
