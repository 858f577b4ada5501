package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// rolePrometheus is the first argument of a process that is to be the Prometheus, so that it is told apart from the rest.
const rolePrometheus = "prometheus"

// promConfig is what such a process reads from its input.
type promConfig struct {
	Interval time.Duration
	Targets  []fleet.Target
}

// bePrometheus runs a Prometheus until the input ends. It writes its URL, and then a line for each request to its API.
func bePrometheus(in io.Reader, out io.Writer) error {
	var config promConfig
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("reading what to scrape: %w", err)
	}
	server, err := prom.Start(prom.Options{Interval: config.Interval})
	if err != nil {
		return err
	}
	server.SetTargets(fleet.SourceDCGM, config.Targets)
	var writing sync.Mutex
	tell := func(format string, args ...any) {
		writing.Lock()
		defer writing.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}
	err = server.SetHandler(func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.UserAgent() != benchAgent {
				tell("%s", r.URL.Path)
			}
			api.ServeHTTP(w, r)
		})
	})
	if err == nil {
		tell("%s", server.URL())
		_, err = io.Copy(io.Discard, io.MultiReader(decoder.Buffered(), in))
	}
	return errors.Join(err, server.Stop())
}

// benchAgent is the user agent of this program's own queries.
const benchAgent = "bench"

// prometheus is such a process.
type prometheus struct {
	*process
	url   string
	stdin io.Closer

	mu      sync.Mutex
	queries int
	// asked has a value when there was a query since it was last read.
	asked chan struct{}
}

// startPrometheus starts one that scrapes the targets.
func startPrometheus(ctx context.Context, interval time.Duration, targets []fleet.Target) (*prometheus, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, rolePrometheus)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &prometheus{stdin: stdin, asked: make(chan struct{}, 1)}
	if p.process, err = startProcess(cmd); err != nil {
		return nil, fmt.Errorf("starting Prometheus: %w", err)
	}
	if err := json.NewEncoder(stdin).Encode(promConfig{interval, targets}); err != nil {
		return nil, errors.Join(fmt.Errorf("telling Prometheus what to scrape: %w", err), p.stop())
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("the process that is to be Prometheus ended at once"), p.stop())
	}
	p.url = lines.Text()
	go func() {
		for lines.Scan() {
			p.count(lines.Text())
		}
	}()
	return p, nil
}

// count counts a request to the API.
func (p *prometheus) count(path string) {
	p.mu.Lock()
	p.queries++
	p.mu.Unlock()
	if strings.HasPrefix(path, "/api/v1/query") {
		select {
		case p.asked <- struct{}{}:
		default:
		}
	}
}

// requests is how many there were.
func (p *prometheus) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queries
}

// waitSeries waits until it knows as many series as there are GPUs.
func (p *prometheus) waitSeries(ctx context.Context, want int) error {
	for {
		got, err := p.series(ctx)
		if err == nil && got == fmt.Sprint(want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d series: Prometheus has %s (%w)", want, got, errors.Join(err, ctx.Err()))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// series is how many there are.
func (p *prometheus) series(ctx context.Context) (string, error) {
	var reply struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	text, err := get(ctx, p.url+"/api/v1/query?query=count(DCGM_FI_DEV_GPU_UTIL)")
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return "", err
	}
	if len(reply.Data.Result) == 0 {
		return "none", nil
	}
	return fmt.Sprint(reply.Data.Result[0].Value[1]), nil
}

// stop ends it.
func (p *prometheus) stop() error { return errors.Join(p.stdin.Close(), p.wait()) }
