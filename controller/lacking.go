package controller

import corev1 "k8s.io/api/core/v1"

// lacking names what runs out first on the nodes that admit a Deployment's pods: on most of them, where they differ. It stands in
// for the scheduler's own words as long as no pod has been refused by it. Empty if the places are not known.
func (l *ledger) lacking(d *deployment) string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fit(d.shape)
	switch {
	case f.count.unknown != "":
		return ""
	case len(f.count.nodes) == 0:
		return "a node that its selector, affinity and tolerations admit"
	}
	if c := &f.count; c.scarceAt != l.version {
		c.scarce, c.scarceAt = l.scarcest(f), l.version
	}
	return f.count.scarce
}

// scarcest finds it. Call it with mu held.
func (l *ledger) scarcest(f *fit) string {
	votes, most := map[int]int{}, 0
	for _, i := range f.count.nodes {
		resource := f.scarcest(l.list[i].space)
		votes[resource]++
		most = max(most, votes[resource])
	}
	name := ""
	for resource, n := range votes {
		if text := string(l.base.nameOf(resource)); n == most && (name == "" || text < name) {
			name = text // of equals the first by name, so that it is told in the same words each time
		}
	}
	return name
}

// scarcest returns the resource of which a space has enough for the fewest pods, and the number of pods itself as -1.
func (f *fit) scarcest(at space) int {
	least, resource := at.pods, -1
	for _, need := range f.count.needs {
		if n := at.free[need.resource] / need.amount; n < least || n == least && need.resource > resource {
			least, resource = n, need.resource
		}
	}
	return resource
}

// nameOf returns the name of a resource by its number.
func (r *rooms) nameOf(resource int) corev1.ResourceName {
	for name, i := range r.index {
		if i == resource {
			return name
		}
	}
	return corev1.ResourcePods
}
