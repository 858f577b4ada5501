package bed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options configure a Bed. The zero value is a working configuration.
type Options struct {
	// Dir is the folder in which the bed makes its data directory; the system's temporary folder when empty. Its path
	// must be short (under 60 bytes): unix sockets live below it.
	Dir string
	// Log receives the log lines of all components, which share one global logger in a process: the last Start wins.
	// Nil discards them.
	Log io.Writer
	// HPASync is how often the horizontal-pod-autoscaler controller looks at an autoscaler; 1s when zero (a cluster's
	// default is 15s).
	HPASync time.Duration
	// Bare leaves out the controllers and the scheduler: objects stay as they are put, see Seed. Bed.Namespace and Bed.Expose
	// need them.
	Bare bool
	// WithoutHPA leaves the horizontal-pod-autoscaler controller out: somebody else runs it, or nobody.
	WithoutHPA bool
	// AuditReads are users of whom the audit log keeps every request, those that only read as well.
	AuditReads []string
}

// Bed is a running control plane.
type Bed struct {
	dir    *dataDir
	ca     *authority
	egress *Egress
	etcd   *etcdServer
	api    *apiServer
	admin  *rest.Config
	client kubernetes.Interface

	stopControllers func()
	stopOnce        sync.Once
	stopErr         error

	mu       sync.Mutex
	proxies  []*Proxy
	gateways []*Gateway
	serial   int
}

// Start brings a control plane up and returns when the API server is ready and all controllers have synced their
// caches. Cancelling ctx aborts the start; it does not stop a bed that is up: that takes Stop.
func Start(ctx context.Context, opts Options) (*Bed, error) {
	useLog(opts.Log)
	if opts.HPASync == 0 {
		opts.HPASync = time.Second
	}
	dir, err := newDataDir(opts.Dir)
	if err != nil {
		return nil, err
	}
	b := &Bed{dir: dir, stopControllers: func() {}}
	if err := b.start(ctx, opts); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

func (b *Bed) start(ctx context.Context, opts Options) error {
	var err error
	if b.ca, err = newAuthority(); err != nil {
		return err
	}
	if b.egress, err = newEgress(b.dir.path("egress.sock")); err != nil {
		return err
	}
	if b.etcd, err = startEtcd(ctx, b.dir.path("etcd")); err != nil {
		return err
	}
	if b.api, err = startAPIServer(b.dir, b.ca, opts.AuditReads); err != nil {
		return err
	}
	if b.admin, err = b.UserConfig("admin", []string{mastersGroup}); err != nil {
		return err
	}
	if b.client, err = kubernetes.NewForConfig(b.admin); err != nil {
		return fmt.Errorf("making the admin client: %w", err)
	}
	// A member of system:masters is served before /readyz is: controllers may sync while the RBAC bootstrap still runs.
	if err := b.api.waitServing(ctx, b.client); err != nil {
		return err
	}
	if !opts.Bare {
		if b.stopControllers, err = b.startControllers(ctx, opts); err != nil {
			return err
		}
	}
	return b.api.waitReady(ctx, b.client)
}

// Stop ends all servers and removes the data directory. It takes a second or two and may be called more than once; later
// calls return the first result.
func (b *Bed) Stop() error {
	b.stopOnce.Do(func() { b.stopErr = b.stop() })
	return b.stopErr
}

func (b *Bed) stop() error {
	var errs []error
	b.mu.Lock()
	proxies, gateways := b.proxies, b.gateways
	b.mu.Unlock()
	for _, p := range proxies {
		p.Close()
	}
	for _, g := range gateways {
		g.Close()
	}
	b.stopControllers()
	if b.api != nil {
		errs = append(errs, b.api.stop())
	}
	if b.etcd != nil {
		b.etcd.stop()
	}
	if b.egress != nil {
		b.egress.close()
	}
	return errors.Join(append(errs, b.dir.remove())...)
}

// AdminConfig returns a client configuration of user admin in group system:masters, without a request rate limit.
func (b *Bed) AdminConfig() *rest.Config { return rest.CopyConfig(b.admin) }

// Client returns a typed client with the rights of AdminConfig.
func (b *Bed) Client() kubernetes.Interface { return b.client }

// Egress returns the map from pod addresses to loopback listeners through which the API server reaches pods.
func (b *Bed) Egress() *Egress { return b.egress }

// Dir returns the data directory, which Stop removes. Tests may put files of their own into it.
func (b *Bed) Dir() string { return b.dir.root }

// file returns a new path in the data directory with the given suffix.
func (b *Bed) file(suffix string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serial++
	return filepath.Join(b.dir.root, fmt.Sprintf("%03d-%s", b.serial, suffix))
}

// writeFile writes content that only this user may read.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}
