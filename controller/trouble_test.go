package controller

import (
	"strings"
	"testing"
	"unicode/utf8"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// The states of a container.
func waits(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
}

func ended(code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
}

func runs() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
}

func TestCrashesAreToldFromLoading(t *testing.T) {
	type list = []corev1.ContainerStatus
	for name, tt := range map[string]struct {
		init, main list
		crash      string
		restarts   uint8
	}{
		"being created":                       {nil, list{{State: waits("ContainerCreating")}}, "", 0},
		"waits for init containers":           {list{{State: runs()}}, list{{State: waits("PodInitializing")}}, "", 0},
		"loading":                             {nil, list{{State: runs()}}, "", 0},
		"failed once":                         {nil, list{{State: ended(1)}}, "", 0},
		"loading after one failure":           {nil, list{{State: runs(), RestartCount: 1, LastTerminationState: ended(1)}}, "", 1},
		"failed again":                        {nil, list{{State: ended(1), RestartCount: 1}}, "CrashLoopBackOff", 1},
		"waits to be restarted":               {nil, list{{State: waits("CrashLoopBackOff"), RestartCount: 1, LastTerminationState: ended(1)}}, "CrashLoopBackOff", 1},
		"runs between two waits":              {nil, list{{State: runs(), RestartCount: 2, LastTerminationState: ended(137)}}, "CrashLoopBackOff", 2},
		"was restarted in good order":         {nil, list{{State: runs(), RestartCount: 2, LastTerminationState: ended(0)}}, "", 2},
		"came up after failures":              {nil, list{{State: runs(), Ready: true, RestartCount: 2, LastTerminationState: ended(1)}}, "", 2},
		"no such image":                       {nil, list{{State: waits("ImagePullBackOff")}}, "ImagePullBackOff", 0},
		"no such ConfigMap":                   {nil, list{{State: waits("CreateContainerConfigError")}}, "CreateContainerConfigError", 0},
		"command not found":                   {nil, list{{State: waits("RunContainerError"), RestartCount: 3}}, "RunContainerError", 3},
		"an init container fails":             {list{{State: waits("CrashLoopBackOff"), RestartCount: 4}}, list{{State: waits("PodInitializing")}}, "Init:CrashLoopBackOff", 4},
		"a second container fails":            {nil, list{{State: runs(), Ready: true}, {State: waits("ErrImagePull")}}, "ErrImagePull", 0},
		"more restarts than can be counted":   {nil, list{{State: runs(), Ready: true, RestartCount: 200}, {State: runs(), Ready: true, RestartCount: 200}}, "", 255},
		"a sidecar that failed before it ran": {list{{State: runs(), Ready: true, RestartCount: 1, LastTerminationState: ended(1)}}, list{{State: runs()}}, "", 1},
	} {
		c, restarts := crashOf(&corev1.PodStatus{InitContainerStatuses: tt.init, ContainerStatuses: tt.main})
		if c.String() != tt.crash || restarts != tt.restarts {
			t.Errorf("%s: %q after %d restarts, want %q after %d", name, c, restarts, tt.crash, tt.restarts)
		}
	}
}

// A pod that has served and was restarted long ago does not crash because it is not Ready now.
func TestServedPodThatRunsDoesNotCrash(t *testing.T) {
	for _, tt := range []struct {
		pod     pod
		crashes bool
	}{
		{pod{crash: restarted}, true},
		{pod{crash: restarted, served: true}, false},
		{pod{crash: restarted | initial, served: true}, false},
		{pod{crash: waitingFor("CrashLoopBackOff"), served: true}, true},
		{pod{}, false},
	} {
		if got := tt.pod.crashes(); got != tt.crashes {
			t.Errorf("%q, served %v: crashes %v, want %v", tt.pod.crash, tt.pod.served, got, tt.crashes)
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	long := strings.Repeat("é", maxLacking)
	for message, want := range map[string]string{
		"0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.": "1 Insufficient nvidia.com/gpu",
		"0/3 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: }, 2 Insufficient nvidia.com/mig-1g.5gb.":                                                        "1 node(s) had untolerated taint {nvidia.com/gpu: }, 2 Insufficient nvidia.com/mig-1g.5gb",
		"0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.":               "pod has unbound immediate PersistentVolumeClaims",
		"no nodes available to schedule pods":                     "nodes",
		"Scheduling is blocked due to non-empty scheduling gates": "Scheduling is blocked due to non-empty scheduling gates",
		"": "",
	} {
		if got := missing(message); got != want {
			t.Errorf("%q\nis %q\nwant %q", message, got, want)
		}
	}
	if got := missing(long); len(got) > maxLacking || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes %q, want at most %d of valid text", len(got), got, maxLacking)
	}
}

func TestRefusal(t *testing.T) {
	failure := func(status corev1.ConditionStatus, reason, message string) []appsv1.DeploymentCondition {
		return []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Message: "is progressing"},
			{Type: appsv1.DeploymentReplicaFailure, Status: status, Reason: reason, Message: message},
		}
	}
	const quota = `pods "a-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4`
	for want, conditions := range map[string][]appsv1.DeploymentCondition{
		"": failure(corev1.ConditionFalse, "FailedCreate", quota),
		"exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4": failure(corev1.ConditionTrue, "FailedCreate", quota),
		"the webhook is away": failure(corev1.ConditionTrue, "FailedCreate", "the webhook is away"),
		"FailedCreate":        failure(corev1.ConditionTrue, "FailedCreate", ""),
	} {
		if got := refusalOf(conditions); got != want {
			t.Errorf("refused because of %q, want %q", got, want)
		}
	}
}
