package dashboard

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// texts are the words of a page, without what is between < and >, and with single spaces.
func texts(page string) string {
	page = regexp.MustCompile(`(?s)<(head|script|style)>.*?</(head|script|style)>|<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(page), " ")
}

func TestFleetPage(t *testing.T) {
	w := serve(t, some(t), http.MethodGet, "/")
	if w.Code != http.StatusOK {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	got := texts(w.Body.String())
	for _, want := range []string{
		"Workloads 7", "Replicas 16 wanted 20", "GPUs held 16 of 16", "GPUs free 3", "Scaling now 1", "Errors 2",
		"bad a ✕ Invalid annotations", "is no number",
		"rising a ▲ Scaling up 2 → , wanted 4 1 to 10 allowed 2 ready running-requests 100 for a target of 50 ReadyForNewScale running-requests is 100 for a target of 50, which asks for 4 instead of 2",
		"room for 3 more",
		"steady a ✓ Steady",
		"blind b ❙❙ Held by missing data", "no sample for a target of 50 NoData",
		"paused b ❙❙ Held by others",
		"refused b ✕ Write failed",
		"window b ❙❙ Held by its limits", "ScaleDownStabilized",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// names returns those of the workloads on a page, in its order.
func names(page string) []string {
	var list []string
	for _, found := range regexp.MustCompile(`id="to-[^"]*" href="workloads/([^"]*)"`).FindAllStringSubmatch(page, -1) {
		list = append(list, found[1])
	}
	return list
}

func TestFilterAndOrder(t *testing.T) {
	f := some(t)
	for _, c := range []struct{ query, want string }{
		{"", "a/bad b/refused b/blind b/paused a/rising b/window a/steady"},
		{"?sort=name", "a/bad a/rising a/steady b/blind b/paused b/refused b/window"},
		{"?namespace=b&sort=name", "b/blind b/paused b/refused b/window"},
		{"?search=a/r", "a/rising"},
		{"?show=held&sort=name", "b/blind b/paused b/window"},
		{"?held=1&sort=name", "b/blind b/paused b/window"},
		{"?show=broken", "a/bad b/refused"},
		{"?show=changing", "a/rising"},
		{"?show=attention", "a/bad b/refused b/blind b/paused"},
		{"?sort=gpus", "b/window a/bad a/rising a/steady b/blind b/paused b/refused"},
		{"?namespace=none", ""},
		{"?show=nonsense&sort=nonsense&page=nonsense", "a/bad b/refused b/blind b/paused a/rising b/window a/steady"},
	} {
		if got := strings.Join(names(serve(t, f, http.MethodGet, "/"+c.query).Body.String()), " "); got != c.want {
			t.Errorf("%s shows %s, want %s", c.query, got, c.want)
		}
	}
	if got := texts(serve(t, f, http.MethodGet, "/?namespace=none").Body.String()); !strings.Contains(got, "No workload is like that") {
		t.Errorf("a filter that nothing passes: %s", got)
	}
}

func TestWorkloadPage(t *testing.T) {
	f := some(t)
	rising := *f.workloads[1].Decision
	f.past = []Stretch{{First: rising, Last: rising.Time.Add(90 * time.Second), Ticks: 19}}
	f.draw = func(int, bool) ([]byte, error) { return []byte("<svg/>"), nil }
	w := serve(t, f, http.MethodGet, "/workloads/a/rising")
	got := texts(w.Body.String())
	for _, want := range []string{
		"rising ▲ Scaling up", "Replicas 2 → , wanted 4", "Allowed 1 to 10", "Pods 2 ready", "GPUs held 2 room for 3 more", "Startup 5m",
		"recommended what the signals ask for 4 asked for by running-requests ReadyForNewScale", "bounded within minimum and maximum 4 unchanged",
		"running-requests running requests 100 for a target of 50 4 from vllm:num_requests_running",
		"The chart in words Chart: running-requests 1 to 4.",
		"1m 30s 19 ticks 2 → , wanted 4 up ReadyForNewScale running-requests is 100",
		"gpuscaler.io/max-replicas 10",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if w := serve(t, f, http.MethodGet, "/workloads/a/none"); w.Code != http.StatusNotFound || !strings.Contains(texts(w.Body.String()), "No Deployment &#34;none&#34; in namespace &#34;a&#34;") {
		t.Errorf("%d %s, want 404 naming it", w.Code, w.Body)
	}
}

func TestChart(t *testing.T) {
	f := some(t)
	f.draw = func(width int, dark bool) ([]byte, error) {
		return fmt.Appendf(nil, "<svg>%d %t</svg>", width, dark), nil
	}
	for query, want := range map[string]string{
		"": "<svg>1120 false</svg>", "?theme=dark": "<svg>1120 true</svg>", "?theme=dark&size=narrow": "<svg>420 true</svg>",
	} {
		w := serve(t, f, http.MethodGet, "/workloads/a/rising/chart.svg"+query)
		if w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("Content-Type") != "image/svg+xml" {
			t.Errorf("%s: %d %s, want %s", query, w.Code, w.Body, want)
		}
	}
	f.draw = func(int, bool) ([]byte, error) { return nil, errors.New("no ink") }
	if w := serve(t, f, http.MethodGet, "/workloads/a/rising/chart.svg"); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "no ink") {
		t.Errorf("%d %s, want what is wrong", w.Code, w.Body)
	}
	f.draw = nil
	if w := serve(t, f, http.MethodGet, "/workloads/a/rising/chart.svg"); w.Code != http.StatusNotFound {
		t.Errorf("%d without anything to draw, want 404", w.Code)
	}
	if page := serve(t, f, http.MethodGet, "/workloads/a/rising").Body.String(); strings.Contains(page, "chart.svg") {
		t.Error("the page asks for a chart that is not there")
	}
}

// TestEscaping puts markup into everything that comes from the cluster. Names of objects cannot have it; what then becomes of it is not
// for the API server to decide.
func TestEscaping(t *testing.T) {
	const evil = `"><script>alert('x')</script>`
	w := decided(t, evil, evil, 2, 50, nil)
	w.Problems = policy.Problems{{Key: evil, Value: evil, Message: evil}}
	w.Message = func() string { return evil }
	w.Decision.Signals[0].Source, w.Decision.Signals[0].Detail = evil, evil
	f := &fleet{time: noon, workloads: []Workload{w}, past: []Stretch{{First: *w.Decision, Last: noon, Ticks: 1}}}
	f.draw = func(int, bool) ([]byte, error) { return nil, nil }
	for _, path := range []string{"/", "/?search=" + url.QueryEscape(evil), "/workloads/" + url.PathEscape(evil) + "/" + url.PathEscape(evil), "/" + url.PathEscape(evil)} {
		page := serve(t, f, http.MethodGet, path).Body.String()
		if strings.Contains(page, "<script>") || !strings.Contains(page, "alert(") {
			t.Errorf("%s: the markup is not escaped, or not there:\n%s", path, page)
		}
	}
}

func TestHeaders(t *testing.T) {
	f := some(t)
	f.draw = func(int, bool) ([]byte, error) { return []byte("<svg/>"), nil }
	for _, path := range []string{"/", "/workloads/a/rising", "/workloads/a/none", "/workloads/a/rising/chart.svg", "/assets/style.css", "/assets/none", "/nowhere"} {
		h := serve(t, f, http.MethodGet, path).Header()
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe-eval") {
			t.Errorf("%s: Content-Security-Policy %q", path, policy)
		}
		if inline := strings.Contains(policy, "unsafe-inline"); inline != strings.HasSuffix(path, ".svg") {
			t.Errorf("%s: Content-Security-Policy %q", path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") == "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

// TestNothingFromElsewhere looks for what the policy would refuse, and for addresses that a proxy's path before ours would break.
func TestNothingFromElsewhere(t *testing.T) {
	f := some(t)
	f.draw = func(int, bool) ([]byte, error) { return []byte("<svg/>"), nil }
	address := regexp.MustCompile(`(?:href|src|srcset|action)="([^"]*)"`)
	const prefix = "/api/v1/namespaces/x/services/y:8080/proxy"
	for _, path := range []string{"/", "/workloads/a/rising", "/workloads/a/none", "/deep/down/there"} {
		page := serve(t, f, http.MethodGet, path).Body.String()
		if found := regexp.MustCompile(`style=|<style|\son[a-z]+="|javascript:|https?://`).FindString(page); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		base, err := url.Parse("http://cluster" + prefix + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range address.FindAllStringSubmatch(page, -1) {
			to, err := base.Parse(strings.ReplaceAll(found[1], "&amp;", "&"))
			if err != nil {
				t.Fatal(err)
			}
			inside, ok := strings.CutPrefix(to.Path, prefix+"/")
			if !ok {
				t.Errorf("%s: %q leads to %s, outside of the proxy", path, found[1], to)
				continue
			}
			if strings.HasPrefix(inside, "api/") || inside == "metrics" {
				continue // served by others
			}
			if code := serve(t, f, http.MethodGet, "/"+inside).Code; code != http.StatusOK && to.String() != base.String() && to.Fragment == "" {
				t.Errorf("%s: %q leads to %s, which answers %d", path, found[1], to, code)
			}
		}
	}
}

func TestReadOnly(t *testing.T) {
	for _, path := range []string{"/", "/workloads/a/rising", "/nowhere"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			w := serve(t, some(t), method, path)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" || !strings.Contains(texts(w.Body.String()), "Nothing can be changed here") {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
		if w := serve(t, some(t), http.MethodHead, "/"); w.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	if w := serve(t, some(t), http.MethodGet, "/nowhere"); w.Code != http.StatusNotFound || !strings.Contains(texts(w.Body.String()), "There is nothing at") {
		t.Errorf("%d %s, want 404", w.Code, w.Body)
	}
}

// many is a large fleet.
func many(t testing.TB, n int) *fleet {
	t.Helper()
	like := decided(t, "ns", "like", 2, 100, nil)
	f := &fleet{time: noon}
	for i := range n {
		w := like
		w.Namespace, w.Name = fmt.Sprintf("team-%03d", i/100), fmt.Sprintf("model-%02d", i%100)
		f.workloads = append(f.workloads, w)
	}
	return f
}

func TestPaging(t *testing.T) {
	f := many(t, 450)
	var seen []string
	path := "/?sort=name"
	for pages := 0; path != ""; pages++ {
		page := serve(t, f, http.MethodGet, path).Body.String()
		if found := names(page); len(found) > pageSize || pages > 2 {
			t.Fatalf("page %d has %d workloads", pages, len(found))
		}
		seen = append(seen, names(page)...)
		path = ""
		if next := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(page); next != nil {
			path = "/" + strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	if len(seen) != 450 || !slices.IsSorted(seen) {
		t.Errorf("the pages show %d workloads, want each of the 450 once", len(seen))
	}
	last := texts(serve(t, f, http.MethodGet, "/?page=99").Body.String())
	if !strings.Contains(last, "401–450 of 450") {
		t.Errorf("beyond the last page: %s", last)
	}
	f.past = slices.Repeat([]Stretch{{First: *f.workloads[0].Decision, Last: noon, Ticks: 1}}, 450)
	if past := texts(serve(t, f, http.MethodGet, "/workloads/team-000/model-00?page=3").Body.String()); !strings.Contains(past, "401–450 of 450") {
		t.Errorf("the third page of decisions: %s", past)
	}
}

func TestBeforeAndAfter(t *testing.T) {
	if got := texts(serve(t, &fleet{}, http.MethodGet, "/").Body.String()); !strings.Contains(got, "The first decisions are being made") || !strings.Contains(got, "No tick yet") {
		t.Errorf("before the first tick: %s", got)
	}
	if got := texts(serve(t, &fleet{time: noon}, http.MethodGet, "/").Body.String()); !strings.Contains(got, "No Deployment has opted in yet") {
		t.Errorf("without workloads: %s", got)
	}
	f := some(t)
	f.time = time.Now().Add(-10 * time.Minute)
	for _, path := range []string{"/", "/workloads/a/steady"} {
		if got := texts(serve(t, f, http.MethodGet, path).Body.String()); !strings.Contains(got, "The last tick is 10m old") {
			t.Errorf("%s of a leader that hangs: %s", path, got)
		}
	}
}

// TestAllReasonsHaveWords wants no reason on a page without what it means.
func TestAllReasonsHaveWords(t *testing.T) {
	for _, r := range policy.Reasons() {
		if meaning(r) == "" {
			t.Errorf("%s has no meaning in words", r)
		}
	}
}

// TestAssets wants every file that is embedded to be served.
func TestAssets(t *testing.T) {
	err := fs.WalkDir(files, "assets", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if w := serve(t, some(t), http.MethodGet, "/"+path); w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkFleetPage(b *testing.B) {
	f := many(b, 10_000)
	for b.Loop() {
		if w := serve(b, f, http.MethodGet, "/"); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
