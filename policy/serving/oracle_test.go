package serving

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// oracle is the engine that the model stands for, told step by step as vLLM's scheduler does it: each step gives every
// decoding request one token and spends chunkTokens on prompts, first come first served, several in one step if they are
// short; what it takes is the sum of both. It keeps no fluid, no rates and no events, so it shares nothing with the model
// but the two formulas for the time of a step. It knows no full KV cache.
type oracle struct {
	server  Server
	now     float64
	waiting []*oracleRequest
	prompts []*oracleRequest // in the batch, prompt not yet computed
	decodes []*oracleRequest
	done    []*oracleRequest
}

type oracleRequest struct {
	arrived, answered, finished float64
	prompt, output              int // still to do
}

func (o *oracle) run(requests []Request) {
	for len(requests) > 0 || len(o.waiting)+len(o.prompts)+len(o.decodes) > 0 {
		for len(requests) > 0 && requests[0].At.Seconds() <= o.now {
			q := requests[0]
			requests = requests[1:]
			o.waiting = append(o.waiting, &oracleRequest{arrived: q.At.Seconds(), prompt: q.PromptTokens, output: q.OutputTokens})
		}
		if len(o.waiting)+len(o.prompts)+len(o.decodes) == 0 {
			o.now = requests[0].At.Seconds()
			continue
		}
		o.step()
	}
}

func (o *oracle) step() {
	decoding := o.decodes
	if n := float64(len(decoding)); n > 0 {
		o.now += (float64(o.server.MaxRunning) + n) / (2 * o.server.TokensPerSecond)
	}
	budget := chunkTokens
	var computed []*oracleRequest
	for budget > 0 {
		if len(o.prompts) == 0 {
			if len(o.waiting) == 0 || len(computed)+len(decoding) >= o.server.MaxRunning {
				break
			}
			o.prompts, o.waiting = o.waiting[:1:1], o.waiting[1:]
		}
		q := o.prompts[0]
		spent := min(budget, q.prompt)
		q.prompt -= spent
		budget -= spent
		if q.prompt == 0 {
			computed, o.prompts = append(computed, q), nil
		}
	}
	o.now += float64(chunkTokens-budget) / o.server.PrefillTokensPerSecond
	o.decodes = nil
	for _, q := range decoding {
		o.token(q)
	}
	o.decodes = append(o.decodes, computed...)
}

func (o *oracle) token(q *oracleRequest) {
	if q.answered == 0 {
		q.answered = o.now
	}
	if q.output--; q.output == 0 {
		q.finished = o.now
		o.done = append(o.done, q)
		return
	}
	o.decodes = append(o.decodes, q)
}

// means are the mean time to first token, the mean time to the last one and the time at which all was done, in seconds.
type means struct{ ttft, e2e, end float64 }

func (o *oracle) means() means {
	var m means
	for _, q := range o.done {
		m.ttft += (q.answered - q.arrived) / float64(len(o.done))
		m.e2e += (q.finished - q.arrived) / float64(len(o.done))
		m.end = max(m.end, q.finished)
	}
	return m
}

func modelMeans(t *testing.T, server Server, requests []Request) means {
	t.Helper()
	m := newModel(t, Config{Server: server, Trace: requests}, 0, 1)
	var out means
	for step := time.Duration(0); m.Totals().Completed < len(requests); step += 100 * time.Millisecond {
		m.Advance(step)
		load := read(t, m, "p0")
		for _, ttft := range load.FirstTokens {
			out.ttft += ttft / float64(len(requests))
		}
		for _, c := range load.Completions {
			out.e2e += c.E2E / float64(len(requests))
		}
		out.end = step.Seconds()
	}
	return out
}

// TestAgainstStepByStepEngine holds the fluid against the engine it stands for.
func TestAgainstStepByStepEngine(t *testing.T) {
	tests := map[string]struct {
		server         Server
		rate           float64 // requests per second
		prompt, output int     // means; sizes are spread evenly from half to three halves of it
	}{
		"idle":           {exampleServer, 0.5, 512, 128},
		"half loaded":    {exampleServer, 5.5, 512, 128},
		"nearly full":    {exampleServer, 9.5, 512, 128},
		"overloaded":     {exampleServer, 20, 512, 128},
		"prefill heavy":  {exampleServer, 2, 6000, 20},
		"decode heavy":   {exampleServer, 2.5, 100, 600},
		"one at a time":  {Server{1, 100, 20000, 200000}, 0.6, 256, 100},
		"one token each": {Server{16, 200, 40000, 200000}, 20, 1000, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, 7))
			requests := make([]Request, 600)
			at := 0.0
			for i := range requests {
				at += random.ExpFloat64() / tt.rate
				requests[i] = Request{
					At:           time.Duration(at * float64(time.Second)),
					PromptTokens: tt.prompt/2 + random.IntN(tt.prompt+1),
					OutputTokens: max(1, tt.output/2+random.IntN(tt.output+1)),
				}
			}
			engine := oracle{server: tt.server}
			engine.run(requests)
			want, got := engine.means(), modelMeans(t, tt.server, requests)
			t.Logf("engine %+v, model %+v", want, got)
			// An arrival waits for the running step to end in the engine, on average half of it, but not in the fluid.
			step := float64(tt.server.MaxRunning)/tt.server.TokensPerSecond + chunkTokens/tt.server.PrefillTokensPerSecond
			if d := math.Abs(got.ttft - want.ttft); d > 0.02*want.ttft+step {
				t.Errorf("mean TTFT %.4f s, engine %.4f s", got.ttft, want.ttft)
			}
			if d := math.Abs(got.e2e - want.e2e); d > 0.02*want.e2e+step {
				t.Errorf("mean E2E %.4f s, engine %.4f s", got.e2e, want.e2e)
			}
			if d := math.Abs(got.end - want.end); d > 0.02*want.end+step+0.1 {
				t.Errorf("all done after %.2f s, engine %.2f s", got.end, want.end)
			}
		})
	}
}
