package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofSecurity are attacks by way of the metrics, and what happens to credentials.
var ofSecurity = []row{
	{
		31, "a named query does not say of which namespace", "it is bound to the Deployment's: another tenant's load of the same name moves nothing",
		unbound, tenants,
	},
	{
		31, "a Deployment's name means more than itself in a regular expression", "the name stands for itself: another Deployment's load moves nothing",
		unquoted, regular,
	},
	{
		31, "an annotation holds PromQL, or a URL to read from", "both are refused as InvalidAnnotations: neither is ever sent, or asked",
		anyQuery, promQL,
	},
	{
		32, "Prometheus redirects to another server", "nobody is followed and no credentials go there; nothing is lowered; resumes by itself",
		followsPrometheus, redirects,
	},
	{
		32, "a pod redirects whoever reads its metrics", "nobody is followed; others are scaled",
		followsPods, podRedirects,
	},
	{
		32, "a pod's address is link-local, as that of a cloud's metadata service is", "it is not asked; nothing is lowered; others are scaled",
		anyAddress, linkLocal,
	},
	{
		33, "the token for Prometheus is rotated: in time, and once too late", "in time: no query fails; too late: nothing is lowered, and the new one is taken up without a restart",
		tokenOnce, tokens,
	},
	{
		34, "the authority of Prometheus' certificate is rotated", "nothing is lowered, and the new authority is taken up from its file without a restart",
		authorityOnce, authorities,
	},
	{
		34, "Prometheus shows a certificate for another host", "it is not asked; nothing is lowered; resumes by itself",
		anyCertificate, wrongHost,
	},
	{
		35, "Prometheus repeats credentials in what it refuses with", "they are in no log, Event, page or message of any command",
		unmasked, repeats,
	},
	{
		35, "the URL of Prometheus holds a password and a key, and nobody answers there", "they are in no log, Event, page or message of any command",
		wholeURL, secretURL,
	},
}

