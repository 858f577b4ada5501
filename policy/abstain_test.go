package policy

import (
	"strings"
	"testing"
)

// A signal that abstains asks for no change, and says so.
func TestAbstaining(t *testing.T) {
	for key, value := range map[string]string{"target.kv-cache": "80", "steps.kv-cache": "<30:-1, >90:+1"} {
		w := world{replicas: 4, now: testStart, spec: mustParse(t, map[string]string{"max-replicas": "20", "scale-down.stabilization": "0s", key: value})}
		o := w.seen(5)
		o.Readings[0].Signal = KVCache
		d := w.tick(o)
		if d.Reason != DesiredWithinRange || d.Signals[0].Recommended != 4 || !strings.Contains(d.Message(), "kv-cache is 5") || !strings.Contains(d.Message(), "only raises") {
			t.Errorf("%s: %s, recommended %d: %q", key, d.Reason, d.Signals[0].Recommended, d.Message())
		}
	}
}
