package pods

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	uidA     = "4c0ba1a8-1111-2222-3333-444455556666"
	uidB     = "5d1cb2b9-1111-2222-3333-444455556666"
	systemdA = "4c0ba1a8_1111_2222_3333_444455556666"
	static   = "0123456789abcdef0123456789abcdef"
)

func TestUIDOf(t *testing.T) {
	for _, c := range []struct{ name, cgroups, want string }{
		{"v2 systemd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + systemdA + ".slice/cri-containerd-abc.scope\n", uidA},
		{"v2 systemd guaranteed", "0::/kubepods.slice/kubepods-pod" + systemdA + ".slice/crio-abc.scope\n", uidA},
		{"v2 systemd of a reader with a cgroup namespace", "0::/../../kubepods-besteffort-pod" + systemdA + ".slice/cri-containerd-abc.scope\n", uidA},
		{"v2 cgroupfs", "0::/kubepods/besteffort/pod" + uidA + "/abc\n", uidA},
		{"v1 cgroupfs", "12:memory:/kubepods/burstable/pod" + uidA + "/abc\n11:cpu,cpuacct:/kubepods/burstable/pod" + uidA + "/abc\n1:name=systemd:/kubepods/burstable/pod" + uidA + "/abc\n", uidA},
		{"v1 systemd", "4:devices:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + systemdA + ".slice/docker-abc.scope\n", uidA},
		{"a static pod", "0::/kubepods/burstable/pod" + static + "/abc\n", static},
		{"kind, where the kubelet is a container", "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + systemdA + ".slice/cri-containerd-abc.scope\n", uidA},
		{"a node that is itself a pod", "0::/kubepods/pod" + uidB + "/kubelet/kubepods/pod" + uidA + "/abc\n", uidA},
		{"a service of the host", "0::/system.slice/nvidia-persistenced.service\n", ""},
		{"the reader's own", "0::/\n", ""},
		{"nothing", "", ""},
		{"podman", "0::/machine.slice/libpod-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\n", ""},
		{"libpod of 32 digits", "0::/machine.slice/libpod-" + static + ".scope\n", ""},
		{"too short", "0::/kubepods/pod1234/abc\n", ""},
		{"not hexadecimal", "0::/kubepods/podzzzzzzzz-1111-2222-3333-444455556666/abc\n", ""},
	} {
		if got := uidOf(c.cgroups); got != c.want {
			t.Errorf("%s: the pod is %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzUIDOf(f *testing.F) {
	f.Add("0::/kubepods.slice/kubepods-pod" + systemdA + ".slice/crio-abc.scope\n")
	f.Add("12:memory:/kubepods/burstable/pod" + uidA + "/abc\n")
	f.Add("::::\n\n0")
	f.Fuzz(func(t *testing.T, cgroups string) {
		if uid := uidOf(cgroups); uid != "" && !isUID(uid) {
			t.Errorf("found %q, which is no UID", uid)
		}
	})
}

// node makes a /proc in which processes are in cgroups of pods, and a /var/log/pods.
func node(t *testing.T, processes map[int]string, logs ...string) (*Processes, string, string) {
	t.Helper()
	dir := t.TempDir()
	proc, pods := filepath.Join(dir, "proc"), filepath.Join(dir, "pods")
	for pid, uid := range processes {
		at := filepath.Join(proc, strconv.Itoa(pid))
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "cgroup"), []byte("0::/kubepods/pod"+uid+"/abc\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range append(logs, "") {
		if err := os.MkdirAll(filepath.Join(pods, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return NewProcesses(proc, pods), proc, pods
}

func TestProcesses(t *testing.T) {
	p, _, _ := node(t, map[int]string{10: uidA, 11: uidB, 12: static}, "ml_llm-0_"+uidA, "no-pod", "a_b_c", "_x_"+uidB, "kube-system_proxy-node_"+static)
	for pid, want := range map[uint32]Pod{10: {"ml", "llm-0"}, 11: {}, 12: {"kube-system", "proxy-node"}, 13: {}} {
		if got, ok := p.Pod(pid); got != want || ok != (want != Pod{}) {
			t.Errorf("process %d is of %v, %t, want %v", pid, got, ok, want)
		}
	}
}

// TestPodsThatCome wants the pod of a UID that is new to be found, without a reading of the folder at every question.
func TestPodsThatCome(t *testing.T) {
	p, _, logs := node(t, map[int]string{10: uidA})
	synctest.Test(t, func(t *testing.T) {
		if pod, ok := p.Pod(10); ok {
			t.Errorf("the pod is %v before its folder exists", pod)
		}
		if err := os.Mkdir(filepath.Join(logs, "ml_llm_"+uidA), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, ok := p.Pod(10); ok {
			t.Error("the folder was read twice at one moment")
		}
		time.Sleep(interval)
		if pod, ok := p.Pod(10); !ok || pod != (Pod{"ml", "llm"}) {
			t.Errorf("a second later the pod is %v, %t", pod, ok)
		}
	})
}

func TestSeeAll(t *testing.T) {
	p, proc, _ := node(t, nil)
	if p.SeeAll() {
		t.Error("all processes are seen without a /proc")
	}
	for _, c := range []struct {
		namespace string
		want      bool
	}{{"pid:[4026531836]", true}, {"pid:[4026532197]", false}} {
		at := filepath.Join(proc, "self", "ns")
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(c.namespace, filepath.Join(at, "pid")); err != nil {
			t.Fatal(err)
		}
		if got := p.SeeAll(); got != c.want {
			t.Errorf("in %s all processes are seen: %t, want %t", c.namespace, got, c.want)
		}
		if err := p.Unseen(); (err == nil) != c.want {
			t.Errorf("in %s pods cannot be told apart because %v", c.namespace, err)
		}
		if err := NewProcesses(proc, filepath.Join(proc, "none")).Unseen(); err == nil || !strings.Contains(err.Error(), "logs") {
			t.Errorf("without logs pods cannot be told apart because %v", err)
		}
	}
}
