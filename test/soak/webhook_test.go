package soak

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// behaviour is what a webhook does to writes of the scale subresource.
type behaviour int

const (
	answers behaviour = iota
	// hangs answers only when the API server has given up.
	hangs
	// denies refuses, and mutates makes it one replica whatever was asked for.
	denies
	mutates
	// slow lets it pass after most of a second.
	slow
)

// webhook is an admission webhook for all namespaces that behaves as each is told.
type webhook struct {
	mu   sync.Mutex
	does map[string]behaviour
}

// behave tells it what to do in a namespace.
func (h *webhook) behave(namespace string, does behaviour) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.does[namespace] = does
}

// startWebhook serves one and makes it known to the API server.
func startWebhook(t *testing.T) *webhook {
	t.Helper()
	h := &webhook{does: map[string]behaviour{}}
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	url := server.URL + "/"
	fail, none, wait := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone, int32(30)
	config := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "tenants"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "tenants.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments/scale"}},
			}},
			FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &wait, AdmissionReviewVersions: []string{"v1"},
		}},
	}
	client := stage.Cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := client.Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Delete(context.WithoutCancel(t.Context()), config.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return h
}

// ServeHTTP answers a review.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	h.mu.Lock()
	does := h.does[review.Request.Namespace]
	h.mu.Unlock()
	switch does {
	case answers:
	case hangs:
		<-r.Context().Done()
		return
	case denies:
		answer.Allowed, answer.Result = false, &metav1.Status{Message: "not here", Code: http.StatusForbidden}
	case mutates:
		patch := admissionv1.PatchTypeJSONPatch
		answer.PatchType, answer.Patch = &patch, []byte(`[{"op":"replace","path":"/spec/replicas","value":1}]`)
	case slow:
		time.Sleep(800 * time.Millisecond)
	}
	review.Response = answer
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}
