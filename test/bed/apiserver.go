package bed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// stopTimeout bounds how long a stopping API server is waited for.
const stopTimeout = 20 * time.Second

// auditPolicy logs every request that could change something, once, when it is answered. The bed's own components are
// left out: they write several lines a pod. What is formatted in is a rule that goes first, or nothing.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
%s- {level: None, verbs: [get, list, watch]}
- {level: None, users: ["system:apiserver", "` + managerUser + `", "` + schedulerUser + `", "` + kubeletUser + `"]}
- {level: Metadata}
`

// auditPolicyFor is auditPolicy, with every request of the users logged, reads too.
func auditPolicyFor(users []string) []byte {
	first := ""
	if len(users) > 0 {
		quoted := make([]string, len(users))
		for i, user := range users {
			quoted[i] = strconv.Quote(user)
		}
		first = "- {level: Metadata, users: [" + strings.Join(quoted, ", ") + "]}\n"
	}
	return fmt.Appendf(nil, auditPolicy, first)
}

const egressConfig = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %q}}}
`

// apiServer is a kube-apiserver in this process.
type apiServer struct {
	addr   string
	cancel context.CancelFunc
	done   chan error
}

// startAPIServer starts kube-apiserver on a free loopback port with its files in dir; etcd and the egress proxy listen
// there already. It returns before the server answers. The audit log has every request of the users in reads.
func startAPIServer(dir *dataDir, ca *authority, reads []string) (*apiServer, error) {
	if err := writeServerFiles(dir, ca, reads); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the API server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run, err := buildAPIServer(ctx, dir, listener)
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("building the API server: %w", err), listener.Close())
	}
	s := &apiServer{addr: listener.Addr().String(), cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- run(ctx) }()
	return s, nil
}

// buildAPIServer does what the kube-apiserver command does between its flags and its run, but with a registry of
// component versions of its own: the default one is global and can be set once only.
func buildAPIServer(ctx context.Context, dir *dataDir, listener net.Listener) (func(context.Context) error, error) {
	gates := utilfeature.DefaultMutableFeatureGate.DeepCopy()
	registry := basecompatibility.NewComponentGlobalsRegistry()
	version := basecompatibility.NewEffectiveVersionFromString("1.37", "", "")
	if err := registry.Register(basecompatibility.DefaultKubeComponent, version, gates); err != nil {
		return nil, err
	}
	opts := options.NewServerRunOptions()
	opts.GenericServerRunOptions.ComponentGlobalsRegistry = registry
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	named := opts.Flags()
	for _, set := range named.FlagSets {
		flags.AddFlagSet(set)
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	if err := flags.Parse(serverFlags(dir)); err != nil {
		return nil, err
	}
	if err := registry.Set(); err != nil {
		return nil, err
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return nil, err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return nil, err
	}
	final, err := config.Complete()
	if err != nil {
		return nil, err
	}
	server, err := app.CreateServerChain(final)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		prepared, err := server.PrepareRun()
		if err != nil {
			return err
		}
		return prepared.Run(ctx)
	}, nil
}

func serverFlags(dir *dataDir) []string {
	return []string{
		"--etcd-servers=unix://" + dir.path("etcd.sock"),
		"--bind-address=127.0.0.1",
		// A loopback address is accepted because no endpoints of the server itself are published.
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + dir.path("server.crt"), "--tls-private-key-file=" + dir.path("server.key"),
		"--client-ca-file=" + dir.path("ca.crt"),
		"--authorization-mode=RBAC", "--anonymous-auth=false",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + dir.path("sa.key"), "--service-account-key-file=" + dir.path("sa.key"),
		"--audit-policy-file=" + dir.path("audit-policy.yaml"), "--audit-log-path=" + dir.path(auditLog),
		// A line is in the file when the request is answered, so that a test can look at once.
		"--audit-log-mode=blocking",
		// In MB: one file, however long a bed runs.
		"--audit-log-maxsize=100000",
		// No node lifecycle controller runs that would take the not-ready taint off again.
		"--disable-admission-plugins=TaintNodesByCondition,StorageObjectInUseProtection,DefaultStorageClass",
		"--allow-privileged=true",
		// Without it a stop waits a minute for open watches.
		"--shutdown-watch-termination-grace-period=1s",
		"--egress-selector-config-file=" + dir.path("egress.yaml"),
	}
}

func writeServerFiles(dir *dataDir, ca *authority, reads []string) error {
	server, err := ca.server()
	if err != nil {
		return err
	}
	accounts, err := serviceAccountKey()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.crt": ca.pem, "server.crt": server.cert, "server.key": server.key, "sa.key": accounts,
		"audit-policy.yaml": auditPolicyFor(reads),
		"egress.yaml":       fmt.Appendf(nil, egressConfig, dir.path("egress.sock")),
	} {
		if err := writeFile(dir.path(name), content); err != nil {
			return err
		}
	}
	return nil
}

// waitServing waits until the server answers authenticated requests.
func (s *apiServer) waitServing(ctx context.Context, client kubernetes.Interface) error {
	return s.wait(ctx, "serving", func() error {
		return client.CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces").Do(ctx).Error()
	})
}

// waitReady waits until all start hooks, the default roles among them, are done.
func (s *apiServer) waitReady(ctx context.Context, client kubernetes.Interface) error {
	return s.wait(ctx, "ready", func() error {
		return client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func (s *apiServer) wait(ctx context.Context, state string, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case runErr := <-s.done:
			s.done <- nil // stop must not wait for it again
			return fmt.Errorf("waiting for the API server to be %s: it ended: %w", state, errors.Join(runErr, err))
		case <-ctx.Done():
			return fmt.Errorf("waiting for the API server to be %s: %w", state, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *apiServer) stop() error {
	s.cancel()
	select {
	case err := <-s.done:
		if err != nil {
			return fmt.Errorf("stopping the API server: %w", err)
		}
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("stopping the API server: still running after %s", stopTimeout)
	}
}
