// Command gpuscaler scales Kubernetes Deployments that run on GPUs.
//
// This package reads flags, files and the environment, wires the packages metrics and controller together, prints, and
// exits. It decides nothing: that is package policy's part.
package main

import "os"

func main() { os.Exit(execute(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
