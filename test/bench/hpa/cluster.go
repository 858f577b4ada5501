package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/install"
)

// The users by whom the audit log tells the arms apart. The autoscaler's is the one that kube-controller-manager takes for this
// controller, and to which the API server gives its rights at start.
const (
	autoscalerAccount = "horizontal-pod-autoscaler"

	autoscalerUser = "system:serviceaccount:" + metav1.NamespaceSystem + ":" + autoscalerAccount
	controllerUser = "system:serviceaccount:" + install.Namespace + ":" + install.ServiceAccount
)

// The Service behind which the adapter stands.
const (
	adapterNamespace = "bench-metrics"
	adapterService   = "adapter"
	adapterPort      = 443
)

// clusterReady is what the role of the control plane says when it is ready: paths of kubeconfig files and of the audit log.
type clusterReady struct{ Admin, Nodes, Controller, Autoscaler, Audit string }

// runCluster is the control plane without an autoscaler.
func runCluster(args []string, in *json.Decoder, out *json.Encoder) (err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for the data")
	adapter := flags.String("adapter", "", "address where the adapter listens")
	rights := flags.String("rights", "", "folder of the manifests that grant the program its rights")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := bed.Start(ctx, bed.Options{Dir: *dir, WithoutHPA: true, AuditReads: []string{autoscalerUser, controllerUser}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	ready, err := prepare(ctx, b, *rights)
	if err != nil {
		return err
	}
	if err := exposeAdapter(ctx, b, *adapter); err != nil {
		return err
	}
	if err := out.Encode(ready); err != nil {
		return err
	}
	return obey(in, out, func(struct{}) (bool, error) { return false, nil })
}

// prepare makes the users, and the namespace of the Deployments.
func prepare(ctx context.Context, b *bed.Bed, rights string) (ready clusterReady, err error) {
	ready = clusterReady{Admin: b.Dir() + "/admin.kubeconfig", Nodes: b.Dir() + "/nodes.kubeconfig", Audit: b.AuditLog()}
	if err := b.Kubeconfig(ready.Admin); err != nil {
		return ready, err
	}
	if err := b.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}")); err != nil {
		return ready, err
	}
	nodes, err := b.KubeletConfig()
	if err != nil {
		return ready, err
	}
	if err := bed.WriteKubeconfig(ready.Nodes, nodes); err != nil {
		return ready, err
	}
	if ready.Controller, _, err = install.Rights(ctx, b, rights); err != nil {
		return ready, err
	}
	ready.Autoscaler, err = b.CreateServiceAccountKubeconfig(ctx, metav1.NamespaceSystem, autoscalerAccount)
	return ready, err
}

// exposeAdapter puts the adapter behind a Service, to whose address the API server's aggregator connects.
func exposeAdapter(ctx context.Context, b *bed.Bed, addr string) error {
	err := b.Expose(ctx, bed.Service{Namespace: adapterNamespace, Name: adapterService, Port: adapterPort, Addr: addr})
	if err != nil {
		return err
	}
	service, err := b.Client().CoreV1().Services(adapterNamespace).Get(ctx, adapterService, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("looking for the adapter's address: %w", err)
	}
	b.Egress().Map(service.Spec.ClusterIP, adapterPort, addr)
	return nil
}
