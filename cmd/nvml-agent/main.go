// Command nvml-agent reads the GPUs of its node through NVML and writes what it reads, with the names of the pods that
// hold them, as metrics. It runs as a DaemonSet (deploy/nvml-agent), beside cmd/gpuscaler, which reads the metrics.
//
// This package reads flags, wires the packages sampler and pods to metrics/nvml, serves, prints, and exits. It is the
// only program that needs cgo; built without, it starts, says so, and reads nothing.
package main

import "os"

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }
