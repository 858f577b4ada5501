// Package monitoring tests deploy/monitoring with Prometheus' own packages: that the alerts fire when they should, as promtool
// does, and that no query names a metric, a label or a value that a controller does not expose. Package e2e tries the queries on what
// a running controller exposes.
package monitoring
