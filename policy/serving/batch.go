package serving

import (
	"cmp"
	"slices"
)

// admit lets the longest waiting request into the batch and begins its prompt, if no other prompt is being computed and
// there is a place in the batch and in the KV cache. An empty batch admits in any case: New made sure that it fits.
func (r *replica) admit() {
	if r.prefilling != nil || r.waiting.len() == 0 || len(r.decoding) >= r.server.MaxRunning {
		return
	}
	need := r.waiting.front().footprint()
	if len(r.decoding) > 0 && r.kvTokens()+need > float64(r.server.KVTokens)*(1-watermark) {
		return
	}
	q := r.waiting.pop()
	r.prefilling, r.prefillLeft = q, need
	r.held += need
	r.admissions++
	q.order = r.admissions
	if q.admitted == never {
		q.admitted = r.at
	}
}

// decode moves the request whose prompt has been computed on to decoding.
func (r *replica) decode() {
	q := r.prefilling
	r.prefilling, r.prefillLeft = nil, 0
	q.entered = r.served
	r.held -= q.entered
	if q.prefilled == never {
		q.prefilled = r.at
		r.promptTokens += int64(q.prompt)
	}
	if q.answered == never {
		r.unanswered = append(r.unanswered, q)
	}
	place := len(r.decoding)
	for place > 0 && r.decoding[place-1].finishAt() > q.finishAt() {
		place--
	}
	r.decoding = slices.Insert(r.decoding, place, q)
}

// answer delivers a first token.
func (r *replica) answer() {
	q := r.unanswered[0]
	r.unanswered = slices.Delete(r.unanswered, 0, 1)
	q.answered = r.at
	r.ledger.ttft[q.id] = r.at - q.arrived
	r.answers.add(r.at, r.at-q.reached)
}

// finish delivers a last token.
func (r *replica) finish() {
	q := r.decoding[0]
	r.leave(q)
	r.finished++
	r.ledger.completed++
	done := Completion{
		QueueTime:    q.admitted - q.reached,
		Prefill:      q.prefilled - q.admitted,
		Decode:       r.at - q.prefilled,
		E2E:          r.at - q.reached,
		PromptTokens: int(q.prompt),
		OutputTokens: int(q.output),
	}
	if q.output > 1 {
		done.InterToken = (r.at - q.answered) / (q.output - 1)
	}
	r.completions.add(r.at, done)
	r.ledger.spare = append(r.ledger.spare, q)
}

// leave takes q out of the decoding batch.
func (r *replica) leave(q *request) {
	place := slices.Index(r.decoding, q)
	r.decoding = slices.Delete(r.decoding, place, place+1)
	r.held -= q.footprint() - q.entered
	if len(r.decoding) == 0 { // forget what rounding has gathered
		r.served, r.held = 0, 0
		if r.prefilling != nil {
			r.held = r.prefilling.footprint()
		}
	}
}

// preempt makes room in a full KV cache as vLLM does: the request admitted last gives up its cache and goes back to the
// front of the queue. What it has generated is not lost, but is computed again with its prompt.
func (r *replica) preempt() {
	r.ledger.preempted++
	r.preemptions++
	if q := r.prefilling; q != nil {
		r.prefilling, r.prefillLeft = nil, 0
		r.held -= q.footprint()
		r.waiting.pushFront(q)
		return
	}
	q := slices.MaxFunc(r.decoding, func(a, b *request) int { return cmp.Compare(a.order, b.order) })
	r.leave(q)
	q.generated += r.served - q.entered
	if q.answered == never { // less than a token: nothing that could be kept
		q.generated = 0
		r.unanswered = slices.DeleteFunc(r.unanswered, func(u *request) bool { return u == q })
	}
	r.waiting.pushFront(q)
}

// evict ends the replica and returns its requests, ready to begin anew elsewhere.
func (r *replica) evict() []*request {
	orphans := slices.Concat(r.waiting.all(), r.decoding)
	if r.prefilling != nil {
		orphans = append(orphans, r.prefilling)
	}
	for _, q := range orphans {
		if q.admitted != never {
			r.ledger.retried++
			r.ledger.ttft[q.id] = never
		}
		q.restart()
	}
	return orphans
}
