// Package promql tests the queries of package metrics on Prometheus' own query engine: samples go into a real
// database, the generated expressions through the real engine, and the answers, written by Prometheus' own JSON codec,
// through the real client and decoder.
package promql
