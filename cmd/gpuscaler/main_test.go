package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Run `go test ./cmd/gpuscaler -update` to write what the program prints now into testdata. Commit it only if you
// understand the difference and want it.
var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// asProgram makes the test binary behave as the program, so that tests can run it as a process of its own.
const asProgram = "GPUSCALER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(isolated(m))
}

// isolated runs the tests away from the machine's own clusters.
func isolated(m *testing.M) int {
	nowhere, err := os.MkdirTemp("", "gpuscaler-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(nowhere)
	for name, value := range map[string]string{
		"HOME": nowhere, "KUBECONFIG": filepath.Join(nowhere, "none"), "KUBERNETES_MASTER": "", "KUBERNETES_SERVICE_HOST": "", "NO_COLOR": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// call is what one run of the command line did.
type call struct {
	code     int
	out, err string
}

// invoke runs the command line in this process.
func invoke(t *testing.T, stdin string, args ...string) call {
	t.Helper()
	var out, errOut bytes.Buffer
	code := execute(append([]string{"gpuscaler"}, args...), strings.NewReader(stdin), &out, &errOut)
	return call{code, out.String(), errOut.String()}
}

// String shows a run as a terminal would.
func (c call) String() string {
	return fmt.Sprintf("%s--- stderr\n%s--- exit code %d\n", c.out, c.err, c.code)
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	compareGolden(t, filepath.Join("testdata", name), got)
}
