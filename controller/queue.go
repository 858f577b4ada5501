package controller

// queue holds jobs that wait. The namespaces take turns, so that one with many does not keep the others waiting.
type queue struct {
	jobs map[string][]*job
	// turns are the namespaces that have jobs, in the order in which it is their turn.
	turns []string
}

// add puts a job behind those of its namespace.
func (q *queue) add(j *job) {
	if q.jobs == nil {
		q.jobs = map[string][]*job{}
	}
	waiting := q.jobs[j.namespace]
	if len(waiting) == 0 {
		q.turns = append(q.turns, j.namespace)
	}
	q.jobs[j.namespace] = append(waiting, j)
}

// next takes the first job of the namespace whose turn it is, nil if there is none.
func (q *queue) next() *job {
	if len(q.turns) == 0 {
		return nil
	}
	ns := q.turns[0]
	q.turns = q.turns[1:]
	waiting := q.jobs[ns]
	if len(waiting) == 1 {
		delete(q.jobs, ns)
		return waiting[0]
	}
	q.jobs[ns] = waiting[1:]
	q.turns = append(q.turns, ns)
	return waiting[0]
}
