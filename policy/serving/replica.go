package serving

import "math"

// chunkTokens is how many prompt tokens one step of the engine computes beside the batch's decoding (vLLM's
// max_num_batched_tokens with chunked prefill).
const chunkTokens = 2048

// watermark is the share of the KV cache that must stay free when a request is admitted beside others, so that one that
// was preempted is not let in again before another has finished.
const watermark = 0.01

// event is what happens next on a replica.
type event uint8

const (
	idle      event = iota
	answers         // a request's first token comes
	finishes        // a request's last token comes
	prefilled       // a prompt is computed
	full            // the KV cache is
)

// replica is one server. Between two events its rates are constant: at, served, prefillLeft and the sums hold for the
// last event, and settle carries them to any later time. Only events, never readings, move them.
type replica struct {
	name   string
	server *Server
	ledger *ledger

	waiting    queue
	prefilling *request   // the one request whose prompt is being computed
	decoding   []*request // by finishAt, ascending
	unanswered []*request // those of decoding whose first token has not come, by firstAt, ascending
	admissions int

	at          float64 // seconds since the start of the model
	served      float64 // tokens that a request decoding all along would have been given
	prefillLeft float64 // tokens of the prompt being computed that are not yet
	held        float64 // KV tokens in use, less served for each request that is decoding
	decodeRate  float64 // tokens per second and request
	prefillRate float64 // tokens per second

	next  float64 // time of the next event, +Inf if none
	event event

	busy         float64 // seconds with a batch
	decoded      float64 // tokens generated
	promptTokens int64
	finished     int64
	preemptions  int64

	answers     history[float64]
	completions history[Completion]
	previous    reading
}

func newReplica(name string, server *Server, l *ledger, now float64) *replica {
	r := &replica{name: name, server: server, ledger: l, at: now, next: math.Inf(1)}
	r.previous.at = now
	return r
}

// running is the size of the batch.
func (r *replica) running() int {
	if r.prefilling != nil {
		return len(r.decoding) + 1
	}
	return len(r.decoding)
}

// load is what least-request routing compares.
func (r *replica) load() int { return r.waiting.len() + r.running() }

// kvTokens is the KV cache in use at r.at.
func (r *replica) kvTokens() float64 { return r.held + r.served*float64(len(r.decoding)) }

// settle moves the replica to time t, at or before its next event.
func (r *replica) settle(t float64) {
	elapsed := t - r.at
	if elapsed <= 0 {
		return
	}
	r.at = t
	if r.running() == 0 {
		return
	}
	tokens := elapsed * r.decodeRate
	r.busy += elapsed
	r.served += tokens
	r.decoded += tokens * float64(len(r.decoding))
	r.prefillLeft = max(0, r.prefillLeft-elapsed*r.prefillRate)
}

// plan sets the rates that the batch has from now on, and the next event. At equal times the event named first comes
// first: a request of one token is answered before it is finished, and what finishes need not be preempted.
func (r *replica) plan() {
	r.next, r.event = math.Inf(1), idle
	batch := float64(len(r.decoding))
	step := (float64(r.server.MaxRunning) + batch) / (2 * r.server.TokensPerSecond)
	if batch == 0 {
		step = 0
	}
	r.prefillRate = 0
	if r.prefilling != nil {
		step += chunkTokens / r.server.PrefillTokensPerSecond
		r.prefillRate = chunkTokens / step
	}
	if batch > 0 {
		r.decodeRate = 1 / step
		if len(r.unanswered) > 0 {
			r.consider(answers, (r.unanswered[0].firstAt()-r.served)/r.decodeRate)
		}
		r.consider(finishes, (r.decoding[0].finishAt()-r.served)/r.decodeRate)
	}
	if r.prefilling != nil {
		r.consider(prefilled, r.prefillLeft/r.prefillRate)
	}
	if batch > 0 && r.running() > 1 {
		room := float64(r.server.KVTokens) - r.kvTokens()
		r.consider(full, room/(batch*r.decodeRate))
	}
}

func (r *replica) consider(e event, in float64) {
	if t := r.at + max(0, in); t < r.next {
		r.next, r.event = t, e
	}
}

// advance lets everything happen that is due by t.
func (r *replica) advance(t float64) {
	for r.next <= t {
		r.settle(r.next)
		switch r.event {
		case answers:
			r.answer()
		case finishes:
			r.finish()
		case prefilled:
			r.decode()
		case full:
			r.preempt()
		case idle: // has no time
		}
		r.admit()
		r.plan()
	}
}

// enqueue takes a request that the gateway sends at time now.
func (r *replica) enqueue(q *request, now float64) {
	q.reached = now
	r.waiting.push(q)
	if r.prefilling != nil || r.running() >= r.server.MaxRunning {
		return // nothing changes but the length of the queue
	}
	r.settle(now)
	r.admit()
	r.plan()
}
