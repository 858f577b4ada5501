package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// uidOf finds the UID of a pod in what /proc/PID/cgroup holds: a part of a path that is pod and the UID, as the kubelet
// names cgroups with each of its drivers, or that ends in it. It is the last part of that kind. Empty if there is none.
//
//	cgroupfs  12:memory:/kubepods/burstable/pod4c0ba1a8-…/CONTAINER
//	systemd   0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod4c0ba1a8_….slice/cri-containerd-CONTAINER.scope
//
// With a cgroup namespace of the reader's own the path begins with /../.. and has the same parts.
func uidOf(cgroups string) string {
	found := ""
	for line := range strings.Lines(cgroups) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":")
		_, path, _ = strings.Cut(path, ":")
		for part := range strings.SplitSeq(path, "/") {
			if uid := uidIn(part); uid != "" {
				found = uid
			}
		}
	}
	return found
}

// uidIn returns the UID in one part of a cgroup's path, empty if it is not that of a pod.
func uidIn(part string) string {
	part = strings.TrimSuffix(part, ".slice")
	if slice := strings.LastIndex(part, "-pod"); slice >= 0 && strings.Contains(part[:slice], "kubepods") {
		part = part[slice+1:]
	}
	uid, ok := strings.CutPrefix(part, "pod")
	uid = strings.ReplaceAll(uid, "_", "-")
	if !ok || !isUID(uid) {
		return ""
	}
	return uid
}

// isUID reports whether a text is a UID: 32 hexadecimal digits, of a static pod without and of others with dashes.
func isUID(text string) bool {
	digits := strings.ReplaceAll(text, "-", "")
	return len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == ""
}

// Processes tells which pods processes are of.
type Processes struct {
	proc  string
	names *names
}

// NewProcesses looks at the processes under proc (/proc) and the folders under logs (/var/log/pods).
func NewProcesses(proc, logs string) *Processes {
	return &Processes{proc: proc, names: &names{dir: logs}}
}

// Pod returns the pod of a process, false if it is of none or of one whose name is not to be found out.
func (p *Processes) Pod(pid uint32) (Pod, bool) {
	cgroups, err := os.ReadFile(filepath.Join(p.proc, strconv.FormatUint(uint64(pid), 10), "cgroup"))
	if err != nil {
		return Pod{}, false // it has ended, or is not seen from this PID namespace
	}
	uid := uidOf(string(cgroups))
	if uid == "" {
		return Pod{}, false
	}
	return p.names.of(uid)
}

// Unseen returns why pods that share a device may not be told apart, nil if they can be.
func (p *Processes) Unseen() error {
	if _, err := os.ReadDir(p.names.dir); err != nil {
		return fmt.Errorf("the folders of the pods' logs, which tell the names of pods, are not to be read: %w", err)
	}
	if !p.SeeAll() {
		return fmt.Errorf("in %s not all processes of the node are seen, as they are with hostPID", p.proc)
	}
	return nil
}

// hostPIDs is the inode of the first PID namespace of a machine, the same in every kernel (PROC_PID_INIT_INO).
const hostPIDs = "pid:[4026531836]"

// SeeAll reports whether all processes of the machine are seen, so that one that is not there does not exist: with
// hostPID. Where a node is itself a container it is false.
func (p *Processes) SeeAll() bool {
	namespace, err := os.Readlink(filepath.Join(p.proc, "self", "ns", "pid"))
	return err == nil && namespace == hostPIDs
}
