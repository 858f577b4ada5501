package bed

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// etcdServer is an etcd member in this process that listens on a unix socket only.
type etcdServer struct {
	member *embed.Etcd
	client url.URL
}

// startEtcd starts a single member with its data below dir. It does not sync to disk: the data need not outlive the
// process, and a write takes a quarter of the time.
func startEtcd(ctx context.Context, dir string) (*etcdServer, error) {
	s := &etcdServer{client: url.URL{Scheme: "unix", Path: dir + ".sock"}}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.UnsafeNoFsync = true
	// The time until a lone member leads is a random part of the election timeout; etcd wants at least five ticks.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.EnableGRPCGateway = false
	cfg.QuotaBackendBytes = 8 << 30
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{s.client}, []url.URL{s.client}
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "unix", Path: dir + "-peer.sock"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	var err error
	if s.member, err = embed.StartEtcd(cfg); err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	select {
	case <-s.member.Server.ReadyNotify():
		return s, nil
	case <-ctx.Done():
		s.stop()
		return nil, fmt.Errorf("waiting for etcd: %w", ctx.Err())
	}
}

func (s *etcdServer) stop() { s.member.Close() }
