package pods

import (
	"os"
	"strings"
	"sync"
	"time"
)

// names finds the names of pods by their UIDs in the names of the folders of their logs.
type names struct {
	dir string

	mu    sync.Mutex
	byUID map[string]Pod
	read  time.Time // when the folder was read
}

// of returns the pod of a UID. A UID that is new has the folder read again, once a second at most.
func (n *names) of(uid string) (Pod, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pod, ok := n.byUID[uid]
	if ok || time.Since(n.read) < interval {
		return pod, ok
	}
	n.read = time.Now()
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return Pod{}, false
	}
	n.byUID = map[string]Pod{}
	for _, entry := range entries {
		if pod, uid, ok := splitLogs(entry.Name()); ok {
			n.byUID[uid] = pod
		}
	}
	pod, ok = n.byUID[uid]
	return pod, ok
}

// splitLogs takes the name of a pod's folder of logs apart: NAMESPACE_NAME_UID. None of the three contains _.
func splitLogs(folder string) (pod Pod, uid string, ok bool) {
	parts := strings.Split(folder, "_")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || !isUID(parts[2]) {
		return Pod{}, "", false
	}
	return Pod{parts[0], parts[1]}, parts[2], true
}
