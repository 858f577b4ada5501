package metrics

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	tests := []struct{ raw, shown, base string }{
		{"", "", ""},
		{"auto", "auto", ""},
		{"http://prometheus:9090", "http://prometheus:9090", "http://prometheus:9090"},
		{"http://prometheus:9090/", "http://prometheus:9090", "http://prometheus:9090"},
		{"https://mimir.example/prometheus/?partial_response=false", "https://mimir.example/prometheus?partial_response=false", "https://mimir.example/prometheus?partial_response=false"},
		{"http://[::1]:9090", "http://[::1]:9090", "http://[::1]:9090"},
		{"http://user:secret@host", "http://user:xxxxx@host", "http://user:secret@host"},
		{"http://host/p?b=1&a=2", "http://host/p?b=1&a=2", "http://host/p?b=1&a=2"},
		{"http://host/?apiKey=secret&a=2", "http://host?a=2&apiKey=xxxxx", "http://host?apiKey=secret&a=2"},
		{"kube://monitoring/prometheus:9090", "kube://monitoring/prometheus:9090", "https://api/api/v1/namespaces/monitoring/services/prometheus:9090/proxy"},
		{"kube://monitoring/prometheus:web/", "kube://monitoring/prometheus:web", "https://api/api/v1/namespaces/monitoring/services/prometheus:web/proxy"},
		{"kube://openshift-monitoring/https:thanos-querier:9091", "kube://openshift-monitoring/https:thanos-querier:9091", "https://api/api/v1/namespaces/openshift-monitoring/services/https:thanos-querier:9091/proxy"},
		{"kube://vm/vmselect:8481/select/0/prometheus?x=1", "kube://vm/vmselect:8481/select/0/prometheus?x=1", "https://api/api/v1/namespaces/vm/services/vmselect:8481/proxy/select/0/prometheus?x=1"},
	}
	for _, tt := range tests {
		e, err := ParseURL(tt.raw)
		if err != nil {
			t.Errorf("%s: %v", tt.raw, err)
			continue
		}
		if got := e.String(); got != tt.shown {
			t.Errorf("%s: shown as %s, want %s", tt.raw, got, tt.shown)
		}
		if got := e.BaseURL("https://api/"); got != tt.base {
			t.Errorf("%s: base %s, want %s", tt.raw, got, tt.base)
		}
	}
}

