package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is by how much the memory in use grows before garbage is collected, in percent. Most of it is a cache of the cluster that
// stays, so that Go's own 100 would double it for nothing; collecting more often costs a few percent of a core at start, and next to
// nothing after that, since a tick leaves little garbage.
const gcPercent = 40

// collectEarly sets it, unless the environment says how memory is to be used.
func collectEarly() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
