package fleet

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stage is what a kubelet reports of a pod in one moment of its life.
type stage struct {
	phase corev1.PodPhase
	ready bool
	// networked tells that the pod has its address.
	networked bool
	state     corev1.ContainerState
}

func creating() stage { return waiting("ContainerCreating") }

// waiting is a container that cannot start for a reason.
func waiting(reason string) stage {
	return stage{phase: corev1.PodPending, state: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
}

// loading is a container that runs and is not ready.
func loading() stage { return running(false) }

func running(ready bool) stage {
	return stage{
		phase: corev1.PodRunning, ready: ready, networked: true,
		state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}
}

// failed is a container that has exited with 1.
func failed() stage {
	return stage{
		phase: corev1.PodRunning, networked: true,
		state: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", FinishedAt: metav1.Now(),
		}},
	}
}

// waitingToRestart is a container that has failed too often to be restarted at once.
func waitingToRestart() stage {
	return stage{
		phase: corev1.PodRunning, networked: true,
		state: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff", Message: "back-off restarting failed container",
		}},
	}
}

// report writes a stage to the API server. It tries until it is written, the pod is gone or the run is cancelled.
func (r *podRun) report(s stage) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": r.uid}, // a new pod of the same name is not ours
		"status":   r.status(s),
	})
	if err != nil {
		r.fleet.opts.Log("encoding the status of pod %s: %v", r.name, err)
		return
	}
	pods := r.fleet.client.CoreV1().Pods(r.name.Namespace)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, err := pods.Patch(r.ctx, r.name.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || r.ctx.Err() != nil {
			return
		}
		r.fleet.opts.Log("reporting pod %s: %v", r.name, err)
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// status is the part of a pod's status that a kubelet owns; the scheduler's condition is left as it is.
func (r *podRun) status(s stage) corev1.PodStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	status := corev1.PodStatus{
		Phase: s.phase, HostIP: r.node.ip(), HostIPs: []corev1.HostIP{{IP: r.node.ip()}},
		StartTime: &metav1.Time{Time: r.started},
		Conditions: []corev1.PodCondition{
			r.condition(corev1.PodReadyToStartContainers, s.networked, ""),
			r.condition(corev1.PodInitialized, true, ""),
			r.condition(corev1.PodReady, s.ready, "ContainersNotReady"),
			r.condition(corev1.ContainersReady, s.ready, "ContainersNotReady"),
		},
	}
	if s.networked {
		status.PodIP, status.PodIPs = r.ip, []corev1.PodIP{{IP: r.ip}}
	}
	started := s.state.Running != nil
	for _, c := range r.pod.Spec.Containers {
		container := corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, State: s.state, LastTerminationState: r.failed,
			Ready: s.ready, Started: &started, RestartCount: r.restarts,
		}
		if started {
			container.ContainerID = "containerd://" + string(r.uid)
		}
		status.ContainerStatuses = append(status.ContainerStatuses, container)
	}
	return status
}

// condition keeps the time of the last transition where the condition has not changed.
func (r *podRun) condition(kind corev1.PodConditionType, ok bool, reason string) corev1.PodCondition {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !ok {
		c.Status, c.Reason = corev1.ConditionFalse, reason
	}
	for _, was := range r.pod.Status.Conditions {
		if was.Type == kind && was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
	}
	return c
}
