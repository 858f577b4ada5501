package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/install"
)

const (
	// namespace is that of all Deployments.
	namespace = "bench"
	// base is how many replicas a Deployment has at first.
	base = 2
	// gpusPerNode is what a node has; gpusPerDeployment what there is for each Deployment, more than any arm asks for.
	gpusPerNode, gpusPerDeployment = 8, 8
	// startDelay is how long a container is being created; then its pod is ready.
	startDelay = 500 * time.Millisecond
)

// stage is all that the arms have in common: one control plane, one fleet of nodes, and the Deployments of the arm that plays.
type stage struct {
	opts             *options
	dir              string
	adapter, cluster *child
	ready            clusterReady
	client           kubernetes.Interface
	dynamic          dynamic.Interface
	fleet            *fleet.Fleet
	nodes            int
	scrapes          scrapes
	watch            *watcher
	uid              types.UID
	stopWatch        context.CancelFunc

	// audited is how much of the audit log is of former phases, in bytes.
	audited int64

	// What follows belongs to the arm that plays. Scaler and prometheus are nil if it has none.
	arm                *arm
	scaler, prometheus *child
	loads              []*load
}

// scrapes tells a Prometheus what there is to scrape, also one that comes later.
type scrapes struct {
	mu      sync.Mutex
	targets map[string][]fleet.Target
	to      *child
}

// SetTargets passes targets on. A Prometheus that has ended is noticed elsewhere.
func (s *scrapes) SetTargets(source string, targets []fleet.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[source] = targets
	if s.to != nil {
		_ = s.to.tell(prometheusCommand{Source: source, Targets: targets})
	}
}

func (s *scrapes) pointTo(p *child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = p
	if p != nil {
		for source, targets := range s.targets {
			_ = p.tell(prometheusCommand{Source: source, Targets: targets})
		}
	}
}

// newStage starts what all arms share.
func newStage(ctx context.Context, opts *options) (s *stage, err error) {
	s = &stage{opts: opts, scrapes: scrapes{targets: map[string][]fleet.Target{}}, stopWatch: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return s, err
	}
	var at adapterReady
	if s.adapter, err = startRole(ctx, s.dir, "adapter", &at); err != nil {
		return s, err
	}
	s.cluster, err = startRole(ctx, s.dir, "cluster", &s.ready, "-dir", s.dir, "-adapter", at.Addr, "-rights", opts.rights)
	if err != nil {
		return s, err
	}
	if err := s.connect(ctx); err != nil {
		return s, err
	}
	return s, s.startFleet(ctx)
}

// connect makes the clients.
func (s *stage) connect(ctx context.Context) error {
	config, err := kubeconfig(s.ready.Admin)
	if err != nil {
		return err
	}
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if s.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if s.uid, err = s.identity(ctx); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stopWatch = cancel
	s.watch, err = startWatcher(watching, s.client)
	return err
}

func (s *stage) startFleet(ctx context.Context) error {
	config, err := kubeconfig(s.ready.Nodes)
	if err != nil {
		return err
	}
	s.fleet, err = fleet.Start(ctx, config, fleet.Options{Scraper: &s.scrapes, StartDelay: startDelay, Tick: 50 * time.Millisecond})
	if err != nil {
		return fmt.Errorf("starting the nodes: %w", err)
	}
	s.nodes = (s.opts.steps*gpusPerDeployment + gpusPerNode - 1) / gpusPerNode
	return s.fleet.AddNodes(ctx, s.nodes, gpusPerNode)
}

// kubeconfig reads a file, for a client without a limit of requests.
func kubeconfig(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	config.QPS = -1
	return config, nil
}

// renew writes a kubeconfig file of a service account with a new token, which lasts an hour: longer than an arm, not than a run.
func (s *stage) renew(ctx context.Context, path, namespace, account string) error {
	config, err := kubeconfig(path)
	if err != nil {
		return err
	}
	token, err := s.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking for a token of %s/%s: %w", namespace, account, err)
	}
	config.BearerToken = token.Status.Token
	return bed.WriteKubeconfig(path, config)
}

// identity is what makes this cluster this one.
func (s *stage) identity(ctx context.Context) (types.UID, error) {
	system, err := s.client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("asking which cluster this is: %w", err)
	}
	return system.UID, nil
}

// close stops everything.
func (s *stage) close() error {
	s.scrapes.pointTo(nil)
	errs := []error{s.scaler.stop(), s.prometheus.stop()}
	s.stopWatch()
	if s.fleet != nil {
		s.fleet.Stop()
	}
	errs = append(errs, s.cluster.stop(), s.adapter.stop())
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// create makes the Deployments with a load that suits them, and waits until they are ready.
func (s *stage) create(ctx context.Context, annotations map[string]string, push func(string, map[string]int)) error {
	s.loads = nil
	for i := range s.opts.steps {
		l := &load{app: fmt.Sprintf("model-%03d", i), push: push, total: base * target}
		s.loads = append(s.loads, l)
		s.fleet.Drive(namespace, l.app, l)
		if _, err := fleet.Deployment(namespace, l.app).Replicas(base).Annotations(annotations).Create(ctx, s.client); err != nil {
			return err
		}
	}
	return s.waitReady(ctx)
}

// waitReady waits until each Deployment has the pods it wants, all of them ready.
func (s *stage) waitReady(ctx context.Context) error {
	return until(ctx, time.Minute, "the pods of all Deployments", func() error {
		for _, l := range s.loads {
			n, err := s.watch.replicas(l.app)
			if err != nil {
				return err
			}
			if have := len(l.pods()); have != n {
				return fmt.Errorf("the load of %s is on %d pods, want %d", l.app, have, n)
			}
		}
		return nil
	})
}

// clear takes the Deployments away with all that remembers them, so that the next arm begins anew.
func (s *stage) clear(ctx context.Context) error {
	background := metav1.DeletePropagationBackground
	err := s.client.AppsV1().Deployments(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("deleting the Deployments: %w", err)
	}
	for _, l := range s.loads {
		s.fleet.Drive(namespace, l.app, nil)
	}
	s.loads = nil
	if err := s.forget(ctx); err != nil {
		return err
	}
	return until(ctx, time.Minute, "the pods to go", func() error {
		list, err := s.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d are left", len(list.Items))
		}
		return err
	})
}

// forget deletes the program's checkpoint and its lease.
func (s *stage) forget(ctx context.Context) error {
	list, err := s.client.CoreV1().ConfigMaps(install.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("looking for the checkpoint: %w", err)
	}
	for _, m := range list.Items {
		if strings.HasPrefix(m.Name, "gpuscaler-checkpoint-") {
			err = errors.Join(err, s.client.CoreV1().ConfigMaps(m.Namespace).Delete(ctx, m.Name, metav1.DeleteOptions{}))
		}
	}
	leases := s.client.CoordinationV1().Leases(install.Namespace)
	return errors.Join(err, leases.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
}

// until asks until the answer is nil; after the timeout it returns the last one.
func until(ctx context.Context, timeout time.Duration, what string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("waiting %s for %s: %w", timeout, what, err)
		}
	}
}

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// everyOther returns the first, the third and so on.
func everyOther(pods []string) (some []string) {
	for i := 0; i < len(pods); i += 2 {
		some = append(some, pods[i])
	}
	return some
}
