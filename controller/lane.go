package controller

// lane holds jobs that wait, by namespace, and lets the namespaces take turns: one with thousands of jobs holds up no other.
type lane struct {
	// turns are the namespaces that have jobs, the next one first.
	turns []string
	jobs  map[string][]*job
}

// add puts a job behind those of its namespace.
func (l *lane) add(j *job) {
	if l.jobs == nil {
		l.jobs = map[string][]*job{}
	}
	if len(l.jobs[j.namespace]) == 0 {
		l.turns = append(l.turns, j.namespace)
	}
	l.jobs[j.namespace] = append(l.jobs[j.namespace], j)
}

// next takes the first job of the namespace whose turn it is, of those that may send one. It returns nil if there is none.
func (l *lane) next(may func(namespace string) bool) *job {
	for range l.turns {
		namespace := l.turns[0]
		l.turns = l.turns[1:]
		list := l.jobs[namespace]
		if !may(namespace) {
			l.turns = append(l.turns, namespace)
			continue
		}
		if len(list) == 1 {
			delete(l.jobs, namespace)
		} else {
			l.jobs[namespace] = list[1:]
			l.turns = append(l.turns, namespace)
		}
		return list[0]
	}
	return nil
}

// clear takes all jobs out.
func (l *lane) clear() []*job {
	var all []*job
	for j := l.next(anyone); j != nil; j = l.next(anyone) {
		all = append(all, j)
	}
	return all
}

func anyone(string) bool { return true }
