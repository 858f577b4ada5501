package fleet

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// driver is what a process sees of a node besides its kubelet: a file of readings for the library that stands in for
// the driver's, see cmd/nvml-agent/testdata, and the processes of the pods that share a GPU.
type driver struct {
	run *podRun // the agent's pod
	dir string
}

func newDriver(run *podRun) (*driver, error) {
	dir, err := os.MkdirTemp("", "nvml-")
	if err != nil {
		return nil, err
	}
	d := &driver{run: run, dir: dir}
	if err := d.write(time.Now()); err != nil {
		d.remove()
		return nil, err
	}
	return d, nil
}

func (d *driver) readings() string { return filepath.Join(d.dir, "readings") }
func (d *driver) proc() string     { return filepath.Join(d.dir, "proc") }
func (d *driver) logs() string     { return filepath.Join(d.dir, "pods") }
func (d *driver) remove()          { _ = os.RemoveAll(d.dir) }

// follow lets the readings follow the fleet's loads until the context ends.
func (d *driver) follow(ctx context.Context) {
	for pause(ctx, d.run.fleet.opts.Tick) {
		if err := d.write(time.Now()); err != nil && ctx.Err() == nil {
			d.run.fleet.opts.Log("simulating the driver of node %s: %v", d.run.node.name, err)
		}
	}
}

// write replaces the readings as a whole.
func (d *driver) write(now time.Time) error {
	devices := d.run.fleet.devices(d.run.node)
	for _, device := range devices {
		for _, h := range device.holders {
			if err := d.process(h.run); err != nil {
				return err
			}
		}
	}
	half := d.readings() + ".new"
	if err := os.WriteFile(half, nvmlReadings(d.run.fleet.opts.GPU, d.run.annotation(Hostile), devices, now), 0o600); err != nil {
		return err
	}
	return os.Rename(half, d.readings())
}

// process makes what /proc and /var/log/pods tell of the one process of a pod.
func (d *driver) process(run *podRun) error {
	logs := filepath.Join(d.logs(), fmt.Sprintf("%s_%s_%s", run.name.Namespace, run.name.Name, run.uid))
	if _, err := os.Stat(logs); err == nil {
		return nil
	}
	proc := filepath.Join(d.proc(), strconv.Itoa(run.pid))
	if err := os.MkdirAll(proc, 0o700); err != nil {
		return err
	}
	cgroup := fmt.Sprintf("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod%s.slice/cri-containerd-%064x.scope\n",
		strings.ReplaceAll(string(run.uid), "-", "_"), run.pid)
	if err := os.WriteFile(filepath.Join(proc, "cgroup"), []byte(cgroup), 0o600); err != nil {
		return err
	}
	return os.MkdirAll(logs, 0o700)
}

// Return codes of the NVML library.
const (
	nvmlNotSupported    = 3
	nvmlDriverNotLoaded = 9
)

// nvmlReadings is what the library reads. HostileStale lets its calls hang; HostileNoDriver acts when it is opened.
func nvmlReadings(gpu GPUProduct, mode string, devices []device, now time.Time) []byte {
	const mib = 1 << 20
	var out bytes.Buffer
	if mode == HostileNoDriver {
		fmt.Fprintf(&out, "init.return=%d\n", nvmlDriverNotLoaded)
	}
	fmt.Fprintf(&out, "gpus=%d\n", len(devices))
	for _, d := range devices {
		say := func(key string, value any) { fmt.Fprintf(&out, "gpu%d.%s=%v\n", d.index, key, value) }
		say("uuid", d.uuid)
		say("name", gpu.Name)
		say("minor", d.index)
		say("memory.total", int64(gpu.Memory*mib))
		say("memory.reserved", int64(gpu.Reserved*mib))
		say("memory.used", int64(d.memoryUsed*mib))
		say("power", int64(power(gpu, d)*1000))
		switch {
		case mode == HostileStale:
			say("utilization.hang", 1)
		case d.utilization >= 0:
			say("utilization", int64(math.Round(d.utilization)))
		default: // Absent, NaN, or what the library cannot say
			say("utilization.return", nvmlNotSupported)
		}
		var processes, use []string
		for _, h := range d.holders {
			processes = append(processes, fmt.Sprintf("%d:%d", h.run.pid, int64(h.memoryUsed*mib)))
			if h.utilization > 0 { // the driver has no samples of idle processes
				use = append(use, fmt.Sprintf("%d:%d:%d", now.UnixMicro(), h.run.pid, int64(math.Round(h.utilization))))
			}
		}
		say("processes", strings.Join(processes, ","))
		say("use", strings.Join(use, ","))
	}
	return out.Bytes()
}
