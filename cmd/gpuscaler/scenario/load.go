package scenario

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// loadKeys are the keys of load and server. They make a load together.
type loadKeys struct {
	simulate.Load
	trace string
}

// has reports whether a key was given.
func (d *document) has(path string) bool {
	_, ok := d.lines[path]
	return ok
}

func (r *reader) loadKeys() *loadKeys {
	if r.load == nil {
		r.load = &loadKeys{}
	}
	return r.load
}

func (r *reader) readLoad(path string, n *yaml.Node) {
	l := r.loadKeys()
	r.fields(
		path, n,
		field{"requests-per-second", func(path string, n *yaml.Node) { l.RequestsPerSecond = r.series(path, n) }},
		field{"trace", func(path string, n *yaml.Node) { l.trace, _ = r.scalar(path, n, "the name of a CSV file") }},
		field{"speed", r.number(&l.Serving.Speed)},
		field{"prompt-tokens", r.whole(&l.Serving.PromptTokens, 1, math.MaxInt32)},
		field{"output-tokens", r.whole(&l.Serving.OutputTokens, 1, math.MaxInt32)},
	)
}

func (r *reader) readServer(path string, n *yaml.Node) {
	server := &r.loadKeys().Serving.Server
	r.fields(
		path, n,
		field{"max-running", r.whole(&server.MaxRunning, 1, math.MaxInt32)},
		field{"tokens-per-second", r.number(&server.TokensPerSecond)},
		field{"prefill-tokens-per-second", r.number(&server.PrefillTokensPerSecond)},
		field{"kv-tokens", r.whole(&server.KVTokens, 1, math.MaxInt32)},
	)
}

// finishLoad checks that the keys of load and server make a load, and reads its trace.
func (r *reader) finishLoad() {
	if !r.has("load") {
		return // a server alone serves nothing
	}
	l := r.loadKeys()
	needed := []string{"load.prompt-tokens", "load.output-tokens"}
	switch rate, trace := r.has("load.requests-per-second"), r.has("load.trace"); {
	case rate && trace:
		r.refuseLine(r.line("load.trace"), "load.trace is not allowed together with load.requests-per-second: give one of them")
	case trace:
		needed = nil
		for _, key := range []string{"load.prompt-tokens", "load.output-tokens"} {
			if r.has(key) {
				r.refuseLine(r.line(key), "%s is not allowed together with load.trace, which has the size of each request", key)
			}
		}
	case !rate:
		r.refuseLine(r.line("load"), "load needs requests-per-second, or trace: give one of them")
	case r.has("load.speed"):
		r.refuseLine(r.line("load.speed"), "load.speed is not allowed without load.trace")
	}
	if r.has("load.speed") && !(l.Serving.Speed > 0) {
		r.refuseLine(r.line("load.speed"), "load.speed: %v is not allowed: give a number above 0", l.Serving.Speed)
	}
	needed = append(needed, "server.max-running", "server.tokens-per-second", "server.prefill-tokens-per-second", "server.kv-tokens")
	for _, key := range needed {
		if !r.has(key) {
			r.refuseLine(r.line("load"), "load needs %s: give a number above 0", key)
		}
	}
	l.Serving.Seed = uint64(r.seed)
	if l.trace != "" && len(r.problems) == 0 {
		r.readTrace(l)
	}
	r.scenario.Load = &l.Load
}

// readTrace reads the file of a trace.
func (r *reader) readTrace(l *loadKeys) {
	requests, err := r.parseTrace(l.trace)
	if err != nil {
		r.refuseLine(r.line("load.trace"), "load.trace: %v", err)
		return
	}
	// A trace without requests is not the same as no trace.
	l.Serving.Trace = append([]serving.Request{}, requests...)
}

func (r *reader) parseTrace(path string) ([]serving.Request, error) {
	file, err := r.open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the trace: %w", err)
	}
	defer file.Close()
	requests, err := serving.ParseTrace(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", quote(path), err)
	}
	return requests, nil
}