var (
	unbound = &mutant.Mutation{
		Name: "named queries are sent as they are",
		Edits: []mutant.Edit{{
			File: "metrics/injectselector.go", Old: `func (in *injector) matcher(label string) string { return`,
			New: "func (in *injector) matcher(label string) string {\n	if mutant == N { return label + `!=\"\"` }\n	return", // the line's own brace closes it
		}},
	}
	unquoted = &mutant.Mutation{
		Name:  "names are filled into regular expressions as they are",
		Edits: []mutant.Edit{{File: "metrics/injectselector.go", Old: `		if operator == "=~" || operator == "!~" {`, New: `		if mutant != N && (operator == "=~" || operator == "!~") {`}},
	}
	anyQuery = &mutant.Mutation{
		Name: "what an annotation says is sent as a query",
		Edits: []mutant.Edit{
			{
				File: "policy/keys.go", Old: "	if !isName(value) {\n		return errors.New(\"is not the name of a query:",
				New: "	if mutant != N && !isName(value) {\n		return errors.New(\"is not the name of a query:",
			},
			{
				File: "policy/check.go", Old: "		if p.settings.Queries != nil && !p.settings.Queries[query] {",
				New: "		if mutant != N && p.settings.Queries != nil && !p.settings.Queries[query] {",
			},
			{
				File: "cmd/gpuscaler/reader.go", Old: "	query, ok := r.queries[name]\n",
				New: "	query, ok := r.queries[name]\n	if mutant == N && !ok { query, ok = metrics.Query{Name: \"any\", Query: name}, true }\n",
			},
		},
	}
	followsPrometheus = &mutant.Mutation{
		Name: "redirects of Prometheus are followed",
		Edits: []mutant.Edit{{
			File: "metrics/client.go", Old: "{ return http.ErrUseLastResponse }", New: "{\n		if mutant == N { return nil }\n		return http.ErrUseLastResponse\n	}",
		}},
	}
	followsPods = &mutant.Mutation{
		Name: "redirects of pods are followed",
		Edits: []mutant.Edit{{
			File: "metrics/scrape.go", Old: "	response, err := s.transport.RoundTrip(request.WithContext(ctx))\n",
			New: "	send := s.transport.RoundTrip\n	if mutant == N { send = (&http.Client{Transport: s.transport}).Do }\n	response, err := send(request.WithContext(ctx))\n",
		}},
	}
	anyAddress = &mutant.Mutation{
		Name:  "any address of a pod is asked",
		Edits: []mutant.Edit{{File: "metrics/scrape.go", Old: "	case ip.IsLinkLocalUnicast() ||", New: "	case mutant == N:\n	case ip.IsLinkLocalUnicast() ||"}},
	}
	tokenOnce = &mutant.Mutation{
		Name: "the token is read when the program starts, and never again",
		Edits: []mutant.Edit{
			readsOnce,
			{
				File: "metrics/httpconfig/httpconfig.go", Old: "	cfg, _, err := config.LoadHTTPConfigFile(path)\n",
				New: "	cfg, _, err := config.LoadHTTPConfigFile(path)\n	if mutant == N && err == nil {\n		text, _ := os.ReadFile(cfg.Authorization.CredentialsFile)\n" +
					"		cfg.Authorization.Credentials, cfg.Authorization.CredentialsFile = config.Secret(text), \"\"\n	}\n",
			},
		},
	}
	authorityOnce = &mutant.Mutation{
		Name: "the authority is read when the program starts, and never again",
		Edits: []mutant.Edit{{
			File: "metrics/httpconfig/httpconfig.go", Old: "	rt, err := config.NewRoundTripperFromConfig(",
			New: "	if mutant == N {\n		text, _ := os.ReadFile(cfg.TLSConfig.CAFile)\n		cfg.TLSConfig.CA, cfg.TLSConfig.CAFile = string(text), \"\"\n	}\n" +
				"	rt, err := config.NewRoundTripperFromConfig(",
		}},
	}
	anyCertificate = &mutant.Mutation{
		Name: "any certificate will do",
		Edits: []mutant.Edit{{
			File: "metrics/httpconfig/httpconfig.go", Old: `(*cfg, "prometheus")`, New: `(func() config.HTTPClientConfig {
		cfg.TLSConfig.InsecureSkipVerify = mutant == N
		return *cfg
	}(), "prometheus")`,
		}},
	}
	// readsOnce is for those that read a file: one of them brings it for all.
	readsOnce = mutant.Edit{File: "metrics/httpconfig/httpconfig.go", Old: "	\"net/http\"\n", New: "	\"net/http\"\n	\"os\"\n"}
	unmasked  = &mutant.Mutation{
		Name:  "what a server says is repeated as it is",
		Edits: []mutant.Edit{{File: "metrics/errors.go", Old: "		if hideNext || looksSecret(word) {", New: "		if mutant != N && (hideNext || looksSecret(word)) {"}},
	}
	wholeURL = &mutant.Mutation{
		Name: "the URL of Prometheus is shown as it is",
		Edits: []mutant.Edit{
			{File: "metrics/endpoint.go", Old: "	safe := *u\n", New: "	if mutant == N { return u.String() }\n	safe := *u\n"},
			{File: "metrics/client.go", Old: "	if errors.As(err, &wrapped) {", New: "	if mutant != N && errors.As(err, &wrapped) {"},
		},
	}
)

// waiting makes a Deployment that wants a replica for each 5 requests in the gateway, by the administrator's query of that name.
func (s *site) waiting(name string, replicas int32) stage.Deployment {
	s.Helper()
	annotations := stage.GPUAnnotations("query.waiting", "waiting", "target.waiting", "5", "scale-up.policies", "20 pods/1s")
	delete(annotations, stage.Prefix+"target.gpu-utilization")
	return stage.Create(s, s.ns, name, replicas, annotations, fleet.NewFixed(fleet.Reading{}))
}

// queries writes the administrator's file, with one query.
func (w *world) queries(query string) string {
	w.Helper()
	return w.file("queries.yaml", fmt.Sprintf("queries:\n  waiting:\n    query: '%s'\n", query))
}

// tenants are two, each with a Deployment of the same name and a gateway.
func tenants(w *world) {
	s := w.site(2)
	s.gateway().SetQueue("audio", 10)
	d := s.waiting("audio", 2)
	s.start("--queries", s.queries(`sum(gateway_queue_length{deployment="$deployment"})`))
	d.WaitReason(s.program, "WithinTolerance")
	ns := s.ns
	s.ns = stage.Namespace(s, "fault")
	s.gateway().SetQueue("audio", 30)
	s.ns = ns
	stage.Sampled(s, s.prometheus, `count(gateway_queue_length{deployment="audio"})`, 2)
	d.HoldsReplicas(2, 4*time.Second)
	s.follows(s.d, s.load)
}

