package bed

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// UserConfig returns a client configuration that authenticates by certificate as the user in the groups and has no
// request rate limit. What the user may do is for the caller to grant.
func (b *Bed) UserConfig(user string, groups []string) (*rest.Config, error) {
	pair, err := b.ca.user(user, groups)
	if err != nil {
		return nil, err
	}
	return b.certified(pair), nil
}

// ExpiredConfig returns a client configuration of the user whose certificate ended a minute ago.
func (b *Bed) ExpiredConfig(user string, groups []string) (*rest.Config, error) {
	pair, err := b.ca.userUntil(time.Now().Add(-time.Minute), user, groups)
	if err != nil {
		return nil, err
	}
	return b.certified(pair), nil
}

// certified returns a client configuration that authenticates by certificate.
func (b *Bed) certified(pair keyPair) *rest.Config {
	return &rest.Config{
		Host: "https://" + b.api.addr,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: b.ca.pem, CertData: pair.cert, KeyData: pair.key,
		},
		QPS: -1,
	}
}

// KubeletConfig returns a client configuration for what plays the nodes: it may do everything, and the audit log leaves
// it out as it does the bed's own controllers.
func (b *Bed) KubeletConfig() (*rest.Config, error) { return b.componentConfig(kubeletUser, "kubelet") }

// UserKubeconfig writes a kubeconfig file for UserConfig(user, groups) into the data directory and returns its path.
func (b *Bed) UserKubeconfig(user string, groups []string) (string, error) {
	config, err := b.UserConfig(user, groups)
	if err != nil {
		return "", err
	}
	path := b.file("kubeconfig")
	return path, WriteKubeconfig(path, config)
}

// Kubeconfig writes a kubeconfig file of the administrator to path.
func (b *Bed) Kubeconfig(path string) error { return WriteKubeconfig(path, b.admin) }

// ServiceAccountConfig makes the service account if it does not exist and returns a client configuration with a token of
// it, valid for an hour. In the audit log it is the user "system:serviceaccount:NAMESPACE:NAME".
func (b *Bed) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	accounts := b.client.CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("creating service account %s/%s: %w", namespace, name, err)
	}
	token, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking for a token of service account %s/%s: %w", namespace, name, err)
	}
	return &rest.Config{
		Host:            "https://" + b.api.addr,
		BearerToken:     token.Status.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: b.ca.pem},
		QPS:             -1,
	}, nil
}

// CreateServiceAccountKubeconfig writes a kubeconfig file for ServiceAccountConfig(ctx, namespace, name) into the data
// directory and returns its path.
func (b *Bed) CreateServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	config, err := b.ServiceAccountConfig(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	path := b.file("kubeconfig")
	return path, WriteKubeconfig(path, config)
}

// WriteKubeconfig writes a client configuration as a kubeconfig file with one context, named bed.
func WriteKubeconfig(path string, config *rest.Config) error {
	file := clientcmdapi.NewConfig()
	file.Clusters["bed"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["bed"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	file.Contexts["bed"] = &clientcmdapi.Context{Cluster: "bed", AuthInfo: "bed", Namespace: "default"}
	file.CurrentContext = "bed"
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		return fmt.Errorf("writing kubeconfig %s: %w", path, err)
	}
	return nil
}

// Namespace makes a namespace with a new name that starts with prefix and waits for its default service account,
// without which the first pods would be refused. Tests use one each and leave it behind: deleting one takes ten seconds.
func (b *Bed) Namespace(ctx context.Context, prefix string) (string, error) {
	made, err := b.client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("creating a namespace %s-*: %w", prefix, err)
	}
	return made.Name, b.waitServiceAccount(ctx, made.Name)
}

func (b *Bed) waitServiceAccount(ctx context.Context, namespace string) error {
	err := Until(ctx, func() (bool, error) {
		_, err := b.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the default service account of namespace %s: %w", namespace, err)
	}
	return nil
}
