package fleet

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
)

const (
	// samplePeriod is how often an agent reads the GPUs, sampleAge how old its newest reading may be.
	samplePeriod = time.Second
	sampleAge    = 5 * time.Second
)

// windows are how many readings a mean spans.
var windows = []struct {
	name     string
	readings int
}{{"1s", 1}, {"5s", 5}, {"15s", 15}}

const maxReadings = 15

// agent exposes what nvml-agent exposes on the pod's node: means over windows of readings taken once a second.
type agent struct {
	*server
	run    *podRun
	shares bool // it sees what each pod uses of a GPU that several have
	errors *prometheus.CounterVec

	mu     sync.Mutex
	cancel context.CancelFunc // of the sampling, nil while it is stopped
	up     bool
	tracks []*track
}

// track is what has been read of a GPU as long as the same pods had it, or of a pod's share of one.
type track struct {
	subject  subject
	device   device
	share    bool
	readings []reading
}

// subject is what a track is of. A GPU that several pods have, or none, has no run.
type subject struct {
	uuid  string
	run   *podRun
	share bool
}

type reading struct {
	at time.Time
	// utilization is a ratio, or Absent; memory in bytes; power in W.
	utilization, memory, power float64
}

func newAgent(run *podRun, pod *corev1.Pod) *agent {
	return &agent{run: run, shares: pod.Spec.HostPID, errors: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gpuscaler_nvml_errors_total", Help: "Failed calls of the NVML library.",
	}, []string{"call", "error"})}
}

func startAgent(at string, run *podRun, pod *corev1.Pod) (*agent, error) {
	a := newAgent(run, pod)
	var err error
	if a.server, err = startServer(at, run.hostile(a.handler())); err != nil {
		return nil, err
	}
	a.sampleEverySecond()
	return a, nil
}

func (a *agent) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(a, a.errors)
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// listen lets it begin anew, without what it has read before.
func (a *agent) listen() error {
	if err := a.server.listen(); err != nil {
		return err
	}
	a.sampleEverySecond()
	return nil
}

func (a *agent) stop() {
	a.server.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cancel != nil {
		a.cancel()
		a.cancel, a.tracks = nil, nil
	}
}

func (a *agent) sampleEverySecond() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(a.run.ctx)
	a.cancel = cancel
	a.run.fleet.running.Go(func() {
		for a.sample(time.Now()); pause(ctx, samplePeriod); {
			a.sample(time.Now())
		}
	})
}

// sample reads all GPUs once.
func (a *agent) sample(now time.Time) {
	mode := a.run.annotation(Hostile)
	devices := a.run.fleet.devices(a.run.node)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cancel == nil { // it was stopped meanwhile
		return
	}
	a.up = mode != HostileNoDriver
	switch mode {
	case HostileNoDriver:
		a.tracks = nil
		return
	case HostileStale:
		a.errors.WithLabelValues("nvmlDeviceGetUtilizationRates", "ERROR_TIMEOUT").Add(float64(len(devices)))
		return
	}
	before := map[subject][]reading{}
	for _, t := range a.tracks {
		before[t.subject] = t.readings
	}
	a.tracks = a.follow(devices)
	for _, t := range a.tracks {
		readings := append(before[t.subject], a.read(t, now, mode))
		t.readings = readings[max(0, len(readings)-maxReadings):]
	}
}

// follow returns the tracks of the GPUs and, where several pods have one, of their shares.
func (a *agent) follow(devices []device) []*track {
	var tracks []*track
	for _, d := range devices {
		mapped := d.pod.Name != ""
		whole := &track{subject: subject{uuid: d.uuid}, device: d}
		tracks = append(tracks, whole)
		if mapped && len(d.holders) == 1 {
			whole.subject.run = d.holders[0].run
			continue
		}
		whole.device.pod.Namespace, whole.device.pod.Name, whole.device.container = "", "", ""
		if !mapped || !a.shares {
			continue
		}
		for _, h := range d.holders {
			share := d
			share.pod, share.container, share.utilization, share.memoryUsed = h.run.name, h.run.container, h.utilization, h.memoryUsed
			tracks = append(tracks, &track{subject: subject{uuid: d.uuid, run: h.run, share: true}, device: share, share: true})
		}
	}
	return tracks
}

