package serving

// never marks a time that has not come.
const never = -1

// request is one request on its way. Times are seconds since the start of the model.
type request struct {
	id             int // in order of arrival
	prompt, output float64
	arrived        float64 // at the gateway
	reached        float64 // the replica that has it now
	admitted       float64 // to that replica's batch, the first time
	prefilled      float64 // its prompt was computed, the first time
	answered       float64 // its first token came
	order          int     // of admission at its replica; the highest is preempted first
	generated      float64 // tokens it had when it last entered the batch
	entered        float64 // the replica's served level when it last began to decode
}

// footprint is the KV cache, in tokens, that q takes when it enters the batch.
func (q *request) footprint() float64 { return q.prompt + q.generated }

// firstAt and finishAt are the served levels at which q's first and last token come.
func (q *request) firstAt() float64  { return q.entered + 1 - q.generated }
func (q *request) finishAt() float64 { return q.entered + q.output - q.generated }

// restart forgets everything that a replica did for q.
func (q *request) restart() {
	q.admitted, q.prefilled, q.answered, q.generated = never, never, never, 0
}

// queue is a first-in, first-out list that also takes a request back at its front.
type queue struct {
	items []*request
	head  int
}

func (q *queue) len() int          { return len(q.items) - q.head }
func (q *queue) front() *request   { return q.items[q.head] }
func (q *queue) all() []*request   { return q.items[q.head:] }
func (q *queue) push(add *request) { q.items = append(q.items, add) }

func (q *queue) pop() *request {
	out := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if q.head*2 >= len(q.items) { // at least half is dead: moving the rest costs no more than what was popped
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return out
}

func (q *queue) pushFront(add *request) {
	if q.head == 0 {
		q.items = append(q.items, nil)
		copy(q.items[1:], q.items)
		q.items[0] = add
		return
	}
	q.head--
	q.items[q.head] = add
}

// ledger is what the replicas of one model write down together.
type ledger struct {
	// ttft is the time to first token of each request in seconds, by id, counted from its arrival at the gateway; never
	// while it waits for one.
	ttft      []float64
	completed int
	retried   int
	preempted int
	spare     []*request // finished ones, to be used again
}

// open begins a request.
func (l *ledger) open(prompt, output int, now float64) *request {
	var q *request
	if n := len(l.spare); n > 0 {
		q, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		q = new(request)
	}
	*q = request{id: len(l.ttft), prompt: float64(prompt), output: float64(output), arrived: now}
	q.restart()
	l.ttft = append(l.ttft, never)
	return q
}
