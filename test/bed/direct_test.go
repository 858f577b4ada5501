package bed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// fetch gets the metrics of a pod at its own address, without anything of the bed between.
func fetch(t *testing.T, pod *corev1.Pod) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	url := fmt.Sprintf("http://%s:%d/metrics", pod.Status.PodIP, pod.Spec.Containers[0].Ports[0].ContainerPort)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// waitFetch waits until a pod's metrics hold a text.
func waitFetch(t *testing.T, pod *corev1.Pod, text string) {
	t.Helper()
	bed.WaitFor(t, wait, fmt.Sprintf("%s in the metrics of %s", text, pod.Name), func() error {
		body, err := fetch(t, pod)
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("it is not in\n%s", body)
		}
		return err
	})
}

func waitRefused(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	bed.WaitFor(t, wait, "a refused connection", func() error {
		if _, err := fetch(t, pod); !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("not refused: %w", err)
		}
		return nil
	})
}

func TestPodIsReadAtItsOwnAddress(t *testing.T) {
	ns := namespace(t)
	gpus.Drive(ns, "llm", fleet.NewFixed(fleet.Reading{Waiting: 7}))
	deploy(t, fleet.Deployment(ns, "llm").VLLM().Loopback())
	waitReady(t, ns, "llm", 1)
	pod, err := onlyPod(t, ns)
	if err != nil {
		t.Fatal(err)
	}
	const waiting = `vllm:num_requests_waiting{engine="0",model_name="llm"} `
	waitFetch(t, pod, waiting+"7.0")
	waitSeries(t, `vllm:num_requests_waiting{namespace="`+ns+`",pod="`+pod.Name+`"} == 7`, 1)
	annotate(t, pod, fleet.Hostile, fleet.HostileNegative)
	waitFetch(t, pod, waiting+"-1.0")
	annotate(t, pod, fleet.Hostile, fleet.HostileRefuse)
	waitRefused(t, pod)
	waitSeries(t, `up{namespace="`+ns+`"} == 0`, 1)
	annotate(t, pod, fleet.Hostile, "")
	waitFetch(t, pod, waiting+"7.0")
}

// agentOf returns the ready agent of a node as the controller finds it.
func agentOf(t *testing.T, node string) *corev1.Pod {
	t.Helper()
	var agent *corev1.Pod
	bed.WaitFor(t, wait, "a ready agent", func() error {
		pods, err := shared.Client().CoreV1().Pods(fleet.AgentNamespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/name=gpuscaler-nvml-agent", FieldSelector: "spec.nodeName=" + node,
		})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 || !isReady(&pods.Items[0]) {
			return fmt.Errorf("%d pods, want one that is ready", len(pods.Items))
		}
		agent = &pods.Items[0]
		return nil
	})
	return agent
}

func TestAgentTellsWhatThePodsOfItsNodeUse(t *testing.T) {
	ns := namespace(t)
	gpus.Drive(ns, "llm", fleet.NewFixed(fleet.Reading{GPUUtilization: 83, GPUMemoryUsed: 70000}))
	deploy(t, fleet.Deployment(ns, "llm"))
	waitReady(t, ns, "llm", 1)
	pod, err := onlyPod(t, ns)
	if err != nil {
		t.Fatal(err)
	}
	if err := gpus.AddAgent(t.Context(), pod.Spec.NodeName); err != nil {
		t.Fatal(err)
	}
	agent := agentOf(t, pod.Spec.NodeName)
	waitFetch(t, agent, `namespace="`+ns+`",pod="`+pod.Name+`",uuid="GPU-`)
	waitFetch(t, agent, `window="1s"} 0.83`)
	annotate(t, agent, fleet.Hostile, fleet.HostileNoDriver)
	waitFetch(t, agent, "gpuscaler_nvml_up 0")
	if err := gpus.StopAgent(t.Context(), pod.Spec.NodeName); err != nil {
		t.Fatal(err)
	}
	waitRefused(t, agent)
	if err := gpus.AddAgent(t.Context(), "gpu-99"); err == nil || err.Error() != "adding an agent: there is no node gpu-99" {
		t.Errorf("on a node that does not exist: %v", err)
	}
}
