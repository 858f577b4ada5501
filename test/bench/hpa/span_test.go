package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// line is a line of an audit log: a write of the scale of a Deployment, so many seconds after noon.
func line(user, verb, app string, second, code int) string {
	return fmt.Sprintf(`{"verb":%q,"user":{"username":%q},"requestReceivedTimestamp":"2026-01-01T12:00:%02d.000000Z",`+
		`"objectRef":{"resource":"deployments","subresource":"scale","namespace":%q,"name":%q},"responseStatus":{"code":%d}}`+"\n",
		verb, user, second, namespace, app, code)
}

// The first write counts that came after the step and was accepted; a write by anybody else ends the run.
func TestFirstWrites(t *testing.T) {
	stepped := map[string]time.Time{"a": time.Date(2026, 1, 1, 12, 0, 10, 0, time.UTC)}
	for name, c := range map[string]struct {
		log    string
		second int
		err    string
	}{
		"none":                  {"", 0, ""},
		"before the step":       {line("me", "update", "a", 9, 200), 0, ""},
		"after it":              {line("me", "update", "a", 12, 200), 12, ""},
		"the first of two":      {line("me", "patch", "a", 12, 200) + line("me", "patch", "a", 14, 200), 12, ""},
		"not one refused":       {line("me", "patch", "a", 12, 409) + line("me", "patch", "a", 14, 200), 14, ""},
		"not one that reads":    {line("me", "get", "a", 12, 200), 0, ""},
		"not of one not waited": {line("me", "patch", "b", 12, 200), 0, ""},
		"not yet whole":         {strings.TrimSuffix(line("me", "patch", "a", 12, 200), "\n"), 0, ""},
		"somebody else":         {line("me", "patch", "a", 12, 200) + line("you", "patch", "b", 13, 409), 0, "somebody else scales: you patch"},
	} {
		path := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(path, []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &stage{ready: clusterReady{Audit: path}, arm: &arm{user: "me"}}
		first, err := s.written(0, stepped)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want an error with %q", name, err, c.err)
			}
			continue
		}
		at, found := first["a"]
		if err != nil || found != (c.second > 0) || found && at.Second() != c.second || len(first) > 1 {
			t.Errorf("%s: %v, %v, want second %d", name, first, err, c.second)
		}
	}
}

func TestKindsOfRequests(t *testing.T) {
	for want, e := range map[string]bed.AuditEvent{
		"get deployments/scale":                  {Verb: "get", URI: "/apis/apps/v1/namespaces/bench/deployments/a/scale", Resource: "deployments", Subresource: "scale"},
		"update leases":                          {Verb: "update", URI: "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", Resource: "leases"},
		"get custom.metrics.k8s.io":              {Verb: "get", URI: podMetrics.path() + "?labelSelector=app%3Da", Resource: "pods", Subresource: metric},
		"list external.metrics.k8s.io":           {Verb: "list", URI: externalMetrics.path() + "?labelSelector=app%3Da", Resource: metric},
		"get discovery":                          {Verb: "get", URI: "/apis"},
		"watch horizontalpodautoscalers":         {Verb: "watch", URI: "/apis/autoscaling/v2/horizontalpodautoscalers?watch=true", Resource: "horizontalpodautoscalers"},
		"update horizontalpodautoscalers/status": {Verb: "update", Resource: "horizontalpodautoscalers", Subresource: "status"},
	} {
		if got := kindOf(&e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
