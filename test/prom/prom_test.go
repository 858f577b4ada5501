package prom_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// exporter serves one series with the labels of a pod and returns how to scrape it.
func exporter(t *testing.T) fleet.Target {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, `DCGM_FI_DEV_GPU_UTIL{namespace="ml",pod="llm-1"} 42`)
	}))
	t.Cleanup(s.Close)
	return fleet.Target{Addr: s.Listener.Addr().String(), Node: "gpu-0", Labels: map[string]string{
		"namespace": "gpu-operator", "pod": "dcgm-exporter-x", "instance": "10.244.1.2:9400",
	}}
}

func start(t *testing.T, opts prom.Options) *prom.Server {
	t.Helper()
	opts.Dir, opts.Interval = t.TempDir(), 50*time.Millisecond
	s, err := prom.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(opts.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind are %v (%v)", left, err)
		}
	})
	return s
}

func waitFor(t *testing.T, what string, ask func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// wantUtilization waits until there is a single utilization, with these labels, or none if want is empty.
func wantUtilization(t *testing.T, s *prom.Server, want string) {
	t.Helper()
	waitFor(t, "the utilization", func() error {
		samples, err := s.Query(t.Context(), "DCGM_FI_DEV_GPU_UTIL")
		if err != nil {
			return err
		}
		got := ""
		for _, sample := range samples {
			delete(sample.Labels, "__name__")
			text, err := json.Marshal(sample.Labels)
			if err != nil {
				return err
			}
			got += fmt.Sprintf("%s %v\n", text, sample.Value)
		}
		if strings.TrimSpace(got) != want {
			return fmt.Errorf("got %s, want %s", got, want)
		}
		return nil
	})
}

const (
	exported = `{"exported_namespace":"ml","exported_pod":"llm-1","instance":"10.244.1.2:9400","job":"dcgm-exporter","namespace":"gpu-operator","pod":"dcgm-exporter-x"} 42`
	honored  = `{"instance":"10.244.1.2:9400","job":"dcgm-exporter","namespace":"ml","pod":"llm-1"} 42`
)

func TestHonorLabelsDecidesWhosePodItIs(t *testing.T) {
	s := start(t, prom.Options{})
	s.SetTargets(fleet.SourceDCGM, []fleet.Target{exporter(t)})
	wantUtilization(t, s, exported)
	if err := s.SetJobs([]prom.Job{{Name: "dcgm-exporter", Source: fleet.SourceDCGM, HonorLabels: true}}); err != nil {
		t.Fatal(err)
	}
	wantUtilization(t, s, honored)
}

func TestTargetsThatGoLeaveNoSeries(t *testing.T) {
	s := start(t, prom.Options{})
	s.SetTargets(fleet.SourceDCGM, []fleet.Target{exporter(t)})
	wantUtilization(t, s, exported)
	s.SetTargets(fleet.SourceDCGM, nil)
	wantUtilization(t, s, "")
}

func TestJobsSelectTargets(t *testing.T) {
	s := start(t, prom.Options{Jobs: []prom.Job{
		{Name: "dcgm-exporter", Source: fleet.SourceDCGM, Select: func(t fleet.Target) bool { return t.Node == "gpu-0" }},
		{Name: "none", Source: fleet.SourceDCGM, Select: func(t fleet.Target) bool { return t.Node == "gpu-1" }},
	}})
	s.SetTargets(fleet.SourceDCGM, []fleet.Target{exporter(t)})
	wantUtilization(t, s, exported)
}

// get queries over HTTP as a client would.
func get(t *testing.T, s *prom.Server, expr string) (status int, contentType, body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return reply.StatusCode, reply.Header.Get("Content-Type"), string(text), err
}

func wantHealthy(t *testing.T, s *prom.Server) {
	t.Helper()
	if err := s.SetFault(prom.Normal); err != nil {
		t.Fatal(err)
	}
	status, _, body, err := get(t, s, "DCGM_FI_DEV_GPU_UTIL")
	if err != nil || status != 200 || !strings.Contains(body, `"exported_pod":"llm-1"`) {
		t.Fatalf("healthy: %d %s %v", status, body, err)
	}
}

func TestFaultsAndRecovery(t *testing.T) {
	s := start(t, prom.Options{})
	s.SetTargets(fleet.SourceDCGM, []fleet.Target{exporter(t)})
	wantUtilization(t, s, exported)
	wantHealthy(t, s)
	for name, c := range map[string]struct {
		fault prom.Fault
		check func(status int, contentType, body string, err error) bool
	}{
		"hang": {prom.Hang, func(_ int, _, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"500": {prom.Status500, func(status int, _, body string, _ error) bool {
			return status == 500 && strings.Contains(body, `"status":"error"`)
		}},
		"html": {prom.HTML, func(status int, contentType, body string, _ error) bool {
			return status == 200 && strings.HasPrefix(contentType, "text/html") && strings.HasPrefix(body, "<!DOCTYPE")
		}},
		"refuse": {prom.Refuse, func(_ int, _, _ string, err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
	} {
		if err := s.SetFault(c.fault); err != nil {
			t.Fatal(err)
		}
		if status, contentType, body, err := get(t, s, "up"); !c.check(status, contentType, body, err) {
			t.Errorf("%s: %d %q %q %v", name, status, contentType, body, err)
		}
		wantHealthy(t, s)
	}
}

func TestHandlerInPlaceOfTheAPI(t *testing.T) {
	s := start(t, prom.Options{})
	s.SetTargets(fleet.SourceDCGM, []fleet.Target{exporter(t)})
	wantUtilization(t, s, exported)
	err := s.SetHandler(func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reply := httptest.NewRecorder()
			api.ServeHTTP(reply, r)
			fmt.Fprint(w, strings.ReplaceAll(reply.Body.String(), `"42"`, `"4294967295"`))
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, body, err := get(t, s, "DCGM_FI_DEV_GPU_UTIL"); err != nil || !strings.Contains(body, `"4294967295"`) {
		t.Errorf("reply is %s (%v)", body, err)
	}
	wantHealthy(t, s)
}

func TestRestartForgetsAndScrapesAgain(t *testing.T) {
	s := start(t, prom.Options{})
	s.SetTargets(fleet.SourceDCGM, []fleet.Target{exporter(t)})
	wantUtilization(t, s, exported)
	waitFor(t, "some samples", func() error {
		samples, err := s.Query(t.Context(), "count_over_time(DCGM_FI_DEV_GPU_UTIL[10m]) >= 5")
		if err != nil {
			return err
		}
		if len(samples) == 0 {
			return errors.New("fewer")
		}
		return nil
	})
	addr := s.Addr()
	restarted := time.Now()
	if err := s.RestartEmpty(); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr {
		t.Errorf("address is %s, was %s", s.Addr(), addr)
	}
	wantUtilization(t, s, exported)
	wantHealthy(t, s)
	var oldest []prom.Sample
	waitFor(t, "the time of the oldest sample", func() (err error) {
		oldest, err = s.Query(t.Context(), "min_over_time(timestamp(DCGM_FI_DEV_GPU_UTIL)[10m:50ms])")
		if err == nil && len(oldest) != 1 {
			err = fmt.Errorf("got %v", oldest)
		}
		return err
	})
	if first := time.UnixMilli(int64(oldest[0].Value * 1000)); first.Before(restarted.Add(-time.Millisecond)) {
		t.Errorf("oldest sample is of %s, the restart was at %s", first, restarted)
	}
}

func TestHangingRequestsEndWhenTheServerStops(t *testing.T) {
	s := start(t, prom.Options{})
	if err := s.SetFault(prom.Hang); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/v1/query?query=up", nil)
		if err == nil {
			var reply *http.Response
			if reply, err = http.DefaultClient.Do(request); err == nil {
				reply.Body.Close()
			}
		}
		done <- err
	}()
	time.Sleep(50 * time.Millisecond) // the request is under way, or soon will be: either way it must end
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("it was answered")
		}
	case <-time.After(5 * time.Second):
		t.Error("it still hangs")
	}
}
