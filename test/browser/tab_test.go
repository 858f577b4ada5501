package browser

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// look is how a page is looked at.
type look struct {
	name          string
	width, height int64
	scheme        string
	phone         bool
}

var (
	light = look{"light", 1400, 900, "light", false}
	dark  = look{"dark", 1400, 900, "dark", false}
	phone = look{"phone", 390, 844, "light", true}
)

// tab is an open page and what it did: all that it asked for, and all that the console says.
type tab struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	requests []string
	console  []string
}

// open opens an address in a tab of its own.
func open(t *testing.T, address string, as look, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(world.browser)
	t.Cleanup(closeTab)
	b := &tab{Context: ctx, t: t}
	b.must(chromedp.Do(ctx)) // no time limit: it would end the tab with it
	b.must(chromedp.Listen(ctx, b.note))
	for _, err := range []error{
		call(ctx, network.Enable, network.EnableParams{}),
		call(ctx, log.Enable, cdp.Empty{}),
		call(ctx, runtime.Enable, cdp.Empty{}),
		call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: as.scheme}},
		}),
	} {
		b.must(err)
	}
	var options []chromedp.EmulateViewportOption
	if as.phone {
		options = append(options, chromedp.EmulatePortrait, chromedp.EmulateMobile, chromedp.EmulateScale(2))
	}
	b.do(chromedp.EmulateViewport(as.width, as.height, options...))
	b.do(before...)
	b.do(chromedp.Navigate(address))
	return b
}

// note keeps an event.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventConsoleAPICalled:
		b.console = append(b.console, "console."+string(e.Type))
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.console = append(b.console, string(e.Entry.Level)+": "+e.Entry.Text+" "+e.Entry.URL)
	}
}

// patience is how long a step in a tab may take.
const patience = 20 * time.Second

// do makes steps.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, patience)
	defer cancel()
	b.must(chromedp.Do(ctx, steps...))
}

func (b *tab) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// read runs an action that has a value.
func read[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	b.must(err)
	return value
}

// script evaluates JavaScript in the page.
func script[T any](b *tab, text string) T {
	b.t.Helper()
	return read(b, chromedp.Evaluate[T](text, chromedp.EvalAwaitPromise))
}

// text is what a person reads in an element, with single spaces.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.Join(strings.Fields(read(b, chromedp.Text(selector))), " ")
}

// shows wants texts on the page.
func (b *tab) shows(selector string, wants ...string) {
	b.t.Helper()
	got := b.text(selector)
	for _, want := range wants {
		if !strings.Contains(got, want) {
			b.t.Errorf("%s lacks %q:\n%s", selector, want, got)
		}
	}
}

// clean wants nothing in the console, every request at one origin, and no page that is wider than the window.
func (b *tab) clean(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.console) > 0 {
		b.t.Errorf("the console says %q", b.console)
	}
	if len(b.requests) == 0 {
		b.t.Error("no request was seen")
	}
	for _, request := range b.requests {
		u, err := url.Parse(request)
		if err != nil || u.Scheme != "data" && u.Scheme+"://"+u.Host != origin {
			b.t.Errorf("the page asks for %.200q, which is not of %s", request, origin)
		}
	}
}

// fits wants the page to be no wider than the window, so that nobody scrolls sideways.
func (b *tab) fits() {
	b.t.Helper()
	if over := script[float64](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		wide := script[[]string](b, `[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll')).slice(0, 5).map(e => e.outerHTML.slice(0, 120))`)
		b.t.Errorf("the page is %v px wider than the window: %q", over, wide)
	}
}

// pictures wants every picture of the page to be loaded, and at least so many.
func (b *tab) pictures(least int) {
	b.t.Helper()
	widths := script[[]float64](b, `Promise.all([...document.images].map(async i => { await i.decode(); return i.naturalWidth }))`)
	if len(widths) < least || slices.Contains(widths, 0) {
		b.t.Errorf("pictures of the widths %v, want at least %d of them, all loaded", widths, least)
	}
}

// shoot keeps a screenshot of the whole page.
func (b *tab) shoot(name string) {
	b.t.Helper()
	picture := read(b, chromedp.FullScreenshot(100))
	b.must(os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644))
}
