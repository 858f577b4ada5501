package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// validOptions are run's options as the flags leave them.
func validOptions() runOptions {
	o := runOptions{listen: ":8080"}
	o.interval, o.maxSampleAge, o.source.url = defaultInterval, defaultMaxSampleAge, "auto"
	return o
}

// TestProblems changes one thing at a time and wants one problem, which names flag, value and what is allowed.
func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(o *runOptions)
		want   []string // nil if it is fine
	}{
		{"defaults", func(*runOptions) {}, nil},
		{"no Prometheus", func(o *runOptions) { o.source.url = "" }, nil},
		{"wrong URL", func(o *runOptions) { o.source.url = "prometheus:9090" }, []string{"--prometheus-url", "prometheus", "http://HOST"}},
		{"credentials for auto", func(o *runOptions) { o.source.httpConfig = "f" }, []string{"--prometheus-http-config f", "http(s)", "kubeconfig"}},
		{"credentials for http", func(o *runOptions) { o.source.httpConfig, o.source.url = "f", "http://p" }, nil},
		{"short interval", func(o *runOptions) { o.interval = time.Millisecond }, []string{"--interval 1ms", "100ms", "10m"}},
		{"long interval", func(o *runOptions) { o.interval, o.maxSampleAge = time.Hour, time.Hour }, []string{"--interval 1h", "100ms", "10m"}},
		{"short age", func(o *runOptions) { o.maxSampleAge = time.Second }, []string{"--max-sample-age 1s", "--interval 5s"}},
		{"negative age", func(o *runOptions) { o.maxSampleAge = -1 }, []string{"--max-sample-age -1ns"}},
		{"namespaces", func(o *runOptions) { o.namespaces = []string{"a", "b-2"} }, nil},
		{"wrong namespace", func(o *runOptions) { o.namespaces = []string{"a", "B"} }, []string{`--watch-namespace "B"`, "lower-case"}},
		{"selector", func(o *runOptions) { o.namespaceSelector = "team in (a, b),!off" }, nil},
		{"wrong selector", func(o *runOptions) { o.namespaceSelector = "team in a" }, []string{`--watch-namespace-selector "team in a"`}},
		{"both", func(o *runOptions) { o.namespaceSelector, o.namespaces = "a=b", []string{"a"} }, []string{"--watch-namespace and --watch-namespace-selector"}},
		{"wrong name", func(o *runOptions) { o.controllerName = "a/b" }, []string{`--controller-name "a/b"`, "lower-case"}},
		{"wrong agents", func(o *runOptions) { o.agentNamespace = "A" }, []string{`--nvml-agent-namespace "A"`, "lower-case"}},
		{"wrong lease", func(o *runOptions) { o.leaseNamespace = "-" }, []string{`--leader-elect-resource-namespace "-"`, "lower-case"}},
		{"dry leader", func(o *runOptions) { o.dryRun, o.leaderElect = true, true }, []string{"--dry-run", "--leader-elect"}},
		{"no port", func(o *runOptions) { o.listen = "localhost" }, []string{`--listen "localhost"`, ":8080"}},
		{"wrong port", func(o *runOptions) { o.listen = ":65536" }, []string{`--listen ":65536"`}},
		{"any port", func(o *runOptions) { o.listen = "127.0.0.1:0" }, nil},
		{"secure", func(o *runOptions) { o.secure = secureFlags{":8443", "c", "k"} }, nil},
		{"secure with a certificate of its own", func(o *runOptions) { o.secure.listen = ":8443" }, nil},
		{"wrong secure port", func(o *runOptions) { o.secure.listen = "8443" }, []string{`--secure-listen "8443"`, ":8443"}},
		{"half a pair", func(o *runOptions) { o.secure = secureFlags{":8443", "c", ""} }, []string{"--tls-cert-file and --tls-private-key-file"}},
		{"the other half", func(o *runOptions) { o.secure = secureFlags{":8443", "", "k"} }, []string{"--tls-cert-file and --tls-private-key-file"}},
		{"certificate for nothing", func(o *runOptions) { o.secure = secureFlags{"", "c", "k"} }, []string{"--tls-cert-file", "--secure-listen"}},
		{"no listener", func(o *runOptions) { o.listen = "" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := validOptions()
			c.change(&o)
			problems := o.problems()
			if c.want == nil {
				if len(problems) > 0 {
					t.Errorf("refused: %v", problems)
				}
				return
			}
			if len(problems) != 1 {
				t.Fatalf("got %d problems, want one: %v", len(problems), problems)
			}
			for _, want := range c.want {
				if !strings.Contains(problems[0].Error(), want) {
					t.Errorf("%q does not say %q", problems[0], want)
				}
			}
		})
	}
}

