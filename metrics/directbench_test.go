package metrics

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// benchServer names the variable that makes a run of this test binary the server of a benchmark, so that what the servers cost is
// not counted as ours.
const benchServer = "GPUSCALER_BENCH_SERVER"

// TestBenchServer is no test: it serves a vLLM page on all addresses until its input ends.
func TestBenchServer(t *testing.T) {
	if os.Getenv(benchServer) == "" {
		t.Skip("the server of the benchmarks")
	}
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	text := vllmPage(2)
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", textType)
			_, _ = w.Write(text)
		}))
	}()
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startServer starts it in a process of its own and returns its port.
func startServer(b *testing.B) int {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	server := exec.CommandContext(b.Context(), program, "-test.run=^TestBenchServer$")
	server.Env = append(os.Environ(), benchServer+"=1")
	stdin, _ := server.StdinPipe()
	stdout, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = server.Wait()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	port, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "port ")))
	if err != nil {
		b.Fatalf("the server said %q", line)
	}
	return port
}

// cpuTime is what this process has used of all cores.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// benchTargets are targets of sixteen pods each, with two signals of three kinds to read.
func benchTargets(n, port int) []DirectTarget {
	targets := make([]DirectTarget, n)
	for i := range targets {
		targets[i] = DirectTarget{
			Namespace: "ml", Workload: fmt.Sprintf("w%d", i), Port: port, Path: "/metrics",
			Signals: []policy.Signal{policy.QueueDepth, policy.TokensPerSecond, policy.TTFTP95},
		}
		for j := range maxPerTick {
			n := i*maxPerTick + j
			targets[i].Pods = append(targets[i].Pods, DirectPod{
				Name: fmt.Sprintf("w%d-%d", i, j), IP: netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}),
			})
		}
	}
	return targets
}

// BenchmarkRead reads targets of 16 pods with a vLLM page of 600 lines each, over loopback, at a tick every 5 s. The servers are in
// another process, which shares the machine's cores: CPU is ours alone, the time is of both.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 125} {
		b.Run(fmt.Sprintf("pods=%d", n*maxPerTick), func(b *testing.B) {
			targets := benchTargets(n, startServer(b))
			d := NewDirect(DirectOptions{Timeout: 5 * time.Second})
			tick := 0
			read := func() {
				var wg sync.WaitGroup
				for i := range targets {
					wg.Go(func() {
						r := d.Read(context.Background(), at(5*tick), targets[i])
						if r.Results[0].Samples.Len() != maxPerTick {
							b.Errorf("%d samples: %s", r.Results[0].Samples.Len(), r.Problem)
						}
					})
				}
				wg.Wait()
				tick++
			}
			for range 3 { // connections, and enough snapshots for rates
				read()
			}
			var memory runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&memory)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime()
			for range b.N {
				read()
			}
			perTick := (cpuTime() - before).Seconds() / float64(b.N)
			b.ReportMetric(1000*perTick, "cpu-ms/tick")
			b.ReportMetric(100*perTick/5, "%core@5s")
			b.ReportMetric(100*perTick, "%core@1s")
			b.ReportMetric(float64(memory.HeapInuse+memory.StackInuse)/1024/float64(n*maxPerTick), "KiB/pod")
		})
	}
}
