package serving

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of what New and SetRate accept. They keep every quotient of the model finite and every run of it one that ends.
const (
	maxRunning    = 65536
	minThroughput = 0.001
	maxDecode     = 1e7
	maxPrefill    = 1e8
	maxKVTokens   = 1_000_000_000
	maxTokens     = 10_000_000
	minSpeed      = 0.001
	maxSpeed      = 10_000.0
	minWindow     = time.Second
	maxWindow     = 24 * time.Hour
	maxRate       = 10_000.0
)

// DefaultWindow is how far back the latency quantiles of a Load look when Config.Window is zero.
const DefaultWindow = time.Minute

// Server is what one replica can do. The names in its errors are those of a scenario file's `server`.
type Server struct {
	// MaxRunning is the most requests in the batch (vLLM's max_num_seqs), 1 to 65536.
	MaxRunning int
	// TokensPerSecond is the rate at which a full batch generates tokens, all its requests together.
	TokensPerSecond float64
	// PrefillTokensPerSecond is the rate at which prompts are computed while nothing is generated.
	PrefillTokensPerSecond float64
	// KVTokens is the size of the KV cache, in tokens.
	KVTokens int
}

// Config is a load and the server that every replica runs. Requests come either at the rate that SetRate sets, all of
// one size, or from Trace.
type Config struct {
	Server Server
	// PromptTokens and OutputTokens are the size of every request; unused with a Trace. OutputTokens counts the first
	// token too, so it is at least 1.
	PromptTokens, OutputTokens int
	// Trace, if not nil, is when requests arrive and how large each is, in any order. See ParseTrace.
	Trace []Request
	// Speed divides the times of Trace: 2 replays it in half the time. Zero means 1.
	Speed float64
	// Seed seeds the arrivals.
	Seed uint64
	// Window is how far back the latency quantiles of a Load look. Zero means DefaultWindow.
	Window time.Duration
}

// Validate returns every problem of c at once, joined, each naming the key of the scenario file, the value and what is
// allowed; nil if there is none.
func (c Config) Validate() error {
	problems := []error{
		wantInt("server.max-running", c.Server.MaxRunning, 1, maxRunning),
		wantNumber("server.tokens-per-second", c.Server.TokensPerSecond, minThroughput, maxDecode),
		wantNumber("server.prefill-tokens-per-second", c.Server.PrefillTokensPerSecond, minThroughput, maxPrefill),
		wantInt("server.kv-tokens", c.Server.KVTokens, 2, maxKVTokens),
	}
	if c.Trace == nil {
		problems = append(problems,
			wantInt("load.prompt-tokens", c.PromptTokens, 1, maxTokens),
			wantInt("load.output-tokens", c.OutputTokens, 1, maxTokens),
			c.wantRoom("load", c.PromptTokens, c.OutputTokens))
	} else {
		problems = append(problems, c.validateTrace())
	}
	if c.Speed != 0 {
		problems = append(problems, wantNumber("load.speed", c.Speed, minSpeed, maxSpeed))
	}
	if c.Window != 0 && (c.Window < minWindow || c.Window > maxWindow) {
		problems = append(problems, fmt.Errorf("window: %v is not allowed: want a duration from %v to %v", c.Window, minWindow, maxWindow))
	}
	return errors.Join(problems...)
}

// validateTrace reports the first request that cannot be served: a trace has thousands, and they tend to be wrong alike.
func (c Config) validateTrace() error {
	if len(c.Trace) == 0 {
		return errors.New("load.trace: it has no requests: want at least one")
	}
	for i, q := range c.Trace {
		name := fmt.Sprintf("load.trace: request %d", i+1)
		if q.At < 0 {
			return fmt.Errorf("%s: time %v is not allowed: want 0s or later", name, q.At)
		}
		err := errors.Join(
			wantInt(name+": prompt tokens", q.PromptTokens, 1, maxTokens),
			wantInt(name+": output tokens", q.OutputTokens, 1, maxTokens),
			c.wantRoom(name, q.PromptTokens, q.OutputTokens))
		if err != nil {
			return err
		}
	}
	return nil
}

// wantRoom refuses a request that no replica could ever finish, as vLLM refuses one longer than its KV cache.
func (c Config) wantRoom(name string, prompt, output int) error {
	if c.Server.KVTokens < 1 || prompt < 1 || output < 1 || prompt > maxTokens || output > maxTokens {
		return nil // said already, by the check of that number
	}
	if prompt+output <= c.Server.KVTokens {
		return nil
	}
	return fmt.Errorf("%s: %d prompt + %d output tokens are not allowed: want at most server.kv-tokens, %d, together",
		name, prompt, output, c.Server.KVTokens)
}

func wantInt(key string, value, lowest, highest int) error {
	if lowest <= value && value <= highest {
		return nil
	}
	return fmt.Errorf("%s: %d is not allowed: want a whole number from %d to %d", key, value, lowest, highest)
}

// wantNumber is written so that NaN, for which every comparison is false, is refused.
func wantNumber(key string, value, lowest, highest float64) error {
	if lowest <= value && value <= highest {
		return nil
	}
	return fmt.Errorf("%s: %v is not allowed: want a number from %v to %v", key, value, lowest, highest)
}
