package controller

import (
	"testing"
	"unique"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

func TestRolloutAndCrashLoop(t *testing.T) {
	const before, newest = types.UID("before"), types.UID("newest")
	ready := pod{phase: policy.Ready}
	loading := pod{phase: policy.Loading, scheduled: 1}
	pulling := pod{phase: policy.Loading, scheduled: 1, crash: waitingFor("ImagePullBackOff")}
	crashed := pod{phase: policy.Loading, scheduled: 1, crash: waitingFor("CrashLoopBackOff")}
	pending := pod{phase: policy.Unschedulable}
	for name, tt := range map[string]struct {
		old, fresh []pod
		several    bool
		crashLoop  string
	}{
		"nothing":                         {},
		"steady":                          {fresh: []pod{ready, ready}},
		"before the first new pod":        {old: []pod{ready, ready}},
		"under way":                       {old: []pod{ready}, fresh: []pod{loading}, several: true},
		"the new ones crash":              {old: []pod{ready, ready}, fresh: []pod{pulling}, several: true, crashLoop: "ImagePullBackOff of newest-0"},
		"the old ones crash":              {old: []pod{crashed}, fresh: []pod{ready}, several: true},
		"all crash":                       {fresh: []pod{crashed, pulling, crashed}, crashLoop: "CrashLoopBackOff of newest-0, and 2 more"},
		"one loads":                       {fresh: []pod{crashed, loading}},
		"one is ready":                    {fresh: []pod{crashed, ready}},
		"one has no node, the rest crash": {fresh: []pod{crashed, pending}, crashLoop: "CrashLoopBackOff of newest-0"},
		"none has a node":                 {fresh: []pod{pending}},
	} {
		o := observer{sets: []*replicaSet{{uid: newest, revision: 10}, {uid: before, revision: 9}}}
		add := func(set types.UID, pods []pod) {
			for i, p := range pods {
				p.name, p.replicaSet = string(set)+"-"+string(rune('0'+i)), set
				o.found = append(o.found, &p)
			}
		}
		add(before, tt.old)
		add(newest, tt.fresh)
		if several, crashLoop := o.rollout(); several != tt.several || crashLoop != tt.crashLoop {
			t.Errorf("%s: several %v, crash loop %q; want %v, %q", name, several, crashLoop, tt.several, tt.crashLoop)
		}
	}
}

func TestLacking(t *testing.T) {
	gpus, cpu := unique.Make("1 Insufficient nvidia.com/gpu"), unique.Make("1 Insufficient cpu")
	o := observer{found: []*pod{
		{meta: meta{name: "d"}, phase: policy.Ready, lacking: cpu},
		{meta: meta{name: "a"}, phase: policy.Unschedulable},
		{meta: meta{name: "c"}, phase: policy.Unschedulable, lacking: cpu},
		{meta: meta{name: "b"}, phase: policy.Unschedulable, lacking: gpus},
	}}
	if got := o.lacking(""); got != gpus.Value() {
		t.Errorf("lacking %q, want what the first pod lacks that tells", got)
	}
	if got := o.lacking("exceeded quota"); got != "exceeded quota" {
		t.Errorf("lacking %q, want the quota first", got)
	}
	o.found = o.found[:2]
	if got := o.lacking(""); got != "" {
		t.Errorf("lacking %q, want nothing", got)
	}
}