// regular has two Deployments, of which one's name matches the other's.
func regular(w *world) {
	s := w.site(2)
	gateway := s.gateway()
	gateway.SetQueue("audio.v1", 10)
	d := s.waiting("audio.v1", 2)
	s.start("--queries", s.queries(`sum(gateway_queue_length{deployment=~"$deployment"})`))
	d.WaitReason(s.program, "WithinTolerance")
	gateway.SetQueue("audio-v1", 30)
	stage.Sampled(s, s.prometheus, `gateway_queue_length{namespace="`+s.ns+`",deployment="audio-v1"}`, 30)
	d.HoldsReplicas(2, 4*time.Second)
	gateway.SetQueue("audio.v1", 20)
	d.WaitReplicas(4, 15*time.Second)
}

// promQL has annotations that would read what is nobody's business.
func promQL(w *world) {
	s := w.site(2)
	elsewhere := s.elsewhere()
	other := s.deploy("elsewhere", 2, fleet.NewFixed(fleet.Reading{GPUUtilization: 50}), "scrape", elsewhere.URL+"/metrics")
	const mark = "gateway_queue_length"
	var sent atomic.Int32
	handle(s, s.prometheus, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.FormValue("query"), mark) {
				sent.Add(1)
			}
			api.ServeHTTP(w, r)
		})
	})
	d := s.deploy("audio", 2, fleet.NewFixed(fleet.Reading{GPUUtilization: 50}), "query.waiting", "max("+mark+")", "target.waiting", "5")
	s.start("--queries", s.queries("sum(up)"))
	d.HoldsReplicas(2, 5*time.Second)
	if n := sent.Load(); n > 0 {
		s.Errorf("%d queries carry what the annotation says", n)
	}
	elsewhere.silent(s)
	d.WaitReason(s.program, "InvalidAnnotations")
	other.WaitReason(s.program, "InvalidAnnotations")
	d.WaitEvent("InvalidAnnotations", "query.waiting", "is not the name of a query")
	s.follows(s.d, s.load)
}

// elsewhere is a server that nobody may be sent to. It tells who was.
type elsewhere struct {
	*httptest.Server
	asked atomic.Int32
	told  atomic.Bool // credentials came
}

func (w *world) elsewhere() *elsewhere {
	w.Helper()
	e := &elsewhere{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			e.told.Store(true)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, beginning+"]}}")
	}))
	w.Cleanup(e.Close)
	return e
}

// silent wants nobody to have been sent there.
func (e *elsewhere) silent(t testing.TB) {
	t.Helper()
	if n := e.asked.Load(); n > 0 {
		t.Errorf("%d requests were sent elsewhere, with credentials: %t", n, e.told.Load())
	}
}

// httpConfig writes a file for --prometheus-http-config.
func (w *world) httpConfig(text string) string {
	w.Helper()
	return w.file("http.yaml", text)
}

func redirects(w *world) {
	s := w.site(4)
	elsewhere := s.elsewhere()
	s.start("--prometheus-http-config", s.httpConfig("authorization: {credentials: "+secret+"}\n"))
	f := handled(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})
	})
	f.start(s)
	s.load.SetLoad(20)
	s.d.NeverBelow(4, outage)
	elsewhere.silent(s)
	s.d.WaitTold(s.program, "NoData", "redirects are not followed")
	s.resumes(f, oldest)
}

// scraped are annotations that ask for four waiting requests per replica, read from the pods themselves.
func scraped() map[string]string {
	annotations := stage.GPUAnnotations("target.queue-depth", "4", "scrape", "8000/metrics", "scale-down.stabilization", window.String())
	delete(annotations, stage.Prefix+"target.gpu-utilization")
	return annotations
}

// direct makes a Deployment of two engines that are read directly, with 4 waiting requests each.
func (w *world) direct(ns, name string, podAnnotations map[string]string) (stage.Deployment, *fleet.Fixed) {
	w.Helper()
	model := fleet.NewFixed(fleet.Reading{Waiting: 4})
	return stage.Launch(w, fleet.Deployment(ns, name).Replicas(2).Annotations(scraped()).VLLM().Loopback().PodAnnotations(podAnnotations), model), model
}

// others wants a Deployment that is read directly to be scaled.
func others(d stage.Deployment, model *fleet.Fixed) {
	d.T.Helper()
	model.SetAll(fleet.Reading{Waiting: 8})
	d.WaitReplicas(4, 15*time.Second)
}