// read is the newest reading of a track. The library tells whole percents.
func (a *agent) read(t *track, now time.Time, mode string) reading {
	const mib = 1 << 20
	r := reading{at: now, utilization: Absent, memory: t.device.memoryUsed * mib, power: power(a.run.fleet.opts.GPU, t.device)}
	if t.device.utilization != Absent {
		r.utilization = math.Round(t.device.utilization) / 100
	}
	if wrong, ok := wrongValues[mode]; ok {
		r.utilization, r.memory = wrong, wrong
	}
	return r
}

var (
	deviceLabels = []string{"uuid", "index", "model", "mig_profile", "namespace", "pod", "container"}
	windowLabels = append(append([]string(nil), deviceLabels...), "window")

	utilizationDesc = prometheus.NewDesc("gpuscaler_nvml_gpu_utilization_ratio", "Share of time in which the GPU was busy.", windowLabels, nil)
	usedDesc        = prometheus.NewDesc("gpuscaler_nvml_memory_used_bytes", "Memory in use, without what the driver reserves.", windowLabels, nil)
	powerDesc       = prometheus.NewDesc("gpuscaler_nvml_power_watts", "Power draw.", windowLabels, nil)
	totalDesc       = prometheus.NewDesc("gpuscaler_nvml_memory_total_bytes", "Memory of the device.", deviceLabels, nil)
	reservedDesc    = prometheus.NewDesc("gpuscaler_nvml_memory_reserved_bytes", "Memory that the driver reserves.", deviceLabels, nil)
	sampledDesc     = prometheus.NewDesc("gpuscaler_nvml_sample_timestamp_seconds", "Unix time of the newest sample.", deviceLabels, nil)
	timeDesc        = prometheus.NewDesc("gpuscaler_nvml_time_seconds", "Unix time of this reply.", nil, nil)
	upDesc          = prometheus.NewDesc("gpuscaler_nvml_up", "Whether the NVML library is loaded and initialised.", nil, nil)
)

// Describe implements prometheus.Collector.
func (a *agent) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{utilizationDesc, usedDesc, powerDesc, totalDesc, reservedDesc, sampledDesc, timeDesc, upDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (a *agent) Collect(to chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	up := 0.0
	if a.up {
		up = 1
	}
	gauge(timeDesc, unix(now))
	gauge(upDesc, up)
	for _, t := range a.tracks {
		if newest := t.readings[len(t.readings)-1]; now.Sub(newest.at) <= sampleAge {
			t.expose(a.run.fleet.opts.GPU, gauge)
		}
	}
}

// expose writes a track's series. A share has neither a power draw nor a part of what the driver reserves.
func (t *track) expose(gpu GPUProduct, gauge func(desc *prometheus.Desc, value float64, labels ...string)) {
	const mib = 1 << 20
	d := t.device
	labels := []string{d.uuid, strconv.Itoa(d.index), gpu.Name, "", d.pod.Namespace, d.pod.Name, d.container}
	for _, w := range windows {
		readings := t.readings[max(0, len(t.readings)-w.readings):]
		at := append(append([]string(nil), labels...), w.name)
		if v, ok := mean(readings, func(r reading) float64 { return r.utilization }); ok {
			gauge(utilizationDesc, v, at...)
		}
		used, _ := mean(readings, func(r reading) float64 { return r.memory })
		gauge(usedDesc, used, at...)
		if watts, _ := mean(readings, func(r reading) float64 { return r.power }); !t.share {
			gauge(powerDesc, watts, at...)
		}
	}
	gauge(totalDesc, gpu.Memory*mib, labels...)
	gauge(sampledDesc, unix(t.readings[len(t.readings)-1].at), labels...)
	if !t.share {
		gauge(reservedDesc, gpu.Reserved*mib, labels...)
	}
}

// mean leaves out what is not known; false if nothing is.
func mean(readings []reading, value func(reading) float64) (float64, bool) {
	sum, n := 0.0, 0.0
	for _, r := range readings {
		if v := value(r); v != Absent {
			sum += v
			n++
		}
	}
	return sum / n, n > 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
