package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// connect makes sure that a person's cluster answers and lets them read, and finds Prometheus. A controller waits for a
// cluster that does not answer; a person is told.
func (f *tickFlags) connect(ctx context.Context, c *cluster, errOut io.Writer, try func(context.Context) error) (*source, error) {
	stop := progress(errOut, isTerminal(errOut), "connecting to "+c.config.Host)
	defer stop()
	if err := try(ctx); err != nil {
		return nil, err
	}
	return f.source.open(ctx, c, prometheusOptions(f.interval, f.maxSampleAge))
}

// tryLists lists one Deployment of each namespace; no namespaces are all.
func tryLists(ctx context.Context, c *cluster, namespaces []string) error {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, ns := range namespaces {
		_, err := c.client.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return clusterError(err, c)
		}
	}
	return nil
}

// clusterError says what to do about an error of the API server.
func clusterError(err error, c *cluster) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; deploy/rbac/viewer grants the rights to read that are needed, and -n NAMESPACE needs them in one namespace only", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: the credentials for %s are not valid (any more); log in again", err, c.describe())
	}
	if apierrors.ReasonForError(err) != metav1.StatusReasonUnknown || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("reaching %s: %w; --context chooses another cluster", c.describe(), err)
}

// nobody says that there is no workload, and what to do about it.
func nobody(scope string) string {
	return fmt.Sprintf("no Deployment in %s has the annotation %senabled: \"true\"", scope, policy.Prefix)
}