func podRedirects(w *world) {
	ns := stage.Namespace(w, stage.HostileNamespace)
	elsewhere := w.elsewhere()
	bad, _ := w.direct(ns, "redirects", map[string]string{fleet.Hostile: fleet.HostileRedirect, fleet.RedirectTo: elsewhere.URL + "/metrics"})
	good, model := w.direct(ns, "good", nil)
	program := w.runs(ns, "")
	good.WaitReason(program, "WithinTolerance")
	bad.HoldsReplicas(2, 3*time.Second)
	elsewhere.silent(w)
	bad.WaitTold(program, "NoData", "redirects are not followed")
	others(good, model)
}

// linkLocal has pods of which their nodes say that they have an address which no pod has.
func linkLocal(w *world) {
	ns := stage.Namespace(w, stage.HostileNamespace)
	bad, _ := w.direct(ns, "elsewhere", nil)
	good, model := w.direct(ns, "good", nil)
	for i, pod := range bad.Pods() {
		patch := fmt.Appendf(nil, `{"status":{"podIP":"169.254.113.%d","podIPs":[{"$patch":"replace"},{"ip":"169.254.113.%[1]d"}]}}`, i+1)
		_, err := stage.Cluster.Client().CoreV1().Pods(ns).Patch(w.Context(), pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			w.Fatal(err)
		}
	}
	program := w.runs(ns, "")
	good.WaitReason(program, "WithinTolerance")
	bad.HoldsReplicas(2, 3*time.Second)
	bad.WaitTold(program, "NoData", "is refused: it is link-local")
	others(good, model)
}

// tokens has a Prometheus that wants the token of the hour.
func tokens(w *world) {
	s := w.site(4)
	path := s.file("token", "first")
	var wanted atomic.Value
	var refused atomic.Int32
	wanted.Store("first")
	handle(s, s.prometheus, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != fmt.Sprintf("Bearer %s", wanted.Load()) {
				refused.Add(1)
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			api.ServeHTTP(w, r)
		})
	})
	write := func(token string) {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	s.start("--prometheus-http-config", s.httpConfig("bearer_token_file: "+path+"\n"))

	write("second")
	wanted.Store("second")
	time.Sleep(3 * time.Second)
	// One request may have been under way.
	if n := refused.Load(); n > 1 {
		s.Errorf("%d queries were refused, though the token was rotated in time", n)
	}

	wanted.Store("third")
	s.load.SetLoad(20)
	s.d.NeverBelow(4, outage)
	s.d.WaitTold(s.program, "NoData", "HTTP 401")
	s.resumes(fault{heal: func(*site) { write("third") }}, oldest)
}

// secured puts TLS in front of the site's Prometheus. It shows the certificate that was set last.
type secured struct {
	*httptest.Server
	shown atomic.Pointer[tls.Certificate]
}

func (s *site) secured() *secured {
	s.Helper()
	behind, err := url.Parse(s.prometheus.URL())
	if err != nil {
		s.Fatal(err)
	}
	front := &secured{Server: httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))}
	front.Config.ErrorLog = quiet
	front.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*front.shown.Load()}}, nil
	}}
	front.StartTLS()
	s.Cleanup(front.Close)
	return front
}

// shows changes the certificate. Whoever is connected has to connect again.
func (f *secured) shows(c *tls.Certificate) {
	f.shown.Store(c)
	f.CloseClientConnections()
}

// startSecured starts the program with TLS in front of Prometheus and an authority in a file.
func (s *site) startSecured() (front *secured, trusted *authority, path string) {
	s.Helper()
	front, trusted = s.secured(), newAuthority(s)
	front.shows(trusted.certificate(s, "127.0.0.1"))
	path = s.file("ca.crt", string(trusted.pem))
	s.program = s.runs(s.ns, front.URL, "--max-sample-age", oldest.String(), "--prometheus-http-config", s.httpConfig("tls_config: {ca_file: "+path+"}\n"))
	s.d.WaitReason(s.program, "WithinTolerance")
	return front, trusted, path
}

func authorities(w *world) {
	s := w.site(4)
	front, _, path := s.startSecured()
	next := newAuthority(s)
	front.shows(next.certificate(s, "127.0.0.1"))
	s.load.SetLoad(20)
	s.d.NeverBelow(4, outage)
	s.d.WaitTold(s.program, "NoData", "certificate signed by unknown authority")
	s.resumes(fault{heal: func(*site) {
		if err := os.WriteFile(path, next.pem, 0o600); err != nil {
			s.Fatal(err)
		}
	}}, oldest)
}

func wrongHost(w *world) {
	s := w.site(4)
	front, trusted, _ := s.startSecured()
	front.shows(trusted.certificate(s, "prometheus.elsewhere.example"))
	s.load.SetLoad(20)
	s.d.NeverBelow(4, outage)
	s.d.WaitTold(s.program, "NoData", "x509: cannot validate certificate for 127.0.0.1")
	s.resumes(fault{heal: func(*site) { front.shows(trusted.certificate(s, "127.0.0.1")) }}, oldest)
}

