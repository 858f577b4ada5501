package e2e

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// The API server away for a while: the program goes on by itself when it is back.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	l := stage.NewLoad(100)
	ns := stage.Namespace(t, "away")
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), l)
	proxy, config := stage.Proxied(t)
	program := stage.Start(t, config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect=false")
	d.WaitReason(program, "WithinTolerance")
	proxy.Cut()
	l.SetLoad(200)
	d.HoldsReplicas(2, 5*time.Second)
	if err := proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	d.WaitReplicas(4, 60*time.Second)
}
