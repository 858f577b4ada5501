// Package prom runs a real Prometheus inside a test process, from Prometheus' own packages: its scrape manager, its time
// series database, its query engine and its HTTP API on a loopback port. What it scrapes is told to it as it changes,
// where a cluster would have service discovery, with the labels that a ServiceMonitor or PodMonitor attaches.
//
// A Server can be made to fail in the ways in which a Prometheus fails, see Fault.
package prom
