package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/install"
)

// controllerUser is how the audit log names the program.
const controllerUser = "system:serviceaccount:" + install.Namespace + ":" + install.ServiceAccount

// stage is everything that the program runs against: an API server full of objects, and the exporters.
type stage struct {
	bed        *bed.Bed
	cluster    *cluster
	exporters  *exporters
	program    string // path of the program
	kubeconfig string
}

// newStage starts the API server and fills it.
func newStage(ctx context.Context, o *options, deployments int) (s *stage, err error) {
	s = &stage{program: o.program}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.bed, err = bed.Start(ctx, bed.Options{Bare: true, AuditReads: []string{controllerUser}}); err != nil {
		return s, fmt.Errorf("starting the API server: %w", err)
	}
	if s.kubeconfig, _, err = install.Rights(ctx, s.bed, o.rights); err != nil {
		return s, err
	}
	if err = asInCluster(s.kubeconfig); err != nil {
		return s, err
	}
	if s.cluster, err = newCluster(deployments); err != nil {
		return s, err
	}
	began := time.Now()
	if err = s.bed.Seed(ctx, s.cluster.objects()); err != nil {
		return s, err
	}
	o.log("%d Deployments with %d pods are there after %v", deployments, deployments*podsEach, time.Since(began).Round(time.Millisecond))
	if s.exporters, err = startExporters(deployments); err != nil {
		return s, err
	}
	s.exporters.set(0, deployments, restLoad)
	return s, nil
}

// asInCluster has replies of the API server not compressed, as the program wants it by itself in a cluster.
func asInCluster(kubeconfig string) error {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return err
	}
	for _, c := range config.Clusters {
		c.DisableCompression = true
	}
	return clientcmd.WriteToFile(*config, kubeconfig)
}

// settle puts everything back to where it was at first: loads, replicas, and what the program has written down. The program must not run.
func (s *stage) settle(ctx context.Context) error {
	s.exporters.set(0, s.cluster.deployments, restLoad)
	if err := s.bed.Seed(ctx, s.cluster.settled()); err != nil {
		return err
	}
	return s.bed.Client().CoreV1().ConfigMaps(install.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}

// close stops everything.
func (s *stage) close() error {
	if s.exporters != nil {
		s.exporters.stop()
	}
	if s.bed != nil {
		return s.bed.Stop()
	}
	return nil
}
