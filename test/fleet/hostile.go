package fleet

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Values of the annotation Hostile. They act on running pods; health stays as it is, only /metrics does harm.
const (
	// HostileEndless is a body of valid lines without end, HostileLine one line without end.
	HostileEndless = "endless"
	HostileLine    = "endless-line"
	// HostileBomb is a body of 1 GiB of zeros in 1 MiB of gzip, whether or not the client takes gzip; HostileBombLines
	// holds 1 GiB of valid lines.
	HostileBomb      = "gzip-bomb"
	HostileBombLines = "gzip-bomb-lines"
	// HostileSeries is a million valid series.
	HostileSeries = "million-series"
	// HostileSlow is what there is to say, a byte a second; HostileHang accepts and says nothing.
	HostileSlow = "slow"
	HostileHang = "hang"
	// HostileJSON and HostileHTML are well-formed bodies of another content type.
	HostileJSON = "json"
	HostileHTML = "html"
	// HostileRedirect sends the client to RedirectTo.
	HostileRedirect = "redirect"
	// HostileRefuse lets nothing listen.
	HostileRefuse = "refuse"
	// HostileNaN, HostileAbsurd (Blank) and HostileNegative (-1) are values that no gauge of load can have.
	HostileNaN      = "nan"
	HostileAbsurd   = "absurd"
	HostileNegative = "negative"
	// HostileStale is an agent whose driver no longer answers: its samples grow old and go after 5s. HostileNoDriver is
	// one that has found no driver. Other engines know neither.
	HostileStale    = "stale"
	HostileNoDriver = "no-driver"
)

// wrongValues are what the gauges of load read instead of what is true.
var wrongValues = map[string]float64{HostileNaN: math.NaN(), HostileAbsurd: Blank, HostileNegative: -1}

// attack answers a request for /metrics. It ends with the request's context, and so costs nothing once the client has
// had enough.
type attack func(w http.ResponseWriter, req *http.Request, r *podRun, well http.Handler)

// behaves leaves it to the engine what the annotation means.
func behaves(w http.ResponseWriter, req *http.Request, _ *podRun, well http.Handler) {
	well.ServeHTTP(w, req)
}

var attacks = map[string]attack{
	"":               behaves,
	HostileNaN:       behaves,
	HostileAbsurd:    behaves,
	HostileNegative:  behaves,
	HostileStale:     behaves,
	HostileNoDriver:  behaves,
	HostileRefuse:    behaves, // until the listener is closed
	HostileEndless:   endless(bytes.Repeat([]byte(validLine), blockSize/len(validLine))),
	HostileLine:      endless(bytes.Repeat([]byte{'a'}, blockSize)),
	HostileBomb:      bomb([]byte{0}),
	HostileBombLines: bomb([]byte(validLine)),
	HostileSeries:    millionSeries,
	HostileSlow: func(w http.ResponseWriter, req *http.Request, _ *podRun, well http.Handler) {
		well.ServeHTTP(&slowWriter{ResponseWriter: w, ctx: req.Context()}, req)
	},
	HostileHang: func(_ http.ResponseWriter, req *http.Request, _ *podRun, _ http.Handler) { <-req.Context().Done() },
	HostileJSON: says("application/json", `{"num_requests_running": 3, "num_requests_waiting": 250}`),
	HostileHTML: says("text/html; charset=utf-8", "<!DOCTYPE html>\n<html><body><h1>Sign in</h1></body></html>\n"),
	HostileRedirect: func(w http.ResponseWriter, req *http.Request, r *podRun, _ http.Handler) {
		to := r.annotation(RedirectTo)
		if to == "" {
			to = req.URL.Path
		}
		http.Redirect(w, req, to, http.StatusFound)
	},
}

// hostile lets a pod's engine do the harm that its annotation asks for.
func (r *podRun) hostile(well http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mode := r.annotation(Hostile)
		harm, ok := attacks[mode]
		switch {
		case !ok:
			allowed := strings.TrimPrefix(strings.Join(slices.Sorted(maps.Keys(attacks)), ", "), ", ")
			r.fleet.opts.Log("pod %s: annotation %s is %q, want one of %s", r.name, Hostile, mode, allowed)
			http.Error(w, "unknown value of the annotation "+Hostile, http.StatusInternalServerError)
		case req.URL.Path != metricsPath:
			well.ServeHTTP(w, req)
		default:
			harm(w, req, r, well)
		}
	})
}

// validLine is a sample that a reader looks for.
const validLine = "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 250.0\n"

const (
	// blockSize is how much an endless body says at once, and blockPause how long it waits then: 64 MB/s at most, or a
	// client without a limit would keep this process busy.
	blockSize  = 64 << 10
	blockPause = time.Millisecond
)

func endless(block []byte) attack {
	return func(w http.ResponseWriter, req *http.Request, _ *podRun, _ http.Handler) {
		w.Header().Set("Content-Type", textFormat)
		for pause(req.Context(), blockPause) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

// pause waits; false if the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// bombSize is how large a bomb becomes.
const bombSize = 1 << 30

// bomb packs bombSize bytes that repeat a text. A gzip stream may be a sequence of members, so only the first MiB is ever
// compressed.
func bomb(text []byte) attack {
	const part = 1 << 20
	member := sync.OnceValue(func() []byte {
		var out bytes.Buffer
		packer := gzip.NewWriter(&out)
		_, _ = packer.Write(bytes.Repeat(text, part/len(text)))
		_ = packer.Close()
		return out.Bytes()
	})
	return func(w http.ResponseWriter, _ *http.Request, _ *podRun, _ http.Handler) {
		w.Header().Set("Content-Type", textFormat)
		w.Header().Set("Content-Encoding", "gzip")
		for sent := 0; sent < bombSize; sent += part / len(text) * len(text) {
			if _, err := w.Write(member()); err != nil {
				return
			}
		}
	}
}

func millionSeries(w http.ResponseWriter, _ *http.Request, _ *podRun, _ http.Handler) {
	w.Header().Set("Content-Type", textFormat)
	block := make([]byte, 0, blockSize+128)
	for i := range 1_000_000 {
		block = append(block, `vllm:num_requests_waiting{engine="`...)
		block = strconv.AppendInt(block, int64(i), 10)
		block = append(block, "\",model_name=\"m\"} 250.0\n"...)
		if len(block) < blockSize && i < 999_999 {
			continue
		}
		if _, err := w.Write(block); err != nil {
			return
		}
		block = block[:0]
	}
}

func says(contentType, body string) attack {
	return func(w http.ResponseWriter, _ *http.Request, _ *podRun, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// slowWriter writes a byte a second.
type slowWriter struct {
	http.ResponseWriter
	ctx context.Context
}

func (w *slowWriter) Write(p []byte) (int, error) {
	flusher := http.NewResponseController(w.ResponseWriter)
	for i := range p {
		if !pause(w.ctx, time.Second) {
			return i, w.ctx.Err()
		}
		if _, err := w.ResponseWriter.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if err := flusher.Flush(); err != nil {
			return i + 1, err
		}
	}
	return len(p), nil
}
