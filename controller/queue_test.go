package controller

import (
	"slices"
	"testing"
)

// The namespaces take turns, and within one of them the order stays.
func TestNamespacesTakeTurns(t *testing.T) {
	var q queue
	for _, name := range []string{"a/1", "a/2", "a/3", "b/1", "c/1", "c/2"} {
		q.add(&job{change: change{namespace: name[:1], name: name}})
	}
	var order []string
	for j := q.next(); j != nil; j = q.next() {
		order = append(order, j.name)
		if j.name == "b/1" {
			q.add(&job{change: change{namespace: "b", name: "b/2"}}) // anew, when it has had its turn
		}
	}
	if want := []string{"a/1", "b/1", "c/1", "a/2", "b/2", "c/2", "a/3"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if len(q.jobs) != 0 {
		t.Errorf("%d namespaces are left over", len(q.jobs))
	}
}
