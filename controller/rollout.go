package controller

import (
	"fmt"
	"unique"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// rollout tells whether pods of more than one template live and, unless it is empty, why those of the newest do not come up.
func (o *observer) rollout() (several bool, crashLoop string) {
	newest := o.newest()
	var first *pod
	crashing, coming := 0, 0
	for _, p := range o.found {
		if p.replicaSet != o.found[0].replicaSet {
			several = true
		}
		switch {
		case p.replicaSet != newest || p.phase == policy.Unschedulable: // its containers have not been tried
		case p.phase == policy.Ready || !p.crashes():
			coming++
		default:
			crashing++
			if first == nil || p.name < first.name {
				first = p
			}
		}
	}
	switch {
	case crashing == 0 || coming > 0:
		return several, ""
	case crashing == 1:
		return several, fmt.Sprintf("%s of %s", first.crash, first.name)
	}
	return several, fmt.Sprintf("%s of %s, and %d more", first.crash, first.name, crashing-1)
}

// newest returns the UID of the ReplicaSet with the newest template, empty if there is none.
func (o *observer) newest() types.UID {
	var newest *replicaSet
	for _, s := range o.sets {
		if newest == nil || s.revision > newest.revision {
			newest = s
		}
	}
	if newest == nil {
		return ""
	}
	return newest.uid
}

// noneLacking is the lacking of a pod of which nothing is known to be missing.
var noneLacking unique.Handle[string]

// lacking tells what there is too little of, as the first pod that says so does: what is refused cannot even be asked of the scheduler.
func (o *observer) lacking(refused string) string {
	if refused != "" {
		return refused
	}
	var first *pod
	for _, p := range o.found {
		if p.phase == policy.Unschedulable && p.lacking != noneLacking && (first == nil || p.name < first.name) {
			first = p
		}
	}
	if first == nil {
		return ""
	}
	return first.lacking.Value()
}
