package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics/nvml"
	"github.com/gpuscaler/gpuscaler/policy"
)

// shownDevice is read over and over. While the driver hangs in a reading no other is begun.
type shownDevice struct {
	device  nvml.Device
	reading chan seen
	begun   bool
}

// seen is what one reading of a device saw. What is not known is NaN.
type seen struct {
	utilization, power float64
	memory             nvml.Memory
	memoryKnown        bool
	processes          []nvml.Process
	problems           []error
}

// read reads, false if it takes too long.
func (d *shownDevice) read() (seen, bool) {
	if !d.begun {
		d.begun = true
		go func() { d.reading <- look(d.device) }()
	}
	select {
	case s := <-d.reading:
		d.begun = false
		return s, true
	case <-time.After(patience):
		return seen{}, false
	}
}

// look reads a device.
func look(d nvml.Device) seen {
	var s seen
	note := func(err error) bool {
		if err != nil && !errors.Is(err, nvml.ErrUnavailable) {
			s.problems = append(s.problems, err)
		}
		return err == nil
	}
	s.utilization, s.power = math.NaN(), math.NaN()
	if v, err := d.Utilization(); note(err) {
		s.utilization = v
	}
	if v, err := d.Power(); note(err) {
		s.power = v
	}
	m, err := d.Memory()
	s.memory, s.memoryKnown = m, note(err)
	processes, err := d.Processes()
	note(err)
	s.processes = processes
	return s
}

// show reads a device and says how to show it.
func (d *shownDevice) show(proc string) (gpu, []error) {
	info := d.device.Info()
	g := gpu{
		UUID: info.UUID, Index: info.Index, Model: info.Model, MIGProfile: info.MIGProfile,
		Signals: map[policy.Signal]float64{}, Processes: []process{},
	}
	s, ok := d.read()
	if !ok {
		return g, []error{fmt.Errorf("the driver hangs: it has not answered for %v", patience)}
	}
	percent(g.Signals, policy.GPUUtilization, s.utilization)
	if s.memoryKnown {
		percent(g.Signals, policy.GPUMemory, float64(s.memory.Used)/float64(s.memory.Total))
		g.MemoryUsed, g.MemoryTotal = &s.memory.Used, &s.memory.Total
	}
	if !math.IsNaN(s.power) {
		g.Power = &s.power
	}
	for _, p := range s.processes {
		one := process{PID: p.PID, Command: command(proc, p.PID), Signals: map[policy.Signal]float64{}}
		percent(one.Signals, policy.GPUUtilization, p.Utilization)
		if !math.IsNaN(p.Memory) {
			used := uint64(p.Memory)
			one.MemoryUsed = &used
			if s.memoryKnown {
				percent(one.Signals, policy.GPUMemory, p.Memory/float64(s.memory.Total))
			}
		}
		g.Processes = append(g.Processes, one)
	}
	slices.SortFunc(g.Processes, func(a, b process) int { return cmp.Compare(a.PID, b.PID) })
	return g, s.problems
}

// percent notes a signal, unless its ratio is not known.
func percent(signals map[policy.Signal]float64, signal policy.Signal, ratio float64) {
	if !math.IsNaN(ratio) {
		signals[signal] = ratio * 100
	}
}

// printGPUs prints a table of the GPUs and one of their processes.
func printGPUs(out io.Writer, gpus []gpu) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "GPU\tUUID\tMODEL\t%s\t%s\tMEMORY\tPOWER\n", policy.GPUUtilization, policy.GPUMemory)
	processes := 0
	for _, g := range gpus {
		model := g.Model
		if g.MIGProfile != "" {
			model += " MIG " + g.MIGProfile
		}
		power := "-"
		if g.Power != nil {
			power = fmt.Sprintf("%.0f W", *g.Power)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Index, g.UUID, model,
			shownPercent(g.Signals, policy.GPUUtilization), shownPercent(g.Signals, policy.GPUMemory), shownMemory(g.MemoryUsed, g.MemoryTotal), power)
		processes += len(g.Processes)
	}
	_ = table.Flush() // what cannot be written to the terminal cannot be told there either
	if processes == 0 {
		fmt.Fprintln(out, "\nno process uses them, or none that is seen from here")
		return
	}
	fmt.Fprintf(table, "\nGPU\tPID\tCOMMAND\t%s\t%s\tMEMORY\n", policy.GPUUtilization, policy.GPUMemory)
	for _, g := range gpus {
		for _, p := range g.Processes {
			fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\n", g.Index, p.PID, cmp.Or(p.Command, "-"),
				shownPercent(p.Signals, policy.GPUUtilization), shownPercent(p.Signals, policy.GPUMemory), shownMemory(p.MemoryUsed, nil))
		}
	}
	_ = table.Flush() // as above
}

// shownPercent shows a signal, - if it is not known.
func shownPercent(signals map[policy.Signal]float64, signal policy.Signal) string {
	value, ok := signals[signal]
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", value)
}

// shownMemory shows memory in use, - if it is not known.
func shownMemory(used, total *uint64) string {
	const gib = 1 << 30
	switch {
	case used == nil:
		return "-"
	case total == nil:
		return fmt.Sprintf("%.2f GiB", float64(*used)/gib)
	}
	return fmt.Sprintf("%.2f of %.2f GiB", float64(*used)/gib, float64(*total)/gib)
}
