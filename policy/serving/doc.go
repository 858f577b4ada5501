// Package serving is a model of inference servers under load: requests arrive, a gateway routes them to the replicas that
// are ready, and each replica computes prompts and generates tokens as vLLM does. It answers what a monitoring system
// would read from each replica, and how long the clients waited. `gpuscaler simulate` runs its closed loop on it, and the
// simulated fleet of the tests drives its exporters with it.
//
//	m, err := serving.New(serving.Config{Server: server, PromptTokens: 512, OutputTokens: 128, Seed: 1})
//	// at each tick t:
//	m.Advance(t)                 // up to now, with the replicas and the rate of the last tick
//	load, ok := m.Read("llm-0")  // what happened since the last reading
//	m.SetReplicas(ready)         // from now on
//	m.SetRate(20)                // from now on
//	// at the end:
//	score := m.Score(serving.SLO{TTFT: 2 * time.Second})
//
// The package is a pure function of its calls: no clock, no I/O, no goroutine. The same calls give the same numbers to
// the last bit, and whether a span of time is advanced at once or in pieces makes no difference.
//
// # Arrivals
//
// At a rate, arrivals are a Poisson process: in a second at rate λ the number of requests has mean λ and variance λ, and
// all are of one size. The gap before the next request is an exponentially distributed patience that the rate consumes, so
// a change of rate takes effect at once, in the middle of a gap, and rate 0 is a pause. The patience comes from a PCG
// generator with the given seed: the same seed at twice the rate is the same requests in half the time. From a trace,
// requests arrive at its times divided by Speed, each of its own size, and the seed plays no part.
//
// # Routing
//
// A request goes at once to the ready replica with the fewest requests, waiting and running together; of several, to the
// one that comes first in SetReplicas. It stays there: a replica that becomes ready later does not take over what waits
// elsewhere. While no replica is ready, requests wait at the gateway (Pending), without limit and without giving up, and
// go out in order of arrival when one is.
//
// # The batch
//
// A replica serves its queue first come, first served. A request is admitted to the batch when
//
//   - fewer than max-running requests are in the batch,
//   - no other prompt is being computed, and
//   - the KV cache has room for its prompt and keeps 1 % free beside it (an empty batch admits in any case).
//
// First its prompt is computed (prefill), then it generates its output tokens (decode), the first of which is what time to
// first token waits for. Then it leaves.
//
// # How fast
//
// The engine works in steps. A step gives each of the n decoding requests one token, which takes
//
//	T(n) = (max-running + n) / (2 x tokens-per-second)     and T(0) = 0
//
// seconds, and if a prompt is being computed, also 2048 tokens of that, which takes
//
//	P = 2048 / prefill-tokens-per-second
//
// seconds more. So while T(n)+P is the time of a step, each decoding request gets 1/(T(n)+P) tokens per second and the
// prompt 2048/(T(n)+P); without a prompt P is 0. This is:
//
//   - a full batch generates n/T(n) = tokens-per-second, which is never exceeded;
//   - a request alone generates about twice its share of that, 2 x tokens-per-second / (max-running+1): a small batch is
//     not infinitely fast, and the throughput n/T(n) rises with the batch, ever more slowly;
//   - no work is lost: a request takes prompt/prefill-tokens-per-second + output x T(n)/n seconds of the engine, so that a
//     full replica serves 1/(prompt/prefill-tokens-per-second + output/tokens-per-second) requests per second. With the
//     example of the scenario format (32, 2000, 20000) and requests of 512 + 128 tokens that is 11.2 per second.
//
// That the time of a decode step is a line in the size of the batch, ITL = alpha + beta x n, is what measurements of vLLM
// show and what llm-d's workload-variant-autoscaler fits; the fits it ships, 20.58 ms + 0.41 ms x n and for an H100
// 6.958 ms + 0.042 ms x n, reach twice alpha at a batch of 50 and of 166. With a scenario's two numbers for the decode
// speed, the size and the speed of a full batch, the line is fixed by putting that doubling at max-running. Sharing a step
// between all decoding requests and a chunk of a prompt is vLLM's chunked prefill; 2048 is a usual max_num_batched_tokens.
//
// The model does not go step by step. Between two events (an arrival, a prompt computed, a first token, a last token, a
// full KV cache) all rates are constant, so it computes when the next event is and jumps there: three events a request
// and none a token. The tests hold it against an engine that does go step by step, from idle to overloaded: the mean times
// to the first and to the last token differ by less than 2 % and one step, the time in which all is done as well.
//
// # The KV cache
//
// A request takes room for its prompt when it is admitted, and for one token more with each that it generates, until it
// leaves. When the cache is full, the request admitted last is preempted, as vLLM does with recomputation: it gives its room
// back and waits at the front of the queue, and when it is admitted again, its prompt and the tokens it had are computed as
// one prompt. Its client keeps what it got: the first token comes only once. The 1 % that an admission must leave free
// keeps a preempted request from coming back before another has finished. A request too large for an empty cache is an
// error in New.
//
// # Replicas that come and go
//
// A replica named by SetReplicas for the first time is empty. One no longer named is gone at that moment, whether it was
// scaled in, crashed or became unready: the model knows no grace period. All its requests go back to the gateway and are
// routed anew in order of arrival. Those that it had begun are counted as retried and begin with their prompt; a first token
// that it had delivered is worth nothing, and the client's time to first token runs on from its arrival until the next
// attempt delivers one. A replica that returns under its old name is a new one, its counters at 0.
//
// # What is measured
//
// Score counts time from the arrival at the gateway, as the client sees it. Load is what the replica itself can know, so its
// latencies count from when the request reached it: TTFT to the first token, QueueTime to the first admission, Prefill and
// Decode from there. As in vLLM, a time to first token is told when that token comes, all others when the request has
// finished. InterToken is a request's mean gap between tokens (vLLM observes each gap); its quantile is over requests.
//
//   - GPUUtilization is the share of the interval in which the batch was not empty, as NVML and DCGM define it: that
//     something runs, not how much. It saturates at 100, for an LLM long before the replica does. A server of single
//     forward passes, such as a vision model, is a server with output-tokens: 1; its utilization follows its load.
//   - KVCache is the room taken when it is read, TokensPerSecond and RequestsPerSecond are generated tokens and finished
//     requests over the interval. The interval of a reading begins at the one before.
//   - PromptTokens counts a prompt when it has been computed for the first time; GenerationTokens, like the work of the
//     replica, includes the part of a token that a preemption before the first whole one throws away.
//   - A quantile is the nearest rank over the trailing window (Config.Window, one minute), with the number of requests it is
//     from. Of none there is no quantile.
//
// # Limits
//
// One prompt is computed at a time, so short ones wait in line where vLLM would pack several into a step; in sum it takes
// as long. Tokens flow evenly, so the stall of a long prompt shows as a slower stream, and an arrival does not wait for the
// running step to end. There is no prefix caching, no speculative decoding, no disaggregated prefill, no priority, no
// timeout and no client that gives up; attention over a long context costs what a short one does; all replicas are alike,
// and routing knows their exact load. Equal bytes are promised on one architecture: some fuse a multiplication and an
// addition into one rounding.
package serving
