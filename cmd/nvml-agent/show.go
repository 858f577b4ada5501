package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gpuscaler/gpuscaler/cmd/logging"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
	"github.com/gpuscaler/gpuscaler/policy"
)

// showOptions are the flags of nvml.
type showOptions struct {
	*globals
	output logging.Choice
	watch  bool
}

func newNVMLCommand(g *globals) *cobra.Command {
	o := &showOptions{globals: g, output: logging.Choice{Value: "table", Allowed: []string{"table", "json"}}}
	cmd := &cobra.Command{
		Use:   "nvml",
		Short: "Show the GPUs of this machine and their processes, in the words of a policy",
		Long: `nvml shows the GPUs of this machine and their processes. The columns gpu-utilization and gpu-memory
are the signals of those names, in percent, as the controller reads them. A - is what the driver does
not tell, which is not 0. The reading takes a second: some numbers are differences of two.`,
		Example: `  nvml-agent nvml
  nvml-agent nvml --watch
  nvml-agent nvml -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().VarP(&o.output, "output", "o", "output format: table or json")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it again every second until interrupted")
	return cmd
}

// run shows the GPUs.
func (o *showOptions) run(ctx context.Context, out, errOut io.Writer) error {
	library, err := within(nvml.CallInit, func() (nvml.Library, error) { return nvml.Open(o.library) })
	if err != nil {
		return err
	}
	devices, err := within(nvml.CallList, library.Devices)
	if len(devices) == 0 {
		return errors.Join(err, errors.New("there is no GPU to show"))
	}
	if err != nil {
		fmt.Fprintf(errOut, "warning: %v\n", err)
	}
	shown := make([]*shownDevice, len(devices))
	for n, d := range devices {
		shown[n] = &shownDevice{device: d, reading: make(chan seen, 1)}
		shown[n].read() // numbers that are differences have none yet
	}
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
		if err := o.print(out, errOut, shown); err != nil {
			return err
		}
		if !o.watch {
			return nil
		}
	}
}

// print shows the devices once.
func (o *showOptions) print(out, errOut io.Writer, devices []*shownDevice) error {
	var all struct {
		GPUs []gpu `json:"gpus"`
	}
	for _, d := range devices {
		g, problems := d.show(o.proc)
		all.GPUs = append(all.GPUs, g)
		for _, problem := range problems {
			fmt.Fprintf(errOut, "warning: GPU %d: %v\n", g.Index, problem)
		}
	}
	if o.output.Value == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
	if o.watch && isTerminal(out) {
		fmt.Fprint(out, "\x1b[H\x1b[2J")
	}
	printGPUs(out, all.GPUs)
	if o.watch && !isTerminal(out) {
		fmt.Fprintln(out)
	}
	return nil
}

// isTerminal reports whether a person sees what is written there.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// patience is how long the driver may take.
const patience = 3 * time.Second

// within waits for a call of the driver as long as it may take. There is no way to end one that hangs.
func within[T any](name string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	returned := make(chan result, 1)
	go func() {
		value, err := f()
		returned <- result{value, err}
	}()
	select {
	case r := <-returned:
		return r.value, r.err
	case <-time.After(patience):
		var none T
		return none, fmt.Errorf("the driver hangs: its call %q has not returned for %v", name, patience)
	}
}

// gpu is a GPU as it is shown.
type gpu struct {
	UUID       string `json:"uuid"`
	Index      int    `json:"index"`
	Model      string `json:"model"`
	MIGProfile string `json:"migProfile,omitempty"`
	// Signals are in percent; one that is not known is left out.
	Signals     map[policy.Signal]float64 `json:"signals"`
	MemoryUsed  *uint64                   `json:"memoryUsedBytes,omitempty"`
	MemoryTotal *uint64                   `json:"memoryTotalBytes,omitempty"`
	Power       *float64                  `json:"powerWatts,omitempty"`
	Processes   []process                 `json:"processes"`
}

// process is one that uses a GPU, as it is shown.
type process struct {
	PID     uint32 `json:"pid"`
	Command string `json:"command,omitempty"`
	// Signals are its part of the GPU's.
	Signals    map[policy.Signal]float64 `json:"signals"`
	MemoryUsed *uint64                   `json:"memoryUsedBytes,omitempty"`
}

// command is the name of a process, empty if it is not seen from here.
func command(proc string, pid uint32) string {
	name, err := os.ReadFile(filepath.Join(proc, strconv.FormatUint(uint64(pid), 10), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}
