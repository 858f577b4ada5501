package bed_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// The one test bed of this binary.
var (
	shared     *bed.Bed
	gpus       *fleet.Fleet
	prometheus *prom.Server
)

const (
	promNamespace = "monitoring"
	promService   = "prometheus"
	promPort      = 9090
)

func init() { bed.Run = run }

func run(m *testing.M) int {
	start := time.Now()
	before := runtime.NumGoroutine()
	stop, err := startAll()
	if err != nil {
		log.Print(err)
		return 1
	}
	log.Printf("everything up in %s", time.Since(start).Round(time.Millisecond))
	code := m.Run()
	log.Printf("RSS %d MiB, %d goroutines", residentMiB(), runtime.NumGoroutine())
	dir := shared.Dir()
	start = time.Now()
	if err := stop(); err != nil {
		log.Print(err)
		return 1
	}
	log.Printf("everything down in %s", time.Since(start).Round(time.Millisecond))
	if err := nothingLeft(dir, before); err != nil {
		log.Print(err)
		return 1
	}
	return code
}

// startAll starts a bed with two nodes of two GPUs and a Prometheus that knows both forms of the pod labels.
func startAll() (stop func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if shared, err = bed.Start(ctx, bed.Options{}); err != nil {
		return nil, err
	}
	prometheus, err = prom.Start(prom.Options{Dir: shared.Dir(), Interval: 100 * time.Millisecond, Jobs: append(prom.DefaultJobs(),
		prom.Job{Name: "dcgm-honored", Source: fleet.SourceDCGM, HonorLabels: true})})
	if err != nil {
		return nil, errors.Join(err, shared.Stop())
	}
	kubelet, err := shared.KubeletConfig()
	if err != nil {
		return nil, errors.Join(err, prometheus.Stop(), shared.Stop())
	}
	gpus, err = fleet.Start(ctx, kubelet, fleet.Options{
		Network: shared.Egress(), Scraper: prometheus, Log: log.Printf,
	})
	if err != nil {
		return nil, errors.Join(err, prometheus.Stop(), shared.Stop())
	}
	stop = func() error {
		gpus.Stop()
		return errors.Join(prometheus.Stop(), shared.Stop())
	}
	err = errors.Join(gpus.AddNodes(ctx, 2, 2), shared.Expose(ctx, bed.Service{
		Namespace: promNamespace, Name: promService, Port: promPort, Addr: prometheus.Addr(),
	}))
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// nothingLeft checks what a stopped bed leaves behind. A few goroutines of Kubernetes' packages never end.
func nothingLeft(dir string, before int) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("data directory %s is still there", dir)
	}
	const allowed = 60
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := runtime.NumGoroutine() - before
		if left <= allowed {
			log.Printf("%d goroutines left", left)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d goroutines are left, at most %d are allowed", left, allowed)
		}
	}
}

func residentMiB() (mib int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &mib); err == nil {
			return mib / 1024
		}
	}
	return 0
}

func TestServerVersionIsTheOneThatRuns(t *testing.T) {
	v, err := shared.Client().Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if got := v.GitVersion + " " + v.Major + "." + v.Minor; got != bed.Version+" 1.37" {
		t.Errorf("version is %s", got)
	}
}
