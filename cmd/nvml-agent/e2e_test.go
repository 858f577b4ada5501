//go:build linux && cgo

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	gpu0 = "GPU-00000000-1111-2222-3333-444455556666"
	gpu1 = "GPU-11111111-1111-2222-3333-444455556666"
	mig0 = "MIG-00000000-1111-2222-3333-444455556666"
	uid1 = "aaaaaaaa-1111-2222-3333-444455556666"
	uid2 = "bbbbbbbb-1111-2222-3333-444455556666"
)

// l4 and dividedH100 are GPUs of the stand-in: the first, and the second.
func l4() map[string]string {
	return prefixed("gpu0.", map[string]string{
		"uuid": gpu0, "name": "NVIDIA L4", "minor": "0", "utilization": "40", "power": "72000",
		"memory.total": "24000", "memory.reserved": "500", "memory.used": "6000",
	})
}

func dividedH100() map[string]string {
	return prefixed("gpu1.", map[string]string{
		"uuid": gpu1, "name": "NVIDIA H100", "minor": "1", "migs": "1", "gpm": "1",
		"mig0.uuid": mig0, "mig0.name": "NVIDIA H100 MIG 1g.10gb", "mig0.gi": "7", "mig0.utilization": "55",
		"mig0.memory.total": "10000", "mig0.memory.used": "1000",
	})
}

func prefixed(prefix string, values map[string]string) map[string]string {
	all := map[string]string{}
	for key, value := range values {
		all[prefix+key] = value
	}
	return all
}

// TestAgent runs the agent through a GPU's day: load, a failure, a hang, and another pod.
func TestAgent(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"gpus": "2"}, l4(), dividedH100())
	n.hold(map[string]string{"llm": gpu0, "small": "nvidia1/gi7"})
	a := n.start()

	const util, used, power = "gpuscaler_nvml_gpu_utilization_ratio", "gpuscaler_nvml_memory_used_bytes", "gpuscaler_nvml_power_watts"
	a.want(`index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm",uuid="`+gpu0+`"`, map[string]string{
		util + " 15s": "0.4", used + " 15s": "6000", power + " 15s": "72",
		"gpuscaler_nvml_memory_total_bytes": "24000", "gpuscaler_nvml_memory_reserved_bytes": "500",
	})
	a.want(`index="1",mig_profile="1g.10gb",model="NVIDIA H100",namespace="ml",pod="small",uuid="`+mig0+`"`, map[string]string{
		util + " 15s": "0.55", used + " 15s": "1000", power + " 15s": "", "gpuscaler_nvml_memory_total_bytes": "10000",
	})
	a.want(``, map[string]string{"gpuscaler_nvml_up": "1"})

	changed := time.Now()
	n.set("gpu0.utilization", "90")
	a.want(`uuid="`+gpu0+`"`, map[string]string{util + " 1s": "0.9"})
	if took := time.Since(changed); took > 5*time.Second {
		t.Errorf("a change took %v to be seen", took)
	}

	n.set("gpu0.utilization.return", "15")
	a.want(`uuid="`+gpu0+`"`, map[string]string{util + " 1s": "", used + " 1s": "6000"})
	a.want(`error="gpu_is_lost"`, map[string]string{"gpuscaler_nvml_errors_total": "*"})
	n.set("gpu0.utilization.return", "0")
	a.want(`uuid="`+gpu0+`"`, map[string]string{util + " 1s": "0.9"})

	n.set("gpu0.power.hang", "1")
	a.want(`uuid="`+gpu0+`"`, map[string]string{util + " 15s": "", used + " 15s": "", "gpuscaler_nvml_sample_timestamp_seconds": ""})
	a.want(`call="power",error="hung"`, map[string]string{"gpuscaler_nvml_errors_total": "1"})
	n.set("gpu1.mig0.utilization", "5")
	a.want(`uuid="`+mig0+`"`, map[string]string{util + " 1s": "0.05"})
	n.set("gpu0.power.hang", "0")
	a.want(`uuid="`+gpu0+`"`, map[string]string{util + " 1s": "0.9"})

	n.hold(map[string]string{"next": gpu0})
	a.want(`pod="next",uuid="`+gpu0+`"`, map[string]string{util + " 1s": "0.9"})
	a.want(`pod="llm"`, map[string]string{util + " 15s": ""})
	a.want(`pod="",uuid="`+mig0+`"`, map[string]string{util + " 1s": "0.05"})

	n.kubelet.Stop()
	a.want(`pod="",uuid="`+gpu0+`"`, map[string]string{util + " 1s": "0.9"})
	a.want(`pod="next"`, map[string]string{util + " 15s": ""})
	a.want(`call="pod_resources",error="unavailable"`, map[string]string{"gpuscaler_nvml_errors_total": "*"})
	a.end(syscall.SIGTERM)
}

