// Package simulate replays scenarios: a Deployment whose signals follow a script (the open loop) or a load that a model of
// its servers makes them of (the closed loop), and what happens to it meanwhile. Every tick calls policy.Decide, as the
// controller does, and the pods follow what it decides. `gpuscaler simulate` reads scenarios from files.
//
//	result, err := simulate.Run(simulate.Scenario{Spec: spec, Start: start, Interval: 15 * time.Second, ...})
//
// The package is a pure function: no clock, no I/O, no goroutine. The same Scenario gives the same Result to the last bit.
//
// # A tick
//
// There is a tick at the start and after each interval, up to and including start + duration. At a tick of time t,
// in this order:
//
//   - Events of t, and of the time since the tick before, happen.
//   - Placement: pods without a GPU get one, the oldest first, while placed pods are fewer than gpus.
//   - Readiness: a pod placed at p is Ready if t >= p + startup, and its transition is stamped t.
//   - Observation: each signal has a sample on each ready pod that has a reading. All are stamped t.
//   - Decision: policy.Decide, with the State of the tick before.
//   - Write: unless the Deployment is in dry-run, spec.replicas changes at t. New pods are created at t, and placed at t
//     if there is room; pods too many are gone at t.
//
// So a pod of a write at t is Ready at t + startup or at the first tick after it, if a GPU was free, and never at t.
// A pod of a person's change at t with a startup of 0 is Ready at t.
//
// Pods that are too many go in this order: those without a GPU, then those not Ready, then Ready ones; of equals the
// youngest. The replicas of the start are Ready since long before it, whatever gpus says.
//
// # Signals
//
// A series has one reading a tick, and its last one repeats. Of several series the k-th is read by the k-th oldest living
// pod, Ready or not, but only Ready ones have samples. NaN, infinite and negative readings are passed on as they are:
// what they mean is for Decide to say. In the closed loop the rate of a tick holds until the next, and Ready
// pods are read as a scrape would: queue depth, running requests and KV cache as they are at t, utilization and rates over
// the time since the tick before, latencies over the last minute. There is no utilization and no rate in the tick in which a
// pod becomes Ready, and no latency if no request was served. GPU memory is not modelled.
//
// # What is seen
//
// A pod without a GPU is Unschedulable from its creation on; one with a GPU is Loading until it is Ready, and was Scheduled when
// it got it. Of the pods of the start it is not known when that was, and they have Served since long. Started are the
// times from GPU to Ready of the pods that became Ready at this tick.
//
// Free is gpus less the placed pods, and none where more are placed than that; it is known while there is a limit. What is
// Lacking then is nvidia.com/gpu. Pods are never Refused. Rollout is true while pods live that are to be replaced.
//
// The Hand is the creator's until somebody changes spec.replicas, then that of the last change, at its time. Whoever sets
// them to what they are leaves no trace.
//
// # Events
//
//   - replicas: spec.replicas is changed by a person, through kubectl.
//   - reset: spec.replicas is changed by an apply; manager names its field manager, which is helm otherwise.
//   - gpus: fewer or more pods can be placed. Those that are placed stay, also if they are more. After its time the number
//     before is back.
//   - outage: all readings have the problem NoData. What is read goes on: after it, readings are those of their time.
//   - conflict: there is a Rival of that name, and the Deployment is Frozen for Conflict unless nothing is written anyway.
//   - restart: the State is written as JSON and read back.
//   - crash-loop: pods created while it lasts hold their GPUs and do not become Ready. They restart a second after they were
//     placed, 10 s after that, then after 20 s and so on up to 5 minutes, as the kubelet has it. When it ends they start up
//     anew, and restart no more. CrashLoop is seen when all placed pods of the newest template have restarted and crash: those
//     of a rollout, or, without one, all there are. One pod of the template that is Ready or may yet be is enough to end it.
//   - rollout: one pod more is created; when it is Ready, the oldest pod from before the rollout goes, and so on (maxSurge
//     1, maxUnavailable 0). Pods that are added meanwhile are of the new template. The pod beyond spec.replicas is not among
//     those that a Tick counts; it is observed as all others are, and holds a GPU.
//
// # Score
//
// A tick lasts until the next, the last one until start + duration. GPU-hours are the placed pods after the write, times
// that. A tick is over target if the value of any signal with a target is above it, tolerance or not; a tick without a value
// is not. Only changes that were decided and written are counted, and a reversal is one opposite in direction to the one
// before. What requests saw is told by package serving.
package simulate
