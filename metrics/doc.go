// Package metrics says what is true: it turns the series of a Prometheus server, or the pages that Prometheus would
// scrape, into the signals that package policy decides on. It reads; it never decides, and it never invents a value.
// What it cannot read is missing.
//
// # From a series to a signal
//
// The way of one sample through Prometheus, with the file in which each step stands:
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
// # From a page to a signal
//
// The way of one sample that is read straight from a pod, or from the NVML agent on its node:
//
//  1. The same table. What a node's exporters say about pods (DCGM, the agent) is not looked for on a pod's own page,
//     and the agent's page is read for nothing else (plan.go).
//  2. Direct.Read (direct.go, directtarget.go) chooses which pods of a target are asked in this tick, and waits for a
//     slot (trial.go): who fails is asked again less and less often, and takes no place from those who answer.
//  3. The scraper (scrape.go) asks and distrusts the reply: address, status, content type, encoding, sizes, deadline.
//  4. The page (exposition.go, page.go, series.go) is read line by line. A series is taken apart when it is first seen only; from
//     then on its text is compared with what stood there the time before. Nothing changes before the end was read.
//  5. The evaluation (evaluate.go, window.go, bucket.go) makes gauges, rates and percentiles of it, one for each GPU or engine,
//     from the first source that has samples.
//  6. The same gatherer checks and combines them, with what the agents said (directagent.go) as one source more.
//
// A failed scrape is no error but a pod without a sample: missing at once, so that a Prometheus can step in.
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
// # Traps of reading directly
//
//   - A page that breaks off looks like a smaller page. Its length, its last line feed or its "# EOF" tells
//     (expositionReader.next), and nothing of a page that failed is kept (reading.commit).
//   - A counter that falls was restarted: it counts from 0. A label set that was not there before counts from its first
//     sight, since nobody knows when it was counted. Resets are looked for from page to page and not between the ends
//     of a rate, so that no restart hides (series.set).
//   - A rate is one of each series and merged afterwards, as in max by (rate()). The rate of the largest of several
//     series would be 0 for as long as the largest is not the one that moves (evaluation.parts).
//   - The percentile of a histogram is that of all requests since the server's start, unless buckets are subtracted.
//   - Zero pods asked is not zero pods failed: who finds no slot keeps what it said, until that is too old.
//   - A pod's status, from which its address comes, is written by a node. Link-local addresses are refused: a cloud's
//     metadata service is one. So are redirects, which lead anywhere (scraper.refuses, checkPage).
//   - trtllm-serve answers /metrics with JSON and 200; its metrics are at /prometheus/metrics (checkPage).
//   - Clocks of two nodes are not compared. An agent tells its own time on each page, and the age of a sample is the
//     difference to that (directAgent.evaluate). A page's sample without a time of its own is of when it was asked for.
//   - Half of the window of a rate is delay: 15 s here, a minute through Prometheus with its scrapes each 30 s.
//   - An agent's mean that is shorter than the tick leaves out what happened in between; one that is longer is late
//     (agentMean). Through Prometheus the longest is read, since a scrape interval is not known.
//
// # What it does not tell
//
// A pod that runs several servers on several ports with equal labels is seen as its busiest server. A latency over
// several engines is that of all their requests together. TGI's tokens are counted when a request ends. A pod whose
// preferred source exists but is broken falls back to no other source: `or` in the query has left it out already.
// Sixteen pods of a target are asked in a tick. Of one with more pods than can be asked within the maximum sample age,
// 288 at an interval of 5 s, some are always without a sample.
//
// # Custom queries
//
// Annotations name queries, they never contain any: a query could read any namespace. The administrator's expressions
// (queries.go) are bound to the workload's namespace by inserting a matcher into every selector (inject.go), without
// Prometheus' parser, which would bring its whole module along. The inserter refuses what it does not understand and
// is held against the real parser by tests and fuzzing in the test module.
package metrics
