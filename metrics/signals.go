package metrics

import (
	"fmt"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Within says how the samples of one pod become the pod's value.
type Within uint8

// How samples are combined within a pod.
const (
	Mean   Within = iota // over the pod's GPUs
	Sum                  // over the pod's engines
	Max                  // over the pod's engines
	oldest               // of timestamps: a pod is as fresh as its oldest part
)

// signalSpec is what this package knows of one signal: the limits of its values and where to find it.
type signalSpec struct {
	signal  policy.Signal
	within  Within
	limit   float64 // largest value that can be, in the signal's unit
	percent bool    // up to 5 % over the limit is clamped to it; counts and seconds have no such slack
	sources []Source
}

// Limits of signals that have no natural one. They are far above what one pod can do and far below what a broken
// exporter prints: 4294967295, 9223372036854775794 and the like.
const (
	maxRequests        = 1e7 // waiting or running in one pod
	maxTokensPerSecond = 1e8
	maxRequestsPerSec  = 1e7
	maxSeconds         = 1e6
)

// signalTable is the one table of signals: unit, combination and sources, in the order of the documentation.
var signalTable = []signalSpec{
	{signal: policy.GPUUtilization, within: Mean, limit: 100, percent: true, sources: gpuUtilization},
	{signal: policy.GPUMemory, within: Mean, limit: 100, percent: true, sources: gpuMemory},
	{signal: policy.TokensPerSecond, within: Sum, limit: maxTokensPerSecond, sources: tokensPerSecond},
	{signal: policy.RequestsPerSecond, within: Sum, limit: maxRequestsPerSec, sources: requestsPerSecond},
	{signal: policy.QueueDepth, within: Sum, limit: maxRequests, sources: queueDepth},
	{signal: policy.RunningRequests, within: Sum, limit: maxRequests, sources: runningRequests},
	{signal: policy.KVCache, within: Max, limit: 100, percent: true, sources: kvCache},
	{signal: policy.TTFTP95, within: Max, limit: maxSeconds, sources: ttft},
	{signal: policy.InterTokenP95, within: Max, limit: maxSeconds, sources: interToken},
	{signal: policy.QueueTimeP95, within: Max, limit: maxSeconds, sources: queueTime},
}

// specOf finds the table's line for a signal.
func specOf(signal policy.Signal) (signalSpec, error) {
	for i := range signalTable {
		if signalTable[i].signal == signal {
			return signalTable[i], nil
		}
	}
	return signalSpec{}, fmt.Errorf("%w: signal %q is none of the built-in ones; a custom signal is read with ReadQuery",
		ErrNoSource, signal)
}

// Sources lists where a built-in signal is looked for, in order: the first that has a sample for a pod answers for
// that pod. It is empty for a custom signal.
func Sources(signal policy.Signal) []Source {
	spec, err := specOf(signal)
	if err != nil {
		return nil
	}
	return append([]Source(nil), spec.sources...)
}
