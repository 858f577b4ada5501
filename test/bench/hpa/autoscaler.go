package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// tuning is what kube-controller-manager's flags set for its HorizontalPodAutoscaler controller:
// --horizontal-pod-autoscaler-sync-period, --concurrent-horizontal-pod-autoscaler-syncs, --kube-api-qps and --kube-api-burst.
type tuning struct {
	sync       time.Duration
	workers    int
	qps, burst int
}

// defaults are kube-controller-manager's.
var defaults = tuning{sync: 15 * time.Second, workers: 5, qps: 20, burst: 30}

func (t *tuning) flags(prefix string, set *flag.FlagSet) {
	set.DurationVar(&t.sync, prefix+"sync", t.sync, "--horizontal-pod-autoscaler-sync-period")
	set.IntVar(&t.workers, prefix+"workers", t.workers, "--concurrent-horizontal-pod-autoscaler-syncs")
	set.IntVar(&t.qps, prefix+"qps", t.qps, "--kube-api-qps")
	set.IntVar(&t.burst, prefix+"burst", t.burst, "--kube-api-burst")
}

func (t *tuning) args() []string {
	return []string{
		"-sync", t.sync.String(), "-workers", fmt.Sprint(t.workers), "-qps", fmt.Sprint(t.qps), "-burst", fmt.Sprint(t.burst),
	}
}

func (t *tuning) String() string {
	return fmt.Sprintf("sync period %s, %d syncs at once, %d requests/s, bursts of %d", t.sync, t.workers, t.qps, t.burst)
}

// runAutoscaler is the HorizontalPodAutoscaler controller, put together as kube-controller-manager does it.
func runAutoscaler(args []string, in *json.Decoder, out *json.Encoder) error {
	flags := flag.NewFlagSet("autoscaler", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "file that says how to reach the cluster")
	t := defaults
	t.flags("", flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "kube-controller-manager/" + bed.Version
	config.QPS, config.Burst = float32(t.qps), t.burst
	ctx, cancel := context.WithCancel(context.Background())
	running, err := startAutoscaler(ctx, config, t)
	if err != nil {
		cancel()
		return err
	}
	defer running.Wait()
	defer cancel()
	if err := out.Encode(struct{}{}); err != nil {
		return err
	}
	return obey(in, out, func(struct{}) (bool, error) { return false, nil })
}

// startAutoscaler does what newHorizontalPodAutoscalerController of kube-controller-manager does, with its defaults for everything that
// t does not name. Of the clients each has its own limit of requests there, and so here.
func startAutoscaler(ctx context.Context, config *rest.Config, t tuning) (*sync.WaitGroup, error) {
	typed := rest.CopyConfig(config)
	typed.ContentType, typed.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(client.Discovery()))
	if err != nil {
		return nil, err
	}
	versions := custom_metrics.NewAvailableAPIsGetter(client.Discovery())
	resources, err := resourceclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	external, err := external_metrics.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// kube-controller-manager's informers have a client of their own, and list anew twice a day.
	watched := informers.NewSharedInformerFactory(client, 12*time.Hour)
	c := podautoscaler.NewHorizontalController(ctx, client.CoreV1(), scales, client.AutoscalingV2(), mapper,
		metrics.NewRESTMetricsClient(resources, custom_metrics.NewForConfig(config, mapper, versions), external),
		watched.Autoscaling().V2().HorizontalPodAutoscalers(), watched.Core().V1().Pods(),
		t.sync, 5*time.Minute, 0.1, 5*time.Minute, 30*time.Second)
	running := &sync.WaitGroup{}
	running.Go(func() { wait.Until(mapper.Reset, 30*time.Second, ctx.Done()) })
	running.Go(func() { custom_metrics.PeriodicallyInvalidate(versions, t.sync, ctx.Done()) })
	running.Go(func() { c.Run(ctx, t.workers) })
	watched.Start(ctx.Done())
	return running, nil
}