// TestAgentSharing has two pods share a GPU, of which the agent sees the processes.
func TestAgentSharing(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"gpus": "1"}, l4(), map[string]string{"gpu0.processes": "101:2000,102:3000"})
	n.hold(map[string]string{"one": gpu0 + "::0", "two": gpu0 + "::1"})
	n.process(101, uid1)
	n.process(102, uid2)
	n.logs("ml_one_" + uid1)
	n.logs("ml_two_" + uid2)
	a := n.start()
	samples := 0
	compute := func() { // the driver samples all the time
		samples++
		n.set("gpu0.use", fmt.Sprintf("%d:101:30", samples))
	}
	for range 8 {
		compute()
		time.Sleep(500 * time.Millisecond)
	}
	const util, used = "gpuscaler_nvml_gpu_utilization_ratio 1s", "gpuscaler_nvml_memory_used_bytes 1s"
	a.wantWhile(compute, `pod="one",uuid="`+gpu0+`"`, map[string]string{util: "0.3", used: "2000", "gpuscaler_nvml_memory_total_bytes": "24000"})
	a.wantWhile(compute, `pod="two",uuid="`+gpu0+`"`, map[string]string{util: "0", used: "3000", "gpuscaler_nvml_memory_total_bytes": "24000"})
	a.wantWhile(compute, `pod="",uuid="`+gpu0+`"`, map[string]string{util: "0.4", used: "6000"})

	// A stranger computes: it may do so for either of them.
	n.set("gpu0.processes", "101:2000,102:3000,103:1")
	n.set("gpu0.use", "100000:103:30")
	a.want(`pod="two",uuid="`+gpu0+`"`, map[string]string{util: "", used: "3000"})
	a.end(syscall.SIGTERM)
}

// TestAgentAlone starts the agent where there is neither a driver nor a kubelet.
func TestAgentAlone(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.library = "/nowhere/libnvidia-ml.so.1"
	a := n.start()
	a.want(``, map[string]string{"gpuscaler_nvml_up": "0", "gpuscaler_nvml_time_seconds": "*"})
	a.want(`call="init",error="library_not_found"`, map[string]string{"gpuscaler_nvml_errors_total": "1"})
	if got := a.get("/healthz"); got != "ok\n" {
		t.Errorf("/healthz says %q", got)
	}
	if log := a.end(os.Interrupt); !strings.Contains(log, "runtimeClassName: nvidia") {
		t.Errorf("the log does not say what to do:\n%s", log)
	}
}

// TestHangAtTheEnd wants the agent to end in time although the driver does not return.
func TestHangAtTheEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"gpus": "1"}, l4())
	a := n.start()
	a.want(`uuid="`+gpu0+`"`, map[string]string{"gpuscaler_nvml_memory_total_bytes": "24000"})
	n.set("gpu0.memory.hang", "1")
	time.Sleep(2 * time.Second)
	a.end(syscall.SIGTERM)
}

// TestNVMLCommand shows the GPUs of the stand-in, also with the library of an old driver.
func TestNVMLCommand(t *testing.T) {
	t.Parallel()
	pid := os.Getpid()
	n := newNode(t, map[string]string{"gpus": "2"}, l4(), dividedH100(), map[string]string{
		"gpu0.processes": fmt.Sprintf("%d:3000", pid),
	})
	table := n.command("nvml")
	want := []string{
		"GPU UUID MODEL gpu-utilization gpu-memory MEMORY POWER",
		"0 " + gpu0 + " NVIDIA L4 40.0% 25.0% 0.00 of 0.00 GiB 72 W",
		"1 " + mig0 + " NVIDIA H100 MIG 1g.10gb 55.0% 10.0% 0.00 of 0.00 GiB -",
		"",
		"GPU PID COMMAND gpu-utilization gpu-memory MEMORY",
		fmt.Sprintf("0 %d nvml-agent.test 0.0%% 12.5%% 0.00 GiB", pid),
		"",
	}
	var got []string
	for line := range strings.SplitSeq(table, "\n") {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("it prints\n%s\nwant\n%s", table, strings.Join(want, "\n"))
	}

	n.library = n.build("-DOLD_DRIVER")
	var all struct {
		GPUs []struct {
			UUID    string             `json:"uuid"`
			Signals map[string]float64 `json:"signals"`
		} `json:"gpus"`
	}
	if err := json.Unmarshal([]byte(n.command("nvml", "-o", "json")), &all); err != nil {
		t.Fatal(err)
	}
	signals := map[string]map[string]float64{}
	for _, g := range all.GPUs {
		signals[g.UUID] = g.Signals
	}
	// It counts what is reserved as used, and has no GPM.
	old := map[string]map[string]float64{gpu0: {"gpu-utilization": 40, "gpu-memory": 100 * 6500. / 24000}, mig0: {"gpu-memory": 10}}
	if !maps.EqualFunc(signals, old, maps.Equal) {
		t.Errorf("with an old driver the signals are %v, want %v", signals, old)
	}
}

// TestNVMLWatch wants readings again and again until it is interrupted.
func TestNVMLWatch(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"gpus": "1"}, l4())
	cmd := n.cmd("nvml", "--watch")
	out := &text{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "it has shown the GPU twice", func() bool { return strings.Count(out.String(), gpu0) >= 2 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
}

// TestNVMLNoDriver wants the command to say what is missing, and what to do.
func TestNVMLNoDriver(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"init.return": "9"})
	for library, want := range map[string]string{
		filepath.Join(n.dir, "none.so"): "no NVIDIA driver",
		n.library:                       "kernel driver is not loaded",
	} {
		n.library = library
		cmd := n.cmd("nvml")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exitError || !strings.Contains(string(out), want) {
			t.Errorf("with %s: %v\n%s", library, err, out)
		}
	}
}
