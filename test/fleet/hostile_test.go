package fleet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// first reads so much of a body.
func first(t *testing.T, response *http.Response, n int64) []byte {
	t.Helper()
	var body bytes.Buffer
	if _, err := io.CopyN(&body, response.Body, n); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

// unpacked is how much a body becomes, and how much of it was sent.
func unpacked(t *testing.T, response *http.Response) (size int64, sent int) {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacker, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	size, err = io.Copy(io.Discard, unpacker)
	if err != nil {
		t.Fatal(err)
	}
	return size, len(body)
}

// hostile says what a client gets from each; the values are wanted of num_requests_waiting.
var hostile = map[string]func(*testing.T, *http.Response){
	"":               reads(7),
	HostileNaN:       reads(math.NaN()),
	HostileAbsurd:    reads(4294967295),
	HostileNegative:  reads(-1),
	HostileStale:     reads(7),
	HostileJSON:      isOf("application/json"),
	HostileHTML:      isOf("text/html; charset=utf-8"),
	HostileEndless:   repeatsOneSeries,
	HostileLine:      neverEndsALine,
	HostileBomb:      becomesAGiB,
	HostileBombLines: becomesLines,
	HostileSeries:    isAMillion,
	HostileRedirect: func(t *testing.T, r *http.Response) {
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusFound || got != "https://127.0.0.1:6443/api" {
			t.Errorf("%s to %q", r.Status, got)
		}
	},
	"rude": func(t *testing.T, r *http.Response) {
		if r.StatusCode != http.StatusInternalServerError {
			t.Errorf("an unknown value answers %s", r.Status)
		}
	},
}

func reads(want float64) func(*testing.T, *http.Response) {
	return func(t *testing.T, r *http.Response) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		got := parse(t, body)["vllm:num_requests_waiting"].GetMetric()[0].GetGauge().GetValue()
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("it reads %v, want %v", got, want)
		}
	}
}

func isOf(contentType string) func(*testing.T, *http.Response) {
	return func(t *testing.T, r *http.Response) {
		if got := r.Header.Get("Content-Type"); got != contentType {
			t.Errorf("the content type is %q, want %q", got, contentType)
		}
	}
}

func repeatsOneSeries(t *testing.T, r *http.Response) {
	isOf(textFormat)(t, r)
	body := first(t, r, 5<<20)
	if families := parse(t, body[:bytes.LastIndexByte(body, '\n')+1]); len(families) != 1 {
		t.Errorf("%d families, want one over and over", len(families))
	}
}

func neverEndsALine(t *testing.T, r *http.Response) {
	if bytes.ContainsAny(first(t, r, 5<<20), "\n{ ") {
		t.Error("the line ends")
	}
}

func becomesAGiB(t *testing.T, r *http.Response) {
	if got := r.Header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("the content encoding is %q", got)
	}
	if size, sent := unpacked(t, r); size != 1<<30 || sent > 4<<20 {
		t.Errorf("%d bytes become %d, want 1 GiB from a few MiB", sent, size)
	}
}

// becomesLines looks beyond the first member.
func becomesLines(t *testing.T, r *http.Response) {
	isOf(textFormat)(t, r)
	unpacker, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unpacker)
	for i := range 100_000 {
		if !lines.Scan() || lines.Text()+"\n" != validLine {
			t.Fatalf("line %d is %q, %v", i, lines.Text(), lines.Err())
		}
	}
}

func isAMillion(t *testing.T, r *http.Response) {
	body, err := io.ReadAll(r.Body)
	if n := bytes.Count(body, []byte("\n")); err != nil || n != 1_000_000 {
		t.Fatalf("%d lines, %v, want a million", n, err)
	}
	end := body[len(body)-10_000:]
	families := parse(t, end[bytes.IndexByte(end, '\n')+1:])
	if len(families["vllm:num_requests_waiting"].GetMetric()) < 100 {
		t.Errorf("it ends with\n%s", end)
	}
}

func TestHostileEngines(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	f.Drive("ml", "a", NewFixed(Reading{Waiting: 7, Running: 3, KVCache: 0.5}))
	run := rigPod(t, n, f, "a", loopbackVLLM)
	order(run, RedirectTo, "https://127.0.0.1:6443/api")
	url := "http://" + instance(run.ip, 8000) + "/metrics"
	for mode, check := range hostile {
		t.Run(mode, func(t *testing.T) {
			order(run, Hostile, mode)
			response, err := get(t, url)
			if err != nil {
				t.Fatal(err)
			}
			check(t, response)
		})
	}
	t.Run(HostileHang, func(t *testing.T) {
		order(run, Hostile, HostileHang)
		hangs(t, url)
	})
}

func hangs(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := patient.Do(request); !errors.Is(err, context.DeadlineExceeded) {
		_ = response.Body.Close()
		t.Errorf("it answers: %v", err)
	}
}

func TestRefusingEngineStaysATarget(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	run := rigPod(t, n, f, "a", loopbackVLLM)
	url := "http://" + instance(run.ip, 8000) + "/metrics"
	for range 2 {
		run.listen(false)
		if _, err := get(t, url); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, want refused", err)
		}
		if got := f.Targets(SourceVLLM); len(got) != 1 {
			t.Errorf("targets are %v, want the one", got)
		}
		run.listen(true)
		scrape(t, url)
	}
}

// An endless body must not keep this process busy, nor go on when the client has gone.
func TestHostilityIsCheap(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	run := rigPod(t, n, f, "a", loopbackVLLM)
	order(run, Hostile, HostileEndless)
	before := cpu(t)
	response, err := get(t, "http://"+instance(run.ip, 8000)+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for buffer := make([]byte, 1<<16); time.Since(start) < 300*time.Millisecond; {
		if _, err := response.Body.Read(buffer); err != nil {
			t.Fatal(err)
		}
	}
	if used := cpu(t) - before; used > 150*time.Millisecond {
		t.Errorf("%s of CPU for 300ms of an endless body", used)
	}
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(os.NewSyscallError("getrusage", err))
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func TestSlowWriterWritesAByteASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		recorder := httptest.NewRecorder()
		n, err := (&slowWriter{ResponseWriter: recorder, ctx: ctx}).Write([]byte(strings.Repeat("x", 100)))
		if n != 3 || !errors.Is(err, context.DeadlineExceeded) || recorder.Body.String() != "xxx" || !recorder.Flushed {
			t.Errorf("in 3.5s it wrote %d bytes, %q, %v", n, recorder.Body.String(), err)
		}
	})
}
