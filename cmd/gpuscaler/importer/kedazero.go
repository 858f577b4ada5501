package importer

import (
	"fmt"
	"strconv"
)

// activation is the query of a trigger and the value above which the trigger is active.
type activation struct {
	field, signal, query, threshold string
}

// kedaMinimum translates minReplicaCount and idleReplicaCount.
func (t *translation) kedaMinimum(o *scaledObject) {
	field, minimum := "spec.minReplicaCount", int32(0)
	if o.Spec.MinReplicaCount != nil {
		minimum = *o.Spec.MinReplicaCount
	}
	idle := o.Spec.IdleReplicaCount
	switch {
	case idle != nil && *idle != 0:
		t.gap("spec.idleReplicaCount", *idle, "idle is either zero or min-replicas")
	case idle != nil:
		if minimum > 1 {
			t.gap(field, minimum, "what scales to zero comes back with one replica, then with what its targets ask for: min-replicas is 0")
		}
		field, minimum = "spec.idleReplicaCount", 0
	}
	if minimum != 0 {
		t.set("min-replicas", strconv.Itoa(int(minimum)), field)
		return
	}
	t.toZero(field, o.Spec.CooldownPeriod)
}

// toZero translates scaling to zero. It needs a signal that is there when no pod is.
func (t *translation) toZero(field string, cooldown *int32) {
	if len(t.activations) == 0 {
		t.set("min-replicas", "1", field)
		t.gap(field, 0, "scaling to zero needs activate-on, a signal that does not come from the Deployment's own pods, and no trigger has one: min-replicas is 1")
		return
	}
	first := t.activations[0]
	signal := first.signal
	if first.threshold != "" {
		base := first.signal + "-active"
		if signal = t.query(first.field+".metadata.activationThreshold", base, fmt.Sprintf("clamp_min((%s) - (%s), 0)", first.query, first.threshold)); signal == "" {
			return
		}
	}
	after := int32(kedaCooldown)
	if cooldown != nil {
		after = max(*cooldown, 1)
	}
	t.set("min-replicas", "0", field)
	t.set("idle-after", seconds(after), "spec.cooldownPeriod")
	t.set("activate-on", signal+" > 0", field)
	t.note("scale to zero: idle-after is KEDA's cooldownPeriod; all signals must have read 0 for so long, and min-replicas 0 means 1 while it runs; make sure that %s does not come from the Deployment's own pods", signal)
	for _, other := range t.activations[1:] {
		t.gap(other.field, other.query, "does not wake the Deployment from zero: activate-on names one signal, here %s", signal)
	}
}