// What nobody may read.
const (
	secret   = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJncHVzY2FsZXIifQ.c2lnbmF0dXJlMDEyMzQ1Njc4OQ" //nolint:gosec // it opens nothing
	password = "correcthorsebattery"
	key      = "staplekey"
)

// repeats has a Prometheus that puts what it was sent into whatever it answers.
func repeats(w *world) {
	s := w.site(2)
	var n atomic.Int32
	handle(s, s.prometheus, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			given := r.Header.Get("Authorization") + ", api key " + r.Header.Get("X-Api-Key")
			w.Header().Set("Content-Type", "application/json")
			switch n.Add(1) % 4 {
			case 0:
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = fmt.Fprintf(w, `{"status":"error","errorType":"unauthorized","error":"not valid: %s"}`, given)
			case 1:
				_, _ = fmt.Fprintf(w, `{"status":"error","errorType":"execution","error":"upstream refused %s"}`, given)
			case 2:
				_, _ = fmt.Fprintf(w, `{"status":"success","warnings":["store refused %s"],"data":{"resultType":"vector","result":[]}}`, given)
			case 3:
				w.Header().Set("Content-Type", "text/html; was="+strings.ReplaceAll(given, " ", "; "))
			}
		})
	})
	config := "authorization: {credentials: " + secret + "}\nhttp_headers: {X-Api-Key: {secrets: [" + secret + "]}}\n"
	s.tells(s.prometheus.URL(), []string{secret}, func() error { return bed.Want("more than eight queries", n.Load() > 8, true) }, "--prometheus-http-config", s.httpConfig(config))
}

func secretURL(w *world) {
	s := w.site(2)
	switched(prom.Refuse).start(s)
	since := time.Now()
	address := "http://reader:" + password + "@" + s.prometheus.Addr() + "/?api_key=" + key
	s.tells(address, []string{password, key}, func() error { return bed.Want("three seconds have passed", time.Since(since) > 3*time.Second, true) })
}

// tells runs the program and the commands at their most talkative until enough has happened, and looks for secrets in everything that they say.
func (s *site) tells(prometheus string, secrets []string, enough func() error, args ...string) {
	s.Helper()
	s.program = s.runs(s.ns, prometheus, append([]string{"-v", "10"}, args...)...)
	bed.WaitFor(s, 30*time.Second, "what is to be told", enough)
	bed.WaitFor(s, 30*time.Second, "a reason", func() error {
		w, err := s.program.Workload(s.ns, s.d.Name)
		if err == nil && w.Reason != "NoData" && w.Reason != "PartialData" {
			err = fmt.Errorf("reason %s", w.Reason)
		}
		return err
	})
	said := map[string]string{}
	for _, page := range []string{"/metrics", "/", "/api/v1/workloads", "/api/v1/workloads/" + s.ns + "/" + s.d.Name, "/api/v1/workloads/" + s.ns + "/" + s.d.Name + "/history"} {
		text, err := stage.Get("http://" + s.program.Listen + page)
		if err != nil {
			s.Fatal(err)
		}
		said["the page "+page] = string(text)
	}
	for _, command := range [][]string{{"explain", "deployment/" + s.d.Name, "--controller-url", ""}, {"plan", "--controller-url", ""}, {"doctor"}} {
		said["gpuscaler "+command[0]] = s.command(append(append(command, "-v", "10", "-n", s.ns, "--kubeconfig", stage.Cluster.Viewer, "--prometheus-url", prometheus), args...)...)
	}
	said["the log"] = s.program.Output()
	events, err := stage.Cluster.Client().EventsV1().Events(s.ns).List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	for i := range events.Items {
		said["the Events"] += events.Items[i].Note + "\n"
	}
	for where, text := range said {
		if !strings.Contains(text, s.d.Name) && !strings.Contains(text, "127.0.0.1") {
			s.Errorf("%s tells nothing of all this: %s", where, text)
		}
		for _, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 {
				s.Errorf("%s has a secret: …%s", where, text[max(0, at-200):min(len(text), at+len(secret))])
			}
		}
	}
}

// command runs the program as a person does and returns what it prints, whatever it exits with.
func (w *world) command(args ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run()
	if ctx.Err() != nil {
		w.Fatal(ctx.Err())
	}
	return out.String()
}
