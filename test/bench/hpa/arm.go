package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gpuscaler/gpuscaler/test/bench/hpa/report"
	"github.com/gpuscaler/gpuscaler/test/install"
)

// The rules that all arms share. What is not here is the HPA's default, and so is ours.
const (
	minReplicas, maxReplicas = 1, 10
	downWindow               = 15 * time.Second
)

// arm is one way to scale the Deployments.
type arm struct {
	name string
	// user is by whom the audit log knows it; "" for nobody.
	user string
	// tuning is that of an HPA arm, nil for the others, and api where it reads its metric.
	tuning *tuning
	api    *metricsAPI
	// interval is that of ours. Direct arms read the agents on the nodes, the others Prometheus.
	interval time.Duration
	direct   bool
}

// arms are all that there are, by name. The one without a user scales nothing: what the control plane takes by itself is measured there.
func (o *options) arms() map[string]*arm {
	all := map[string]*arm{}
	for _, a := range []*arm{
		{name: report.Idle},
		{name: "hpa-defaults", user: autoscalerUser, tuning: &defaults, api: podMetrics},
		{name: "hpa-tuned", user: autoscalerUser, tuning: &o.tuned, api: podMetrics},
		{name: "hpa-tuned-external", user: autoscalerUser, tuning: &o.tuned, api: externalMetrics},
		{name: "gpuscaler-15s", user: controllerUser, interval: 15 * time.Second},
		{name: "gpuscaler-1s", user: controllerUser, interval: time.Second},
		{name: "gpuscaler-1s-direct", user: controllerUser, interval: time.Second, direct: true},
	} {
		all[a.name] = a
	}
	return all
}

// ours tells whether it is gpuscaler.
func (a *arm) ours() bool { return a.user == controllerUser }

// annotations are those of the Deployments.
func (a *arm) annotations() map[string]string {
	if !a.ours() {
		return nil
	}
	const prefix = "gpuscaler.io/"
	return map[string]string{
		prefix + "enabled": "true", prefix + "min-replicas": fmt.Sprint(minReplicas), prefix + "max-replicas": fmt.Sprint(maxReplicas),
		prefix + "target.gpu-utilization": fmt.Sprint(target), prefix + "scale-down.stabilization": downWindow.String(),
	}
}

// start creates the Deployments, starts what scales them, and waits until all of them are being scaled.
func (s *stage) start(ctx context.Context, a *arm) error {
	push := func(string, map[string]int) {}
	if a.tuning != nil {
		push = func(app string, values map[string]int) {
			// An adapter that has ended is noticed when it is asked for its use.
			_ = s.adapter.tell(adapterCommand{Values: map[string]map[string]int{app: values}})
		}
	}
	if err := s.create(ctx, a.annotations(), push); err != nil {
		return err
	}
	switch {
	case a.tuning != nil:
		return s.startHPA(ctx, a)
	case a.ours():
		return s.startOurs(ctx, a)
	}
	return nil
}

// end stops what start started.
func (s *stage) end(ctx context.Context, a *arm) error {
	errs := []error{s.scaler.stop()}
	s.scaler = nil
	s.scrapes.pointTo(nil)
	errs = append(errs, s.prometheus.stop())
	s.prometheus = nil
	if a.tuning != nil {
		errs = append(errs,
			s.client.AutoscalingV2().HorizontalPodAutoscalers(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
			s.dynamic.Resource(apiServices).Delete(ctx, a.api.service(), metav1.DeleteOptions{}))
	}
	if a.direct {
		for i := range s.nodes {
			errs = append(errs, s.fleet.StopAgent(ctx, nodeName(i)))
		}
	}
	return errors.Join(append(errs, s.clear(ctx))...)
}

func nodeName(i int) string { return fmt.Sprintf("gpu-%d", i) }

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

func (s *stage) startHPA(ctx context.Context, a *arm) (err error) {
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": a.api.service()},
		"spec": map[string]any{
			"group": a.api.group, "version": a.api.version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service":               map[string]any{"namespace": adapterNamespace, "name": adapterService, "port": int64(adapterPort)},
		},
	}}
	if _, err := s.dynamic.Resource(apiServices).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("registering the adapter: %w", err)
	}
	if err := s.waitAdapter(ctx, a.api); err != nil {
		return err
	}
	for _, l := range s.loads {
		if _, err := s.client.AutoscalingV2().HorizontalPodAutoscalers(namespace).Create(ctx, hpaOf(l.app, a.api), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating the HPA of %s: %w", l.app, err)
		}
	}
	if err := s.renew(ctx, s.ready.Autoscaler, metav1.NamespaceSystem, autoscalerAccount); err != nil {
		return err
	}
	args := append([]string{"-kubeconfig", s.ready.Autoscaler}, a.tuning.args()...)
	if s.scaler, err = startRole(ctx, s.dir, "autoscaler", &struct{}{}, args...); err != nil {
		return err
	}
	return until(ctx, time.Minute, "all HPAs to be active", func() error { return s.activeHPAs(ctx) })
}

