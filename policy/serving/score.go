package serving

import "time"

// SLO is what a request is promised.
type SLO struct {
	// TTFT is the longest time to first token. Zero asks for a first token at any time.
	TTFT time.Duration
}

// Score sums up what the clients have seen since the model's start. Its times count from the arrival at the gateway to
// the first token of the attempt that was not lost with its replica.
type Score struct {
	// Requests have arrived, Completed have got their last token.
	Requests  int `json:"requests"`
	Completed int `json:"completed"`
	// SLOAttainment is the share of Requests, 0 to 1, whose first token came within the SLO; one still waiting has not
	// been served within it. It is 1 if none arrived.
	SLOAttainment float64 `json:"sloAttainment"`
	// TTFTP50 and TTFTP99 are nearest-rank quantiles of the time to first token in seconds, over the requests that have
	// got one; 0 if none has.
	TTFTP50 float64 `json:"ttftP50"`
	TTFTP99 float64 `json:"ttftP99"`
}

// Score sums up everything until now.
func (m *Model) Score(slo SLO) Score {
	limit := slo.TTFT.Seconds()
	answered := make([]float64, 0, len(m.ledger.ttft))
	within := 0
	for _, ttft := range m.ledger.ttft {
		if ttft == never {
			continue
		}
		answered = append(answered, ttft)
		if ttft <= limit || limit == 0 {
			within++
		}
	}
	score := Score{Requests: len(m.ledger.ttft), Completed: m.ledger.completed, SLOAttainment: 1}
	if score.Requests > 0 {
		score.SLOAttainment = float64(within) / float64(score.Requests)
	}
	score.TTFTP50 = percentile(answered, 0.50)
	score.TTFTP99 = percentile(answered, 0.99)
	return score
}

// Totals is where all requests are. Arrived is always the sum of Completed, Waiting, Running and Pending.
type Totals struct {
	// Arrived and Completed count since the start; Waiting and Running are on replicas, Pending at the gateway, now.
	Arrived, Completed, Waiting, Running, Pending int
	// Retried counts requests that were begun by a replica which then went; Preempted those that gave up their place in a
	// full KV cache. A request can be counted more than once.
	Retried, Preempted int
}

// Totals counts all requests at the time the model has reached.
func (m *Model) Totals() Totals {
	t := Totals{
		Arrived:   len(m.ledger.ttft),
		Completed: m.ledger.completed,
		Pending:   m.Pending(),
		Retried:   m.ledger.retried,
		Preempted: m.ledger.preempted,
	}
	for _, r := range m.replicas {
		t.Waiting += r.waiting.len()
		t.Running += r.running()
	}
	return t
}
