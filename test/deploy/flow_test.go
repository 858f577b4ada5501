package deploy

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// The API server puts the lease and the scale writes where the FlowSchemas say, and nothing else of the controller.
func TestFlowSchemas(t *testing.T) {
	install(t, compose(t, system, "cluster-wide", []string{"flow-schemas"}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	config, err := control(t).ServiceAccountConfig(ctx, system, account)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	scale := `[{"op":"replace","path":"/spec/replicas","value":1}]`
	for _, c := range []struct{ method, path, body, schema string }{
		{http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/" + system + "/leases/gpuscaler", "", "gpuscaler-lease"},
		{http.MethodPatch, "/apis/apps/v1/namespaces/prod/deployments/llm/scale", scale, "gpuscaler-scale"},
		{http.MethodGet, "/api/v1/pods", "", "service-accounts"},
	} {
		bed.WaitFor(t, 20*time.Second, c.method+" "+c.path, func() error {
			request, err := http.NewRequestWithContext(t.Context(), c.method, config.Host+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json-patch+json")
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			return bed.Want("FlowSchema", flowSchema(t, answer.Header.Get("X-Kubernetes-Pf-Flowschema-Uid")), c.schema)
		})
	}
}

// flowSchema names the FlowSchema with a UID.
func flowSchema(t *testing.T, uid string) string {
	t.Helper()
	list, err := control(t).Client().FlowcontrolV1().FlowSchemas().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if string(list.Items[i].UID) == uid {
			return list.Items[i].Name
		}
	}
	return ""
}
