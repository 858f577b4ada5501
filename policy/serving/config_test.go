package serving

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	trace := func(q ...Request) func(*Config) { return func(c *Config) { c.Trace = q } }
	tests := map[string]struct {
		change func(*Config)
		want   []string // one per line of the error
	}{
		"good":           {func(*Config) {}, nil},
		"no batch":       {func(c *Config) { c.Server.MaxRunning = 0 }, []string{"server.max-running: 0 is not allowed: want a whole number from 1 to 65536"}},
		"NaN":            {func(c *Config) { c.Server.TokensPerSecond = math.NaN() }, []string{"server.tokens-per-second: NaN is not allowed: want a number from 0.001 to 1e+07"}},
		"infinite":       {func(c *Config) { c.Server.PrefillTokensPerSecond = math.Inf(1) }, []string{"server.prefill-tokens-per-second: +Inf is not allowed"}},
		"no cache":       {func(c *Config) { c.Server.KVTokens = 0 }, []string{"server.kv-tokens: 0 is not allowed"}},
		"no output":      {func(c *Config) { c.OutputTokens = 0 }, []string{"load.output-tokens: 0 is not allowed"}},
		"does not fit":   {func(c *Config) { c.PromptTokens = 200_000 }, []string{"load: 200000 prompt + 128 output tokens are not allowed: want at most server.kv-tokens, 200000, together"}},
		"just fits":      {func(c *Config) { c.PromptTokens = 200_000 - 128 }, nil},
		"overflow":       {func(c *Config) { c.PromptTokens, c.OutputTokens = math.MaxInt, math.MaxInt }, []string{"load.prompt-tokens: ", "load.output-tokens: "}},
		"negative speed": {func(c *Config) { c.Speed = -2 }, []string{"load.speed: -2 is not allowed: want a number from 0.001 to 10000"}},
		"short window":   {func(c *Config) { c.Window = time.Millisecond }, []string{"window: 1ms is not allowed: want a duration from 1s to 24h0m0s"}},
		"empty trace":    {func(c *Config) { c.Trace = []Request{} }, []string{"load.trace: it has no requests"}},
		"trace only":     {func(c *Config) { c.PromptTokens, c.OutputTokens, c.Trace = 0, 0, []Request{{0, 1, 1}} }, nil},
		"bad trace":      {trace(Request{0, 1, 1}, Request{-1, 1, 1}), []string{"load.trace: request 2: time -1ns is not allowed"}},
		"long trace":     {trace(Request{0, 1, 1}, Request{1, 199_999, 2}), []string{"load.trace: request 2: 199999 prompt + 2 output tokens are not allowed"}},
		"all at once": {func(c *Config) { *c = Config{Speed: math.Inf(1)} }, []string{
			"server.max-running: ", "server.tokens-per-second: ", "server.prefill-tokens-per-second: ", "server.kv-tokens: ",
			"load.prompt-tokens: ", "load.output-tokens: ", "load.speed: ",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := exampleConfig()
			tt.change(&c)
			_, err := New(c)
			if err == nil {
				if tt.want != nil {
					t.Fatalf("accepted, want %q", tt.want)
				}
				return
			}
			if got := strings.Split(err.Error(), "\n"); !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
