package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// TestDryRunListens wants a dry run to find a place for its dashboard, and to go without rather than to fail, unless the place was asked for.
func TestDryRunListens(t *testing.T) {
	taken, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	var heading strings.Builder
	spare := runOptions{listen: address, spare: true}
	l, err := spare.listenDry(t.Context(), &heading)
	if err != nil || l == nil {
		t.Fatalf("got %v, %v, want another port", l, err)
	}
	defer l.Close()
	if got, want := heading.String(), "Dashboard: http://"+l.Addr().String()+"/\n"; got != want || strings.Contains(got, address+"/") {
		t.Errorf("told %q, want %q", got, want)
	}
	asked := runOptions{listen: address}
	if _, err := asked.listenDry(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "--listen "+address) {
		t.Errorf("a port that was asked for and is taken: got %v", err)
	}
	heading.Reset()
	none := runOptions{}
	if l, err := none.listenDry(t.Context(), &heading); l != nil || err != nil || heading.String() != "" {
		t.Errorf("got %v, %v and %q, want nothing", l, err, heading.String())
	}
}

func TestPageURL(t *testing.T) {
	all, err := listen(t.Context(), "listen", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if got := pageURL(all); !strings.HasPrefix(got, "http://localhost:") || !strings.HasSuffix(got, "/") {
		t.Errorf("got %s", got)
	}
}

// TestDashboardOfADryRun opens the page that the heading names.
func TestDashboardOfADryRun(t *testing.T) {
	api := newAPIServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		defer in.Close()
		code <- executeContext(ctx, []string{"gpuscaler", "run", "--dry-run", "--listen=127.0.0.1:0", "--interval=1s", "--kubeconfig", api.kubeconfig}, nil, in, io.Discard)
	}()
	told := awaitText(t, out, "Dashboard: http://127.0.0.1:")
	_, rest, _ := strings.Cut(told, "Dashboard: ")
	address := strings.TrimSpace(rest)
	awaitText(t, out, "which asks for 4 instead of 2")
	go func() { _, _ = io.Copy(io.Discard, out) }()
	for path, want := range map[string]string{
		"": "Would scale up", "workloads/team/vision": "recommended", "workloads/team/vision/chart.svg?theme=dark": "<svg",
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s lacks %q: %v\n%.2000s", path, want, err, text)
		}
	}
	cancel()
	<-code
}

// TestDrawChart wants two themes of one chart.
func TestDrawChart(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	c := chart.Of([]chart.Row{{Time: at, Replicas: 1, Desired: 2, Reason: policy.ReadyForNewScale}, {Time: at.Add(time.Minute), Replicas: 2, Desired: 2}})
	bright, err := drawChart(c, 420, false)
	if err != nil {
		t.Fatal(err)
	}
	dark, err := drawChart(c, 420, true)
	if err != nil || bytes.Equal(bright, dark) {
		t.Errorf("%v, and the two are equal: %t", err, bytes.Equal(bright, dark))
	}
}
