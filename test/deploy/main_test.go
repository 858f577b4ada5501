// Package deploy tests what deploy/ ships: that kustomize and Helm make the same of the same choices, that a real API server takes
// it, admits its pods under the strictest Pod Security Standard, and grants its account what is needed and nothing else.
package deploy

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// shared is the control plane of all tests that need one. It is started by the first of them.
var shared struct {
	sync.Mutex
	*bed.Bed
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.Bed != nil {
		if err := shared.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// control returns the control plane.
func control(t *testing.T) *bed.Bed {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.Bed == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		b, err := bed.Start(ctx, bed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		shared.Bed = b
	}
	return shared.Bed
}