func TestParseURLErrors(t *testing.T) {
	tests := map[string]string{
		"prometheus:9090":                       `scheme "prometheus"`,
		"localhost":                             `scheme ""`,
		"ftp://host":                            `scheme "ftp"`,
		"http://":                               "no host",
		"http://host:99999":                     `port "99999"`,
		"http://host:0":                         `port "0"`,
		"http://host/#graph":                    "fragment",
		"http://host/api/v1/query":              "leave out /api/v1",
		"http://user:hunter2@ho st/":            "invalid character",
		"kube://monitoring":                     `service ""`,
		"kube://monitoring/prometheus":          "has no port",
		"kube://monitoring/prometheus:":         "has no port",
		"kube://monitoring/prometheus:0":        `port "0"`,
		"kube://monitoring/prometheus:65536":    `port "65536"`,
		"kube://monitoring/prometheus:080":      `port "080"`,
		"kube://monitoring/prometheus:We_b":     `port "We_b"`,
		"kube://monitoring/ftp:prometheus:90":   `scheme "ftp"`,
		"kube://monitoring/Prom:90":             `service "Prom"`,
		"kube://mon_itoring/prom:90":            `namespace "mon_itoring"`,
		"kube:///prom:90":                       `namespace ""`,
		"kube://me@monitoring/prom:90":          "user",
		"kube://m/prom:90/../../secrets":        "dots",
		"kube://m/prom:90/%2e%2e/secrets":       "dot",
		"kube://m/prom:90/a%2fb":                "plain",
		"kube://m/prom:90//x":                   "empty",
		"kube://m/http:prom:90:91":              `port "90:91"`,
		"kube://m/..:90":                        `service ".."`,
		"kube://m/prom:90/proxy/api/v1/secrets": "leave out /api/v1",
	}
	for raw, want := range tests {
		_, err := ParseURL(raw)
		if err == nil {
			t.Errorf("%s: accepted", raw)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "kube://NAMESPACE/") {
			t.Errorf("%s: %v; want %q and what is allowed", raw, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v tells the password", raw, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"", "auto", "http://prometheus:9090/x?y=z", "kube://monitoring/https:prometheus:web/prefix", "kube://m/p:90/../x",
		"kube://m/p:90/%2e%2e", "kube://m:80/p:90", "http://u:p@h", "kube://m/p:90?../x", "http://[::1%25eth0]:1", "//x", "kube:x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		e, err := ParseURL(raw)
		if err != nil {
			if err.Error() == "" {
				t.Error("an empty message")
			}
			return
		}
		switch e.Kind {
		case HTTPEndpoint:
			if _, err := newClient(ClientOptions{URL: e.URL}); err != nil {
				t.Errorf("%q: accepted, and unusable: %v", raw, err)
			}
		case KubeEndpoint:
			// Whatever was given, the request stays below the one Service's proxy.
			base := e.BaseURL("https://api.example")
			u, err := url.Parse(base)
			if err != nil {
				t.Fatalf("%q: %s: %v", raw, base, err)
			}
			prefix := "/api/v1/namespaces/" + e.Namespace + "/services/"
			if clean := u.JoinPath("api/v1/query").Path; !strings.HasPrefix(clean, prefix) || !strings.Contains(clean, "/proxy/") || u.Host != "api.example" {
				t.Errorf("%q leads to %s", raw, clean)
			}
			again, err := ParseURL(e.String())
			if err != nil || again != e {
				t.Errorf("%q: %+v is shown as %s, which is read as %+v, %v", raw, e, e, again, err)
			}
		}
	})
}

func TestDiscover(t *testing.T) {
	web := []ServicePort{{"http-web", 9090}, {"reloader-web", 8080}}
	tests := []struct {
		name     string
		services []Service
		want     string // endpoints, best first
		err      error
	}{
		{"nothing", []Service{{Namespace: "default", Name: "kubernetes", Ports: []ServicePort{{"https", 443}}}}, "", ErrNotFound},
		{
			"kube-prometheus-stack",
			[]Service{
				{Namespace: "monitoring", Name: "prometheus-operated", Labels: map[string]string{"operated-prometheus": "true"}, Ports: []ServicePort{{"http-web", 9090}}},
				{Namespace: "monitoring", Name: "kps-kube-prometheus-stack-prometheus", Labels: map[string]string{"app": "kube-prometheus-stack-prometheus"}, Ports: web},
				{Namespace: "monitoring", Name: "kps-kube-prometheus-stack-operator", Ports: []ServicePort{{"https", 443}}},
				{Namespace: "monitoring", Name: "kps-kube-prometheus-stack-alertmanager", Ports: []ServicePort{{"http-web", 9093}}},
				{Namespace: "monitoring", Name: "kps-prometheus-node-exporter", Labels: map[string]string{"app.kubernetes.io/name": "prometheus-node-exporter"}, Ports: []ServicePort{{"http-metrics", 9100}}},
			},
			"kube://monitoring/kps-kube-prometheus-stack-prometheus:9090 kube://monitoring/prometheus-operated:9090", nil,
		},
		{
			"chart",
			[]Service{
				{Namespace: "prom", Name: "prometheus-server", Labels: map[string]string{"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server"}, Ports: []ServicePort{{"http", 80}}},
				{Namespace: "prom", Name: "prometheus-pushgateway", Labels: map[string]string{"app.kubernetes.io/name": "prometheus-pushgateway"}, Ports: []ServicePort{{"http", 9091}}},
			},
			"kube://prom/prometheus-server:80", nil,
		},
		{
			"OpenShift",
			[]Service{
				{Namespace: "openshift-monitoring", Name: "thanos-querier", Ports: []ServicePort{{"web", 9091}, {"tenancy", 9092}}},
				{Namespace: "openshift-monitoring", Name: "prometheus-k8s", Ports: []ServicePort{{"web", 9091}}},
			},
			"kube://openshift-monitoring/https:prometheus-k8s:9091 kube://openshift-monitoring/https:thanos-querier:9091", nil,
		},
		{
			"VictoriaMetrics",
			[]Service{
				{Namespace: "vm", Name: "vmselect-main", Ports: []ServicePort{{"http", 8481}}},
				{Namespace: "vm", Name: "vmsingle-main", Ports: []ServicePort{{"http", 8429}}},
			},
			"kube://vm/vmsingle-main:8429 kube://vm/vmselect-main:8481/select/0/prometheus", nil,
		},
		{
			"two of a kind",
			[]Service{
				{Namespace: "a", Name: "prometheus-operated", Ports: web}, {Namespace: "b", Name: "prometheus-operated", Ports: web},
			},
			"kube://a/prometheus-operated:9090 kube://b/prometheus-operated:9090", ErrAmbiguous,
		},
		{
			"a label and an odd port",
			[]Service{
				{Namespace: "x", Name: "metrics", Labels: map[string]string{"app.kubernetes.io/name": "prometheus"}, Ports: []ServicePort{{"", 19090}}},
				{Namespace: "x", Name: "prometheus", Ports: []ServicePort{{"a", 1}, {"b", 2}}},
			},
			"kube://x/metrics:19090", nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := Discover(tt.services)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), "--prometheus-url") {
				t.Errorf("error %v does not say what to do", err)
			}
			var got []string
			for _, c := range found {
				got = append(got, c.Endpoint.String())
				if again, err := ParseURL(c.Endpoint.String()); err != nil || again != c.Endpoint || c.Reason == "" {
					t.Errorf("%+v is read as %+v, %v", c, again, err)
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s\nwant %s", s, tt.want)
			}
		})
	}
}
