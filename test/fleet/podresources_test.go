package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresourcesv1 "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// kubelet connects to the node's kubelet as an agent does.
func kubelet(t *testing.T, f *Fleet) podresourcesv1.PodResourcesListerClient {
	t.Helper()
	socket, err := f.PodResources("gpu-0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return podresourcesv1.NewPodResourcesListerClient(conn)
}

func told(pods []*podresourcesv1.PodResources) string {
	var out strings.Builder
	for _, pod := range pods {
		for _, c := range pod.GetContainers() {
			fmt.Fprintf(&out, "%s/%s/%s:", pod.GetNamespace(), pod.GetName(), c.GetName())
			for _, d := range c.GetDevices() {
				fmt.Fprintf(&out, " %s %s", d.GetResourceName(), strings.Join(d.GetDeviceIds(), ","))
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func list(t *testing.T, client podresourcesv1.PodResourcesListerClient) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	answer, err := client.List(ctx, &podresourcesv1.ListPodResourcesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return told(answer.GetPodResources())
}

func TestKubeletTellsTheDevicesOfPods(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 4, 1)
	client := kubelet(t, f)
	if got := list(t, client); got != "" {
		t.Errorf("an empty node has %s", got)
	}
	a := rigPod(t, n, f, "a", nil)
	place(t, n, f, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "b", UID: "b"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{container("proxy", 0), container("server", 2), container("draft", 1)}},
	})
	gpu := func(i int) string { return GPUResource + " " + uuid("gpu-0", i) }
	b := "ml/b/proxy:\nml/b/server: " + gpu(1) + " " + gpu(2) + "\nml/b/draft: " + gpu(3) + "\n"
	if got, want := list(t, client), "ml/a/server: "+gpu(0)+"\n"+b; got != want {
		t.Errorf("it tells\n%swant\n%s", got, want)
	}
	one, err := client.Get(t.Context(), &podresourcesv1.GetPodResourcesRequest{PodNamespace: "ml", PodName: "b"})
	if got := told([]*podresourcesv1.PodResources{one.GetPodResources()}); err != nil || got != b {
		t.Errorf("of b it tells\n%s%v", got, err)
	}
	leave(a)
	if got := list(t, client); got != b {
		t.Errorf("without a it tells\n%swant\n%s", got, b)
	}
	if _, err := client.Get(t.Context(), &podresourcesv1.GetPodResourcesRequest{PodNamespace: "ml", PodName: "a"}); status.Code(err) != codes.NotFound {
		t.Errorf("of a: %v, want not found", err)
	}
	all, err := client.GetAllocatableResources(t.Context(), &podresourcesv1.AllocatableResourcesRequest{})
	if err != nil || len(all.GetDevices()) != 4 || all.GetDevices()[3].GetDeviceIds()[0] != uuid("gpu-0", 3) {
		t.Errorf("allocatable are %v, %v, want all four GPUs", all, err)
	}
}

func TestKubeletTellsSlices(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 3)
	for _, name := range []string{"a", "b"} {
		rigPod(t, n, f, name, nil)
	}
	id := GPUResource + " " + uuid("gpu-0", 0)
	if got, want := list(t, kubelet(t, f)), "ml/a/server: "+id+"::0\nml/b/server: "+id+"::1\n"; got != want {
		t.Errorf("it tells\n%swant\n%s", got, want)
	}
}

func TestKubeletFaults(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	rigPod(t, n, f, "a", nil)
	kubelet(t, f) // serves before the faults begin
	for _, c := range []struct {
		fault KubeletFault
		code  codes.Code
		pods  int
	}{
		{KubeletForgets, codes.OK, 0},
		{KubeletFails, codes.ResourceExhausted, 0},
		{KubeletHangs, codes.DeadlineExceeded, 0},
		{KubeletGone, codes.Unavailable, 0},
		{KubeletAnswers, codes.OK, 1},
	} {
		if err := f.SetKubeletFault("gpu-0", c.fault); err != nil {
			t.Fatal(err)
		}
		// A new connection each: an old one may wait before it is made again.
		client := kubelet(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		answer, err := client.List(ctx, &podresourcesv1.ListPodResourcesRequest{})
		cancel()
		if status.Code(err) != c.code || len(answer.GetPodResources()) != c.pods {
			t.Errorf("fault %d: %v and %d pods, want %s and %d", c.fault, err, len(answer.GetPodResources()), c.code, c.pods)
		}
		if mapped := f.devices(n)[0].pod.Name != ""; mapped != (c.fault == KubeletAnswers) {
			t.Errorf("fault %d: the exporter knows the pod: %t", c.fault, mapped)
		}
	}
	if err := f.SetKubeletFault("gpu-9", KubeletGone); err == nil || err.Error() != "changing a kubelet: there is no node gpu-9" {
		t.Errorf("of a node that does not exist: %v", err)
	}
}
