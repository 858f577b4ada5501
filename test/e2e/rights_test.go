package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// The Role of deploy/ names every ConfigMap that the controller uses.
func TestCheckpointRights(t *testing.T) {
	t.Parallel()
	may := func(verb, name string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := stage.Cluster.WaitAllowed(ctx, stage.ControllerUser, nil, authorizationv1.ResourceAttributes{
			Namespace: install.Namespace, Resource: "configmaps", Verb: verb, Name: name,
		})
		if err != nil {
			t.Error(err)
		}
	}
	may("create", "")
	for n := range 16 {
		may("get", fmt.Sprintf("gpuscaler-checkpoint-%d", n))
		may("update", fmt.Sprintf("gpuscaler-checkpoint-%d", n))
	}
}
