// Package metrics says what is true: it turns the series of a Prometheus server into the signals that package policy
// decides on. It reads; it never decides, and it never invents a value. What it cannot read is missing.
//
// # From a series to a signal
//
// The way of one sample, with the file in which each step stands:
//
//  1. The table (signals.go, sources.go) lists for each signal the metrics that it can be read from, in order, with
//     scale, kind and the labels that tell one GPU or engine from another.
//  2. An expression (promql.go) asks for all of them at once, for all namespaces: one query per signal and tick. It
//     bounds the age of every sample and merges duplicates by identity.
//  3. The client (client.go, response.go) sends it and distrusts the reply: status, content type, size after
//     decompression, deadline over the whole body, result type, warnings, redirects.
//  4. The decoder (decode.go, lexer.go) reads the reply in one pass and keeps only the labels that name the pod.
//  5. The gatherer (gather.go) resolves whose sample it is, drops what cannot be, and combines the samples of a pod:
//     mean over GPUs, sum or maximum over engines.
//  6. Prometheus.Read (prometheus.go) returns one Reading per pod, with the metric it came from.
//
// Errors are values of a closed set of kinds (errors.go). Each ends with what to do next. None of them is ever a
// reading: the caller holds.
//
// # Traps
//
// Each of these has turned an autoscaler round; the code that avoids it is named.
//
//   - avg by (deployment) of a metric without that label is one series for the whole cluster, and looks fine. A series
//     without a namespace or a pod is dropped and counted (identity).
//   - Prometheus renames a scraped label to exported_* when the target has it too. In DCGM's default installation pod
//     is the exporter and exported_pod the workload; with honor_labels, or where the scrape configuration attaches
//     only one of the two labels, it is not. Each label of each series is resolved by itself (identity, forms).
//   - Two Prometheus replicas behind one querier, two scrape jobs, two exporters on a node show one thing twice. What
//     tells things apart is listed per source; all else (instance, job, replica labels) is merged by max before
//     anything is added (merge). Two exporters cannot be merged by the server, because label_replace on raw series
//     fails the whole query when two become equal; they are kept apart as views of a pod (view).
//   - Prometheus answers with samples up to five minutes old and aggregates hide their age. The bound is in each
//     selector (fresh), around the bare selector: timestamp() of anything else is the time of evaluation.
//   - rate() goes on answering for a pod that ended within its window; it is joined with what is still there (rate).
//   - timestamp() drops the metric's name, so that one selector over several names fails on series that differ in the
//     name only. Each source has selectors of its own.
//   - A blank of DCGM is a number: 4294967295, 9223372036854775794. In a mean over eight GPUs it is merely a high load,
//     and a negative value a low one. Samples are therefore returned one by one and checked before they are combined;
//     a bad one spoils its pod's value, which is then missing (gatherer.value).
//   - GPU_UTIL is 0-100 and the profiling metrics are 0-1; every engine's cache use is 0-1, also where it is called
//     perc. The scale is in the table.
//   - With time slicing DCGM shows one GPU to each of its pods, and once more to none. vgpu is no identity, and the
//     series without a pod belongs to the exporter, which nobody scales.
//   - A percentile of no requests is NaN, a percentile of no histogram is absent. The first is Idle, the second missing.
//   - Some servers put notes ("PromQL info: …") among the warnings. Warnings mean missing data and hold everything;
//     notes do not (decoder.warnings).
//   - The client's clock is nobody's business: no time is sent, and ages are differences of the server's times.
//   - POST through the Kubernetes service proxy needs the right to create; GET does not (ClientOptions.GET).
//   - DCGM samples its GPUs every 30 s by default, unseen by Prometheus: a sample scraped a second ago may be that much
//     older.
//
// # What it does not tell
//
// A pod that runs several servers on several ports with equal labels is seen as its busiest server. A latency over
// several engines is that of all their requests together. TGI's tokens are counted when a request ends. A pod whose
// preferred source exists but is broken falls back to no other source: `or` in the query has left it out already.
//
// # Custom queries
//
// Annotations name queries, they never contain any: a query could read any namespace. The administrator's expressions
// (queries.go) are bound to the workload's namespace by inserting a matcher into every selector (inject.go), without
// Prometheus' parser, which would bring its whole module along. The inserter refuses what it does not understand and
// is held against the real parser by tests and fuzzing in the test module.
package metrics
