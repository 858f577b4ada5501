package browser

import (
	"context"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// origin is where the program serves.
func origin() string { return "http://" + world.listen }

func TestFleet(t *testing.T) {
	for _, as := range []look{light, dark, phone} {
		t.Run(as.name, func(t *testing.T) {
			b := open(t, origin()+"/", as)
			b.shoot("fleet-" + as.name)
			b.shows("main", "Fleet", "GPUs held", "of 16", "chat", "detect", "embed", "mistyped", "trial",
				"Held by capacity", "Unschedulable", "nvidia.com/gpu", "Invalid annotations", "sixteen", "Would scale up", "dry run", "running-requests", "gpu-utilization")
			if got := script[string](b, `document.querySelector('tbody tr:first-child a').textContent`); got != "mistyped" {
				t.Errorf("the first workload is %s, want the one that has an error", got)
			}
			b.fits()
			b.clean(origin())
		})
	}
}

func TestWorkload(t *testing.T) {
	for _, as := range []look{light, dark, phone} {
		t.Run(as.name, func(t *testing.T) {
			b := open(t, origin()+"/workloads/llm/chat", as)
			b.pictures(1)
			b.shoot("workload-" + as.name)
			b.shows("main", "chat", "llm", "1 to 6", "recommended", "stabilized", "running-requests", "queue-depth", "Decisions", "ReadyForNewScale",
				"which asks for 5 instead of 2", "gpuscaler.io/target.queue-depth")
			source := script[string](b, `document.querySelector('img.chart').currentSrc`)
			if strings.Contains(source, "theme=dark") != (as.scheme == "dark") || strings.Contains(source, "size=narrow") != as.phone {
				t.Errorf("the chart is %s", source)
			}
			b.fits()
			b.clean(origin())
		})
	}
	b := open(t, origin()+"/workloads/vision/detect", light)
	b.pictures(1)
	b.shoot("workload-short-of-gpus")
	b.shows("main", "Held by capacity", "Unschedulable", "nvidia.com/gpu")
}

// TestKeyboard goes through a page as somebody does who has no mouse.
func TestKeyboard(t *testing.T) {
	b := open(t, origin()+"/", light)
	b.do(chromedp.KeyEvent(kb.Tab))
	if got := script[string](b, `document.activeElement.textContent`); got != "Skip to content" {
		t.Errorf("Tab reaches %q first, want the link that skips to the content", got)
	}
	if !script[bool](b, `document.activeElement.getBoundingClientRect().left >= 0`) {
		t.Error("the skip link is not to be seen though it has the focus")
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	if got := script[string](b, `document.activeElement.id`); got != "main" {
		t.Errorf("the skip link leads to %q, want the content", got)
	}
	for range 30 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if script[bool](b, `document.activeElement.id === 'to-llm-chat'`) {
			if got := script[string](b, `getComputedStyle(document.activeElement).outlineStyle`); got != "solid" {
				t.Errorf("what has the focus has an outline that is %s", got)
			}
			b.do(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#decisions"))
			b.shows("h1", "chat")
			return
		}
	}
	t.Error("Tab does not reach the link of a workload")
}

// TestRefresh wants the page to follow the program without losing the focus, and to stop when it is told to.
func TestRefresh(t *testing.T) {
	b := open(t, origin()+"/", light)
	asOf := func() string { return b.text("#as-of") }
	before := asOf()
	b.do(chromedp.Focus("#to-llm-chat"))
	script[bool](b, `document.querySelector('#to-llm-chat').dataset.old = '1', true`)
	bed.WaitFor(t, patience, "an update", func() error { return bed.Want("the page is new", asOf() != before, true) })
	if got := script[string](b, `document.activeElement.id`); got != "to-llm-chat" {
		t.Errorf("after an update %q has the focus", got)
	}
	b.do(chromedp.Click("#pause"))
	b.shows("#pause", "Updates paused")
	time.Sleep(time.Second) // an answer may be on its way
	before = asOf()
	bed.Holds(t, 7*time.Second, "the page stays", func() error { return bed.Want("as of", asOf(), before) })
	b.do(chromedp.Reload())
	b.shows("#pause", "Updates paused")
	b.clean(origin())
}

func TestWithoutJavaScript(t *testing.T) {
	off := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		return call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	})
	b := open(t, origin()+"/?namespace=vision", light, off)
	page := read(b, chromedp.OuterHTML("main"))
	if !strings.Contains(page, "detect") || strings.Contains(page, "mistyped") {
		t.Errorf("the filter shows\n%s", page)
	}
	b.do(chromedp.Click("#to-vision-detect"), chromedp.WaitReady("#past"))
	if title := read(b, chromedp.Title()); title != "vision/detect · gpuscaler" {
		t.Errorf("a link leads to %q", title)
	}
	b.clean(origin())
}

// TestBehindTheAPIServer opens the pages as kubectl proxy shows them: every address has a path before it.
func TestBehindTheAPIServer(t *testing.T) {
	service := bed.Service{Namespace: "llm", Name: "gpuscaler", Port: 8080, PortName: "http", Addr: world.listen}
	if err := world.bed.Expose(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	config := world.bed.AdminConfig()
	to, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	kubectl := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: transport})
	defer kubectl.Close()
	b := open(t, kubectl.URL+"/api/v1/namespaces/llm/services/gpuscaler:8080/proxy/", light)
	b.shows("main", "chat", "Held by capacity")
	b.do(chromedp.Click("#to-llm-chat"), chromedp.WaitVisible("#decisions"))
	b.pictures(1)
	b.do(chromedp.Click(".brand"), chromedp.WaitVisible("#totals"))
	b.clean(kubectl.URL)
}
