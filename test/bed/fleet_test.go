package bed_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// onlyPod returns the only pod of a namespace.
func onlyPod(t *testing.T, ns string) (*corev1.Pod, error) {
	t.Helper()
	pods, err := shared.Client().CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if len(pods.Items) != 1 {
		return nil, fmt.Errorf("%d pods, want 1", len(pods.Items))
	}
	return &pods.Items[0], nil
}

func annotate(t *testing.T, pod *corev1.Pod, key, value string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value)
	_, err := shared.Client().CoreV1().Pods(pod.Namespace).Patch(t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestPodLoadsAsLongAsItSays(t *testing.T) {
	ns := namespace(t)
	deploy(t, fleet.Deployment(ns, "slow").VLLM().LoadTime(700*time.Millisecond))
	var pod *corev1.Pod
	bed.WaitFor(t, wait, "a running pod", func() (err error) {
		if pod, err = onlyPod(t, ns); err != nil {
			return err
		}
		return bed.Want("phase", pod.Status.Phase, corev1.PodRunning)
	})
	if isReady(pod) {
		t.Error("it is ready before it has loaded")
	}
	loading := time.Now()
	waitSeries(t, `DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} == 0`, 1)
	if samples, err := prometheus.Query(t.Context(), `up{job="vllm",namespace="`+ns+`"}`); err != nil || len(samples) > 0 {
		t.Errorf("it serves before it has loaded: %v %v", samples, err)
	}
	waitReady(t, ns, "slow", 1)
	if took := time.Since(loading); took < 500*time.Millisecond {
		t.Errorf("ready %s after it ran, want about 700ms", took)
	}
	waitSeries(t, `up{job="vllm",namespace="`+ns+`"} == 1`, 1)
}

func TestCrashLoopAndRecovery(t *testing.T) {
	ns := namespace(t)
	deploy(t, fleet.Deployment(ns, "broken").PodAnnotations(map[string]string{fleet.Crash: "true"}))
	var pod *corev1.Pod
	bed.WaitFor(t, wait, "two restarts", func() (err error) {
		if pod, err = onlyPod(t, ns); err != nil {
			return err
		}
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].RestartCount < 2 {
			return errors.New("fewer")
		}
		w := pod.Status.ContainerStatuses[0].State.Waiting
		if w == nil {
			return errors.New("it runs")
		}
		return bed.Want("reason", w.Reason, "CrashLoopBackOff")
	})
	if isReady(pod) {
		t.Error("it is ready")
	}
	annotate(t, pod, fleet.Crash, "false")
	waitReady(t, ns, "broken", 1)
}

func TestContainerThatCannotStart(t *testing.T) {
	ns := namespace(t)
	deploy(t, fleet.Deployment(ns, "unpulled").PodAnnotations(map[string]string{fleet.Waiting: "ImagePullBackOff"}))
	var pod *corev1.Pod
	bed.WaitFor(t, wait, "a pod that cannot pull its image", func() (err error) {
		if pod, err = onlyPod(t, ns); err != nil {
			return err
		}
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Waiting == nil {
			return errors.New("no such state")
		}
		return bed.Want("reason", pod.Status.ContainerStatuses[0].State.Waiting.Reason, "ImagePullBackOff")
	})
	annotate(t, pod, fleet.Waiting, "")
	waitReady(t, ns, "unpulled", 1)
}

func TestUnreadyPodKeepsServing(t *testing.T) {
	ns := namespace(t)
	gpus.Drive(ns, "flaky", fleet.NewFixed(fleet.Reading{Running: 5}))
	deploy(t, fleet.Deployment(ns, "flaky").VLLM())
	waitReady(t, ns, "flaky", 1)
	pod, err := onlyPod(t, ns)
	if err != nil {
		t.Fatal(err)
	}
	annotate(t, pod, fleet.Unready, "true")
	waitReadyReplicas(t, ns, "flaky", 0)
	waitSeries(t, `vllm:num_requests_running{namespace="`+ns+`"} == 5`, 1)
	annotate(t, pod, fleet.Unready, "false")
	waitReadyReplicas(t, ns, "flaky", 1)
}

func waitReadyReplicas(t *testing.T, ns, name string, n int32) {
	t.Helper()
	bed.WaitFor(t, wait, "ready replicas of "+name, func() error {
		d, err := shared.Client().AppsV1().Deployments(ns).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return bed.Want("number", d.Status.ReadyReplicas, n)
	})
}

func TestEachGPUOfAPodHasItsSeries(t *testing.T) {
	ns := namespace(t)
	gpus.Drive(ns, "pair", fleet.NewFixed(fleet.Reading{EachGPU: []float64{90, 30}, GPUMemoryUsed: 70000}))
	deploy(t, fleet.Deployment(ns, "pair").GPUs(2))
	waitReady(t, ns, "pair", 1)
	labels := `{job="dcgm-exporter",exported_namespace="` + ns + `",exported_container="server"}`
	waitSeries(t, `sum(DCGM_FI_DEV_GPU_UTIL`+labels+`) == 120`, 1)
	waitSeries(t, `DCGM_FI_DEV_FB_USED`+labels+` == 70000`, 2)
	gpus.ForgetPods(true)
	waitSeries(t, `DCGM_FI_DEV_GPU_UTIL`+labels, 0)
	waitSeries(t, `sum(DCGM_FI_DEV_GPU_UTIL{job="dcgm-exporter"}) == 120`, 1)
	gpus.ForgetPods(false)
	waitSeries(t, `DCGM_FI_DEV_GPU_UTIL`+labels, 2)
}

func TestServingModelDrivesTheSeries(t *testing.T) {
	ns := namespace(t)
	model, err := fleet.NewServing(serving.Config{
		Server:       serving.Server{MaxRunning: 4, TokensPerSecond: 400, PrefillTokensPerSecond: 50000, KVTokens: 20000},
		PromptTokens: 100, OutputTokens: 20, Seed: 1,
	}, 70000)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.SetRate(60); err != nil { // three times what one pod can serve
		t.Fatal(err)
	}
	gpus.Drive(ns, "llm", model)
	deploy(t, fleet.Deployment(ns, "llm").VLLM())
	waitReady(t, ns, "llm", 1)
	in := `{namespace="` + ns + `"}`
	waitSeries(t, `vllm:num_requests_waiting`+in+` > 20`, 1)
	waitSeries(t, `vllm:num_requests_running`+in+` == 4`, 1)
	waitSeries(t, `rate(vllm:generation_tokens_total`+in+`[1s]) > 200`, 1)
	waitSeries(t, `histogram_quantile(0.95, rate(vllm:time_to_first_token_seconds_bucket`+in+`[1s])) > 0.2`, 1)
	waitSeries(t, `DCGM_FI_DEV_GPU_UTIL{job="dcgm-exporter",exported_namespace="`+ns+`"} > 90`, 1)
	if err := model.SetRate(0); err != nil {
		t.Fatal(err)
	}
	waitSeries(t, `vllm:num_requests_waiting`+in+` + vllm:num_requests_running`+in+` == 0`, 1)
	if err := model.Err(); err != nil {
		t.Error(err)
	}
}

func TestAutoscalerControllerEnforcesBounds(t *testing.T) {
	ns := namespace(t)
	deploy(t, fleet.Deployment(ns, "web"))
	waitReady(t, ns, "web", 1)
	two := int32(2)
	_, err := shared.Client().AutoscalingV2().HorizontalPodAutoscalers(ns).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    &two, MaxReplicas: 4,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waitReady(t, ns, "web", 2)
}
