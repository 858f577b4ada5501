// Package browser opens in a real browser what people look at: the dashboard of the program, which runs against a control plane, a fleet
// of GPU nodes and a Prometheus, and the reports that the program writes. It leaves screenshots in bin/screenshots.
//
// The browser is Chromium, headless. Where there is none the tests are skipped; continuous integration must have one.
package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// screenshots is where they are kept.
const screenshots = "../../bin/screenshots"

// world is what all tests share.
var world struct {
	*stage
	// browser is the context of the one browser, in which each test opens tabs of its own.
	browser context.Context
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// findChromium returns where the browser is, empty if there is none.
func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// run starts the browser and what it looks at, runs the tests and stops both.
func run(m *testing.M) (code int) {
	fail := func(what string, err error) int {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		return 1
	}
	chromium := findChromium()
	if chromium == "" {
		fmt.Fprintln(os.Stderr, "no Chromium is installed (Debian: apt-get install chromium): the browser tests are skipped")
		if os.Getenv("CI") == "true" {
			return 1
		}
		return 0
	}
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		return fail("making the folder of the screenshots", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	s, err := newStage(ctx)
	defer func() {
		if err := s.close(); err != nil {
			code = fail("stopping the cluster", err)
		}
	}()
	if err != nil {
		return fail("starting the cluster", err)
	}
	browser, stop, err := startChromium(chromium)
	if err != nil {
		return fail("starting Chromium", err)
	}
	defer stop()
	world.stage, world.browser = s, browser
	return m.Run()
}

// startChromium starts the browser, which talks to nobody but this machine.
func startChromium(path string) (ctx context.Context, stop func(), err error) {
	profile, err := os.MkdirTemp("", "gpuscaler-chromium-")
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), chromedp.Flag("hide-scrollbars", true),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopBrowser := chromedp.NewContext(allocator)
	stop = func() {
		stopBrowser()
		stopAllocator()
		_ = os.RemoveAll(profile)
	}
	if err := chromedp.Do(ctx); err != nil { // starts it
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
}