// waitAdapter waits until the API server reaches the adapter, and it has values of all Deployments.
func (s *stage) waitAdapter(ctx context.Context, api *metricsAPI) error {
	return until(ctx, time.Minute, "the adapter behind the API server", func() error {
		for _, l := range s.loads {
			err := s.client.CoreV1().RESTClient().Get().AbsPath(api.path()).Param("labelSelector", "app="+l.app).Do(ctx).Error()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// hpaOf says the same as annotations.
func hpaOf(app string, api *metricsAPI) *autoscalingv2.HorizontalPodAutoscaler {
	lowest, window := int32(minReplicas), int32(downWindow/time.Second)
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: app},
			MinReplicas:    &lowest, MaxReplicas: maxReplicas,
			Metrics: []autoscalingv2.MetricSpec{metricOf(app, api)},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window},
			},
		},
	}
}

// metricOf is the one metric of an HPA: of each pod, or the sum that an external one is.
func metricOf(app string, api *metricsAPI) autoscalingv2.MetricSpec {
	to := autoscalingv2.MetricTarget{
		Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(target, resource.DecimalSI),
	}
	if api == podMetrics {
		source := &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: metric}, Target: to}
		return autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: source}
	}
	only := &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	source := &autoscalingv2.ExternalMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: metric, Selector: only}, Target: to}
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: source}
}

// activeHPAs returns nil if all HPAs have been synced with metrics.
func (s *stage) activeHPAs(ctx context.Context) error {
	list, err := s.client.AutoscalingV2().HorizontalPodAutoscalers(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, h := range list.Items {
		active := slices.ContainsFunc(h.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool {
			return c.Type == autoscalingv2.ScalingActive && c.Status == corev1.ConditionTrue
		})
		if !active {
			return fmt.Errorf("%s is not: %+v", h.Name, h.Status.Conditions)
		}
	}
	return nil
}

func (s *stage) startOurs(ctx context.Context, a *arm) (err error) {
	source := ""
	if a.direct {
		for i := range s.nodes {
			if err := s.fleet.AddAgent(ctx, nodeName(i)); err != nil {
				return err
			}
		}
	} else {
		var at prometheusReady
		if s.prometheus, err = startRole(ctx, s.dir, "prometheus", &at, "-dir", s.dir); err != nil {
			return err
		}
		s.scrapes.pointTo(s.prometheus)
		// With a first tick before the first scrapes, the second would be waited for.
		if err := pause(ctx, 3*scrapeInterval); err != nil {
			return err
		}
		source = at.URL
	}
	if err := s.renew(ctx, s.ready.Controller, install.Namespace, install.ServiceAccount); err != nil {
		return err
	}
	listen, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	s.scaler, err = startProgram(ctx, s.dir, "gpuscaler", s.opts.program, "run", "--kubeconfig", s.ready.Controller,
		"--prometheus-url", source, "--interval", a.interval.String(), "--listen", listen, "--leader-elect")
	if err != nil {
		return err
	}
	return until(ctx, time.Minute, "gpuscaler to see all Deployments", func() error { return s.seen(ctx, listen) })
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// seen returns nil if the program says of all Deployments that they are at their target.
func (s *stage) seen(ctx context.Context, listen string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/api/v1/workloads", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var reply struct {
		Workloads []struct{ Name, Reason, Message string }
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return fmt.Errorf("%s: %w in %.200s", response.Status, err, text)
	}
	for _, w := range reply.Workloads {
		if w.Reason != "WithinTolerance" {
			return fmt.Errorf("it says %s of %s: %s", w.Reason, w.Name, w.Message)
		}
	}
	if len(reply.Workloads) != len(s.loads) {
		return fmt.Errorf("it sees %d of %d", len(reply.Workloads), len(s.loads))
	}
	return nil
}

// check makes sure that the arm is what it says: the same cluster, the versions, and nobody else's objects.
func (s *stage) check(ctx context.Context, a *arm) error {
	uid, err := s.identity(ctx)
	if err != nil {
		return err
	}
	if uid != s.uid {
		return fmt.Errorf("this is another cluster: kube-system is %s, it was %s", uid, s.uid)
	}
	hpas, err := s.client.AutoscalingV2().HorizontalPodAutoscalers(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	deployments, err := s.client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	annotated := 0
	for _, d := range deployments.Items {
		if slices.ContainsFunc(slices.Collect(maps.Keys(d.Annotations)), func(k string) bool { return strings.HasPrefix(k, "gpuscaler.io/") }) {
			annotated++
		}
	}
	wantHPAs, wantAnnotated := 0, 0
	if a.tuning != nil {
		wantHPAs = s.opts.steps
	}
	if a.ours() {
		wantAnnotated = s.opts.steps
	}
	if len(hpas.Items) != wantHPAs || annotated != wantAnnotated {
		return fmt.Errorf("there are %d HPAs and %d annotated Deployments, want %d and %d", len(hpas.Items), annotated, wantHPAs, wantAnnotated)
	}
	return nil
}

// fail lets the arm's source of metrics fail, or with the zero fault no more.
func (s *stage) fail(a *arm, kind string) error {
	for _, l := range s.loads {
		l.freeze(kind == frozen)
	}
	f := fault{Kind: kind}
	if kind == frozen {
		return nil
	}
	if kind == half {
		for _, l := range s.loads {
			f.Lost = append(f.Lost, everyOther(l.pods())...)
		}
	}
	if a.tuning != nil {
		return s.adapter.ask(adapterCommand{Fault: &f})
	}
	return s.prometheus.ask(prometheusCommand{Fault: &f})
}
