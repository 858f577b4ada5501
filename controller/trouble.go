package controller

import (
	"cmp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// crash says why the containers of a pod do not come up: a position in crashes, 0 if they do or it is too early to say.
type crash uint8

const (
	// restarted is that of a container which runs just now after failing again and again.
	restarted crash = 1
	// initial marks an init container, as kubectl does by "Init:".
	initial crash = 1 << 7
)

// crashes are the reasons for which a kubelet has a container wait that will not come up by itself soon.
var crashes = [...]string{
	0:         "",
	restarted: "CrashLoopBackOff",
	2:         "CrashLoopBackOff",
	3:         "ImagePullBackOff",
	4:         "ErrImagePull",
	5:         "ErrImageNeverPull",
	6:         "ImageInspectError",
	7:         "InvalidImageName",
	8:         "SignatureValidationFailed",
	9:         "CreateContainerConfigError",
	10:        "CreateContainerError",
	11:        "PreCreateHookError",
	12:        "PreStartHookError",
	13:        "PostStartHookError",
	14:        "RunContainerError",
}

// String is the kubelet's word.
func (c crash) String() string {
	if c&initial != 0 {
		return "Init:" + crashes[c&^initial]
	}
	return crashes[c]
}

// waitingFor returns the crash of a container that waits for a reason.
func waitingFor(reason string) crash {
	for c := restarted + 1; int(c) < len(crashes); c++ {
		if crashes[c] == reason {
			return c
		}
	}
	return 0
}

// crashOf returns why the containers of a pod do not come up and how often they were restarted.
func crashOf(status *corev1.PodStatus) (c crash, restarts uint8) {
	total := 0
	look := func(list []corev1.ContainerStatus, mark crash) {
		for i := range list {
			total += int(list[i].RestartCount)
			if found := containerCrash(&list[i]); found != 0 && c == 0 {
				c = found | mark
			}
		}
	}
	look(status.InitContainerStatuses, initial)
	look(status.ContainerStatuses, 0)
	return c, uint8(min(total, 255))
}

// containerCrash is that of one container. Between two waits in a crash loop it runs for a while, or has just failed; one failure
// is no loop yet.
func containerCrash(s *corev1.ContainerStatus) crash {
	failed := func(t *corev1.ContainerStateTerminated) bool { return t != nil && t.ExitCode != 0 }
	switch {
	case s.State.Waiting != nil:
		return waitingFor(s.State.Waiting.Reason)
	case failed(s.State.Terminated) && s.RestartCount > 0:
		return restarted + 1
	case s.State.Running != nil && !s.Ready && s.RestartCount > 1 && failed(s.LastTerminationState.Terminated):
		return restarted
	}
	return 0
}

// crashes reports whether a pod does not come up. One that has served and runs again after failures of long ago does.
func (p *pod) crashes() bool {
	return p.crash != 0 && (!p.served || p.crash&^initial != restarted)
}

// missing shortens what the scheduler says of a pod to what it misses: "1 Insufficient nvidia.com/gpu" of "0/1 nodes are available: 1
// Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: …".
func missing(message string) string {
	if _, reasons, found := strings.Cut(message, "nodes are available: "); found {
		message, _, _ = strings.Cut(reasons, ". ")
	}
	if message = strings.TrimSuffix(message, "."); message == noNodes {
		return "nodes" // "2 short of nodes": a cluster that has none yet
	}
	return shorten(message)
}

// noNodes is what the scheduler says where there is no node at all (ErrNoNodesAvailable in its schedule_one.go).
const noNodes = "no nodes available to schedule pods"

// maxLacking is how much is kept of a message about what is lacking.
const maxLacking = 200

// shorten cuts a message off where it becomes too long.
func shorten(message string) string {
	if len(message) <= maxLacking {
		return message
	}
	return strings.ToValidUTF8(message[:maxLacking-len("…")], "") + "…"
}

// refusalOf tells why the pods of a Deployment are not created, empty if they are: "exceeded quota: …" of `pods "a-1" is forbidden: exceeded
// quota: …`.
func refusalOf(conditions []appsv1.DeploymentCondition) string {
	for i := range conditions {
		c := &conditions[i]
		if c.Type != appsv1.DeploymentReplicaFailure || c.Status != corev1.ConditionTrue {
			continue
		}
		if _, why, found := strings.Cut(c.Message, "is forbidden: "); found {
			return shorten(why)
		}
		return shorten(cmp.Or(c.Message, c.Reason, string(c.Type)))
	}
	return ""
}
