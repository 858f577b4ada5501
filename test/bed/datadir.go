package bed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// dirPrefix marks the data directories of beds.
const dirPrefix = "gpuscaler-bed-"

// settle is how old a data directory must be before it can count as stale: a bed that is just starting may have made
// its directory and not yet locked it.
const settle = 10 * time.Second

// dataDir is a directory that belongs to one living bed: the bed holds a lock on a file in it, which the kernel releases
// however the process ends.
type dataDir struct {
	root string
	lock *os.File
}

// newDataDir removes the directories of beds that died and makes a new one in parent.
func newDataDir(parent string) (*dataDir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	removeStale(parent)
	root, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	if n := len(filepath.Join(root, "egress.sock")); n > 100 {
		return nil, errors.Join(os.RemoveAll(root), fmt.Errorf(
			"making the data directory: path of unix sockets in %s has %d bytes, at most 100 are allowed: use a shorter Dir", parent, n))
	}
	lock, err := os.OpenFile(lockFile(root), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(os.RemoveAll(root), fmt.Errorf("locking the data directory: %w", err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(lock.Close(), os.RemoveAll(root), fmt.Errorf("locking the data directory: %w", err))
	}
	return &dataDir{root: root, lock: lock}, nil
}

func lockFile(root string) string { return filepath.Join(root, "lock") }

// path returns the path of a file in the directory.
func (d *dataDir) path(name string) string { return filepath.Join(d.root, name) }

// remove deletes the directory with all it holds and releases the lock.
func (d *dataDir) remove() error {
	return errors.Join(os.RemoveAll(d.root), d.lock.Close())
}

// removeStale deletes the directories in parent whose bed is gone. What cannot be deleted stays: it belongs to someone
// else.
func removeStale(parent string) {
	roots, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, root := range roots {
		if isStale(root) {
			_ = os.RemoveAll(root)
		}
	}
}

func isStale(root string) bool {
	info, err := os.Stat(root)
	if err != nil || time.Since(info.ModTime()) < settle {
		return false
	}
	lock, err := os.Open(lockFile(root))
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	defer lock.Close()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
