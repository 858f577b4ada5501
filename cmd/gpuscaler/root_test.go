package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string // on stderr
	}{
		{[]string{"version"}, 0, ""},
		{[]string{}, 0, ""},
		{[]string{"--help"}, 0, ""},
		{[]string{"help", "plan"}, 0, ""},
		{[]string{"bogus"}, 2, `error: unknown command "bogus"`},
		{[]string{"chek"}, 2, "did you mean check?"},
		{[]string{"version", "x"}, 2, `"gpuscaler version" takes no arguments: got ["x"]`},
		{[]string{"version", "--bogus"}, 2, "unknown flag: --bogus"},
		{[]string{"version", "-o", "xml"}, 2, "allowed are table, json, yaml"},
		{[]string{"version", "--logging-format", "xml"}, 2, "allowed are text, json"},
		{[]string{"version", "-v", "11"}, 2, "allowed are whole numbers from 0 to 10"},
		{[]string{"version", "-v", "-1"}, 2, "allowed are whole numbers from 0 to 10"},
		{[]string{"help", "bogus"}, 2, `no help for "bogus"`},
		{[]string{"completion"}, 2, "needs one of its commands"},
		{[]string{"completion", "bogus"}, 2, `unknown command "bogus" for "gpuscaler completion"`},
		{[]string{"plan", "a", "b"}, 2, "one Deployment at most"},
		{[]string{"plan", "statefulset/a"}, 2, "only Deployments are scaled"},
		{[]string{"plan", "deployment/"}, 2, "names no Deployment"},
		{[]string{"plan", "deployment/a", "-A"}, 2, "give -n NAMESPACE instead of --all-namespaces"},
		{[]string{"run", "x"}, 2, "takes no arguments"},
		{[]string{"run", "--interval", "1ms"}, 2, "--interval 1ms must be from 100ms to 10m0s"},
		{[]string{"plan"}, 1, "no cluster is configured: give --kubeconfig FILE, or set KUBECONFIG"},
		{[]string{"plan", "--kubeconfig", "/nowhere"}, 1, "reading the kubeconfig: stat /nowhere"},
		{[]string{"plan", "--classes", "/nowhere", "--server", "http://127.0.0.1:1"}, 1, "reading --classes: open /nowhere"},
		{[]string{"plan", "--server", "http://127.0.0.1:1"}, 1, "--context chooses another cluster"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			got := invoke(t, "", c.args...)
			if got.code != c.code || !strings.Contains(got.err, c.want) || (c.want == "") != (got.err == "") {
				t.Errorf("want exit code %d and %q on stderr, got:\n%v", c.code, c.want, got)
			}
			if hint := strings.Contains(got.err, " --help'."); hint != (c.code == exitUsage) {
				t.Errorf("a hint to --help: %t, got:\n%v", hint, got)
			}
		})
	}
}

// TestHelp wants the help of every command to open with an example of itself.
func TestHelp(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		got := invoke(t, "", args...)
		example, _, _ := strings.Cut(got.out, "Usage:\n")
		if got.code != 0 || !strings.HasPrefix(got.out, "Example:\n  ") || !strings.Contains(example, cmd.CommandPath()) {
			t.Errorf("%q begins with\n%s", args, example)
		}
		if cmd.Parent() != nil && cmd.Parent().Name() == "gpuscaler" && cmd.Name() != "completion" {
			golden(t, "help-"+cmd.Name()+".golden", got.String())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand("gpuscaler", nil, io.Discard, io.Discard))
	golden(t, "welcome.golden", invoke(t, "").String())
	golden(t, "help.golden", invoke(t, "", "--help").String())
}

// TestPlugin calls the program as kubectl calls its plugins.
func TestPlugin(t *testing.T) {
	var out, errOut strings.Builder
	code := execute([]string{"/usr/local/bin/kubectl-gpuscaler", "help", "plan"}, nil, &out, &errOut)
	if code != 0 || !strings.Contains(out.String(), "  kubectl gpuscaler plan deployment/llm") || strings.Contains(out.String(), "  gpuscaler ") {
		t.Errorf("got %d\n%s%s", code, out.String(), errOut.String())
	}
	code = execute([]string{"kubectl-gpuscaler", "plan", "--bogus"}, nil, &out, &errOut)
	if code != 2 || !strings.Contains(errOut.String(), "See 'kubectl gpuscaler plan --help'.") {
		t.Errorf("got %d\n%s", code, errOut.String())
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := invoke(t, "", "completion", shell); got.code != 0 || !strings.Contains(got.out, "gpuscaler") {
			t.Errorf("%s: got:\n%v", shell, got)
		}
	}
	if got := invoke(t, "", "__complete", "plan", "-o", ""); !strings.HasPrefix(got.out, "table\njson\nyaml\n") {
		t.Errorf("completing -o: got:\n%v", got)
	}
}

func TestVersion(t *testing.T) {
	got := invoke(t, "", "version", "-o", "json")
	var info versionInfo
	if err := json.Unmarshal([]byte(got.out), &info); err != nil {
		t.Fatal(err)
	}
	if info.Version == "" || !strings.HasPrefix(info.GoVersion, "go") || !strings.Contains(info.Platform, "/") {
		t.Errorf("got %+v", info)
	}
	if text := invoke(t, "", "version").out; !strings.HasPrefix(text, "gpuscaler "+info.Version+" (") {
		t.Errorf("got %q", text)
	}
}

// TestProcess runs the program as a process: exit codes and signals are what scripts and kubelets see.
func TestProcess(t *testing.T) {
	program := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		return cmd
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"check", "testdata/check/good.yaml"}},
		{1, []string{"check", "testdata/check/problems.yaml"}},
		{2, []string{"check"}},
	} {
		err := program(c.args...).Run()
		code := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != c.code {
			t.Errorf("%q: exit code %d, want %d", c.args, code, c.code)
		}
	}

	api := newAPIServer(t)
	dry := program("run", "--dry-run", "--kubeconfig", api.kubeconfig, "--prometheus-url", "kube://monitoring/prometheus:9090", "--interval", "100ms")
	var errOut strings.Builder
	dry.Stderr = &errOut
	defer func() {
		if t.Failed() {
			t.Log(errOut.String())
		}
	}()
	out, err := dry.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dry.Start(); err != nil {
		t.Fatal(err)
	}
	awaitText(t, out, "ReadyForNewScale")
	if err := dry.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dry.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("run ended with %v after SIGTERM, want exit code 0", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("run goes on after SIGTERM")
	}
}

// TestEveryCommandIsListed wants each command in one of the groups of the help.
func TestEveryCommandIsListed(t *testing.T) {
	for _, cmd := range newRootCommand("gpuscaler", nil, io.Discard, io.Discard).Commands() {
		n := 0
		for _, group := range groups {
			for _, name := range group.names {
				if name == cmd.Name() {
					n++
				}
			}
		}
		if n != 1 {
			t.Errorf("%s is in %d groups", cmd.Name(), n)
		}
	}
}
