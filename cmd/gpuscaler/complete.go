package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// completionPatience is how long a person waits for a completion before it is of no use.
const completionPatience = 3 * time.Second

// completeDeployments completes the argument of plan with the annotated Deployments of the namespace. If the cluster does
// not answer, there is nothing to complete.
func (g *globals) completeDeployments(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := g.annotatedDeployments(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// annotatedDeployments lists the annotated Deployments of the namespace as deployment/NAME.
func (g *globals) annotatedDeployments(ctx context.Context) ([]string, error) {
	c, err := g.cluster()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	list, err := c.client.AppsV1().Deployments(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		if policy.Annotated(list.Items[i].Annotations) {
			names = append(names, "deployment/"+list.Items[i].Name)
		}
	}
	return names, nil
}
