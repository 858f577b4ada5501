package explain

import (
	"encoding/json"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// FuzzOf: whatever an input says, its story is told, in a bounded time, and the same one each time.
func FuzzOf(f *testing.F) {
	for seed := range uint64(6) {
		text, err := json.Marshal(chaos(f, seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"spec":{"maxReplicas":3,"targets":[{"signal":"gpu-utilization"}],"maxSampleAge":-1,"interval":1},"time":"2026-01-01T00:00:00Z","seen":{"replicas":2}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var in policy.Input
		if json.Unmarshal(text, &in) != nil {
			return
		}
		a, errA := json.Marshal(Of(&in))
		b, errB := json.Marshal(Of(&in))
		if string(a) != string(b) || (errA == nil) != (errB == nil) {
			t.Errorf("told\n%s (%v)\nand then\n%s (%v)", a, errA, b, errB)
		}
	})
}
