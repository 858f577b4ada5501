package bed

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asChild, in the environment, lets the test binary make a data directory in that folder and wait to be killed.
const asChild = "BED_TEST_DATA_DIR"

func TestMain(m *testing.M) {
	if parent := os.Getenv(asChild); parent != "" {
		dir, err := newDataDir(parent)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(dir.root)
		select {}
	}
	os.Exit(Run(m))
}

// Run is set by the tests of package bed_test, which need the whole bed.
var Run func(*testing.M) int

func age(t *testing.T, dir string) {
	t.Helper()
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, long, long); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectoriesOfKilledProcessesAreRemoved(t *testing.T) {
	parent := shortDir(t)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), asChild+"="+parent)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	root, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	root = strings.TrimSpace(root)
	age(t, root)
	removeStale(parent)
	if _, err := os.Stat(root); err != nil {
		t.Fatalf("while the process lives: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	removeStale(parent)
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("after it was killed %s is still there (%v)", root, err)
	}
}

func TestOnlyOldDirectoriesOfBedsAreStale(t *testing.T) {
	parent := t.TempDir()
	for name, old := range map[string]bool{dirPrefix + "old": true, dirPrefix + "young": false, "other": true} {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if old {
			age(t, dir)
		}
	}
	removeStale(parent)
	left, err := filepath.Glob(filepath.Join(parent, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(parent, dirPrefix+"young") + " " + filepath.Join(parent, "other")
	if got := strings.Join(left, " "); got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
}

func TestPathTooLongForUnixSocketsIsRefused(t *testing.T) {
	parent := filepath.Join(t.TempDir(), strings.Repeat("x", 80))
	if err := os.Mkdir(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := newDataDir(parent); err == nil || !strings.Contains(err.Error(), "at most 100") {
		t.Errorf("error is %v, want one that names the limit", err)
	}
	if left, _ := filepath.Glob(filepath.Join(parent, "*")); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// shortDir returns a temporary folder whose path leaves room for that of a unix socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stale-") //nolint:usetesting // the path of t.TempDir has the test's name in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
