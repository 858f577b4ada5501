package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gpuscaler/gpuscaler/controller"
)

// newKubeFlags returns kubectl's flags. The nil ones are left out: nothing here asks for a password or keeps a cache.
func newKubeFlags() *genericclioptions.ConfigFlags {
	flags := genericclioptions.NewConfigFlags(true)
	flags.CacheDir, flags.DisableCompression = nil, nil
	return flags
}

// kubeUsage shortens what kubectl says of its flags.
var kubeUsage = map[string]string{
	"as":                       "user to impersonate",
	"as-group":                 "group to impersonate; repeatable",
	"as-uid":                   "UID to impersonate",
	"as-user-extra":            "extra of the user to impersonate, as key=value; repeatable",
	"certificate-authority":    "`file` with the certificates of the API server's authority",
	"client-certificate":       "`file` with the client's certificate",
	"client-key":               "`file` with the key of the client's certificate",
	"cluster":                  "`name` of the kubeconfig's cluster",
	"context":                  "`name` of the kubeconfig's context",
	"insecure-skip-tls-verify": "do not check the API server's certificate",
	"kubeconfig":               "`file` that says how to reach the cluster (default $KUBECONFIG, else ~/.kube/config, else the pod's own cluster)",
	"namespace":                "`namespace` to look at (default that of the context)",
	"proxy-url":                "`URL` of the proxy to the API server",
	"request-timeout":          "give up on a request to the API server after this `duration`; 0 for never",
	"server":                   "`URL` of the API server",
	"tls-server-name":          "`name` to expect in the API server's certificate",
	"token":                    "bearer token for the API server",
	"user":                     "`name` of the kubeconfig's user",
}

// addKubeFlags adds kubectl's flags to those of every command.
func addKubeFlags(flags *pflag.FlagSet, kube *genericclioptions.ConfigFlags) {
	cluster := pflag.NewFlagSet("", pflag.ContinueOnError)
	kube.AddFlags(cluster)
	cluster.VisitAll(func(f *pflag.Flag) {
		if usage := kubeUsage[f.Name]; usage != "" {
			f.Usage = usage
		}
		f.Annotations = map[string][]string{"group": {clusterGroup}}
	})
	flags.AddFlagSet(cluster)
}

// cluster is the cluster that a command talks to.
type cluster struct {
	config *rest.Config
	client kubernetes.Interface
	// dynamic watches kinds that not every cluster has.
	dynamic dynamic.Interface
	// context and name are the kubeconfig's words, empty in a pod.
	context, name string
	// namespace is the one to look at; explicit says that --namespace named it.
	namespace string
	explicit  bool
	// inCluster says that the program runs in a pod of the cluster and uses its service account.
	inCluster bool
}

// cluster finds out which cluster to talk to. It sends nothing.
func (g *globals) cluster() (*cluster, error) {
	loader := g.kube.ToRawKubeConfigLoader()
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	config.UserAgent = "gpuscaler/" + readVersion().Version
	c := &cluster{config: config}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	if len(raw.Clusters) == 0 && *g.kube.APIServer == "" && os.Getenv("KUBERNETES_MASTER") == "" {
		// The loader falls back to localhost:8080 here. That would be taken for a cluster that is down.
		if _, err := rest.InClusterConfig(); err != nil {
			return nil, kubeconfigError(err)
		}
		c.inCluster = true
		// There compressing costs more, at both ends, than sending does: it is for slow links.
		config.DisableCompression = true
	}
	if c.client, err = controller.ClientFor(config); err != nil {
		return nil, err
	}
	if c.dynamic, err = controller.DynamicFor(config); err != nil {
		return nil, err
	}
	if c.namespace, _, err = loader.Namespace(); err != nil {
		return nil, fmt.Errorf("reading the namespace of the kubeconfig: %w", err)
	}
	c.explicit = *g.kube.Namespace != ""
	if c.inCluster {
		return c, nil
	}
	c.context = cmp.Or(*g.kube.Context, raw.CurrentContext)
	c.name = *g.kube.ClusterName
	if found := raw.Contexts[c.context]; found != nil && c.name == "" {
		c.name = found.Cluster
	}
	return c, nil
}

// onCluster has a command run on the cluster that the flags name, once there is nothing wrong with them.
func (g *globals) onCluster(problems func() []error, run func(*cobra.Command, *cluster) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := usage(problems()); err != nil {
			return err
		}
		c, err := g.cluster()
		if err != nil {
			return err
		}
		return run(cmd, c)
	}
}

// kubeconfigError says what to do about a kubeconfig that does not do.
func kubeconfigError(err error) error {
	if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) {
		return errors.New("no cluster is configured: give --kubeconfig FILE, or set KUBECONFIG")
	}
	return fmt.Errorf("reading the kubeconfig: %w; `kubectl config get-contexts` lists what there is", err)
}

// describe tells a person which cluster is meant.
func (c *cluster) describe() string {
	if c.inCluster {
		return fmt.Sprintf("the cluster of this pod, at %s", c.config.Host)
	}
	switch {
	case c.context == "":
		return c.config.Host
	case c.name == "":
		return fmt.Sprintf("context %s at %s", c.context, c.config.Host)
	}
	return fmt.Sprintf("context %s, cluster %s, at %s", c.context, c.name, c.config.Host)
}