// TestAllProblemsAtOnce wants no problem to hide another.
func TestAllProblemsAtOnce(t *testing.T) {
	got := invoke(t, "", "run", "--interval=1ms", "--max-sample-age=0s", "--prometheus-url=x", "--watch-namespace=A", "--controller-name=B", "--listen=z")
	for _, flag := range []string{"--interval", "--max-sample-age", "--prometheus-url", "--watch-namespace", "--controller-name", "--listen"} {
		if got.code != exitUsage || !strings.Contains(got.err, flag+" ") && !strings.Contains(got.err, flag+":") {
			t.Errorf("nothing about %s in:\n%v", flag, got)
		}
	}
}

// TestSettle fills in defaults by where the program runs.
func TestSettle(t *testing.T) {
	pod := &cluster{inCluster: true, namespace: "gpus"}
	laptop := &cluster{namespace: "team"}
	chosen := &cluster{namespace: "team", explicit: true}
	t.Setenv("POD_NAMESPACE", "gpus")
	for _, c := range []struct {
		name    string
		cluster *cluster
		change  func(o *runOptions)
		given   []string
		want    runOptions // of it: leaderElect, leaseNamespace, listen, namespaces
		refused bool
	}{
		{"pod", pod, func(*runOptions) {}, nil, runOptions{leaderElect: true, leaseNamespace: "gpus", listen: ":8080"}, false},
		{"pod that looks at another namespace", &cluster{inCluster: true, namespace: "team", explicit: true}, func(*runOptions) {}, nil, runOptions{leaderElect: true, leaseNamespace: "gpus", listen: ":8080", namespaces: []string{"team"}}, false},
		{"pod without election", pod, func(*runOptions) {}, []string{"leader-elect"}, runOptions{leaseNamespace: "gpus", listen: ":8080"}, false},
		{"dry run in a pod", pod, func(o *runOptions) { o.dryRun = true }, nil, runOptions{leaseNamespace: "gpus", listen: ":8080"}, false},
		{"laptop", laptop, func(*runOptions) {}, nil, runOptions{leaseNamespace: "gpuscaler-system", listen: ":8080"}, false},
		{"dry run", laptop, func(o *runOptions) { o.dryRun = true }, nil, runOptions{leaseNamespace: "gpuscaler-system", listen: "127.0.0.1:8080", spare: true}, false},
		{"dry run that listens", laptop, func(o *runOptions) { o.dryRun = true }, []string{"listen"}, runOptions{leaseNamespace: "gpuscaler-system", listen: ":8080"}, false},
		{"secure alone", pod, func(o *runOptions) { o.secure.listen = ":8443" }, nil, runOptions{leaderElect: true, leaseNamespace: "gpus"}, false},
		{"secure and plain", pod, func(o *runOptions) { o.secure.listen = ":8443" }, []string{"listen"}, runOptions{leaderElect: true, leaseNamespace: "gpus", listen: ":8080"}, false},
		{"secure dry run", laptop, func(o *runOptions) { o.secure.listen, o.dryRun = ":8443", true }, nil, runOptions{leaseNamespace: "gpuscaler-system"}, false},
		{"one namespace", chosen, func(*runOptions) {}, nil, runOptions{leaseNamespace: "gpuscaler-system", listen: ":8080", namespaces: []string{"team"}}, false},
		{"one namespace twice", chosen, func(o *runOptions) { o.namespaces = []string{"team"} }, nil, runOptions{leaseNamespace: "gpuscaler-system", listen: ":8080", namespaces: []string{"team"}}, false},
		{"two namespaces", chosen, func(o *runOptions) { o.namespaces = []string{"other"} }, nil, runOptions{}, true},
		{"one and a selector", chosen, func(o *runOptions) { o.namespaceSelector = "a=b" }, nil, runOptions{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := validOptions()
			c.change(&o)
			err := o.settle(c.cluster, func(flag string) bool { return slices.Contains(c.given, flag) })
			if c.refused {
				if err == nil {
					t.Error("not refused")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if o.leaderElect != c.want.leaderElect || o.leaseNamespace != c.want.leaseNamespace || o.listen != c.want.listen || o.spare != c.want.spare || !slices.Equal(o.namespaces, c.want.namespaces) {
				t.Errorf("got %+v, want %+v", o, c.want)
			}
		})
	}
}

func TestDeploymentName(t *testing.T) {
	for arg, want := range map[string]string{
		"llm": "llm", "deployment/llm": "llm", "deployments/llm": "llm", "deploy/llm": "llm", "Deployment/llm": "llm", "deployments.apps/llm": "llm",
		"sts/llm": "", "deployment/": "", "deployment/a/b": "", "/llm": "", "": "",
	} {
		if got, err := deploymentName([]string{arg}); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", arg, got, err, want)
		}
	}
}
