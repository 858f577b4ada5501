// Package policy decides how many replicas a Deployment should have. It is a pure function of values: no clock, no I/O, no logger,
// no goroutine, no Kubernetes, and only the standard library.
//
//	func Decide(spec Spec, state State, seen Observation, now time.Time) (Decision, State)
//
// A Spec is what is asked: the annotations, read by Parse. A State is what is remembered: recent recommendations and recent changes. An
// Observation is what is seen: the pods and the signals, dated. The same values give the same Decision, so the running controller,
// plan and simulate cannot disagree.
//
// # The stages
//
// A Decision goes through five stages and keeps the number, the reason and the time of each:
//
//	recommended   what the signals ask for; with several the largest wins
//	guarded       clipped to the floor and the ceiling that the safety rules set
//	stabilized    held by the stabilization windows
//	limited       within the budgets of the scaling policies, clipped to floor and ceiling again
//	bounded       within minimum and maximum
//
// The reason of the Decision is that of the last stage that changed the number. If none did, it is the first stage's, which says why
// the signals ask for no change.
//
// # What is the HPA's
//
// Averages, ratios, tolerance, missing pods, windows and policies are those of the HorizontalPodAutoscaler of Kubernetes 1.37, number by
// number: readings in whole thousandths, a truncated mean, a float64 ratio times the count, rounded up. A window or a period counts an
// entry while it is strictly younger. An empty State is seeded with the current replicas, so that nothing is lowered before a full
// window has been seen. Replicas outside the bounds jump to the bound, which counts against the budgets and is no recommendation.
// test/conformance runs the HPA's own controller beside Decide and wants the same replicas tick by tick.
//
// # What is not the HPA's
//
// Missing is not zero. Fewer than half of the ready pods with samples, or one of several signals missing: nothing is lowered. No sample at
// all, or a reply that failed, was refused or is partial: nothing is changed, and nothing is recorded in the windows.
//
// A gap starts the window anew. After a stretch without trustworthy data that is longer than a sample may be old and longer than two
// ticks, nothing is lowered before a full scale-down window of good data has been seen.
//
// Scale events are kept as long as any policy of either direction looks at them. A write that failed is no scale event.
//
// Loading pods are capacity on its way (fleet.go). How long a pod takes from its node to Ready is learned from the Deployment's own pods:
// the 90th percentile of the last 32. Until one and a half times that, a pod is credited at no load when raising; after it, it is overdue, and
// overdue pods are answered with others one at a time. A raise on GPU utilization waits for the pods of the last one and for samples that show
// them at work, because a busy GPU cannot show how much more there is to do. A pod that ceases to be Ready keeps its last sample for as long
// as samples count: overload does not erase its own evidence.
//
// Unschedulable pods are no capacity (pending.go). A raise stops at what is placed, what the nodes can take now, and what may wait. What
// waits is given back when the placed pods have been enough for 30 s.
//
// A crash loop is not fed, and a rollout neither raises nor lowers by itself: its load is divided by spec.replicas.
//
// Raises that have no effect are told, and stopped where that was asked for (response.go).
//
// Others' hands are seen (hands.go). A person's change is a floor or a ceiling for a while, and a person's zero stays zero. A reset by an apply is
// undone at once; whoever resets three times in an hour is left alone for an hour.
//
// A stretch in which nobody decided is a gap. A State that was written down and read back continues its windows and budgets, so that a new
// leader does as the old one would have.
//
// Zero is left for work that the activation signal shows, and reached when it and all other signals, on every pod, have shown none (idle.go).
//
// A backlog is not a rate (backlog.go, stall.go). An empty queue lowers only to what the signals beside it say that fewer replicas carry. A rate
// of zero on a pod that served a moment ago is missing. Requests that wait for two minutes without a token are a hang: that pod counts for
// nothing.
//
// Steps ask for a change while a signal is in a band. A band that fired is answered again only by a sample taken after the pods it
// brought are ready, gone, overdue or unschedulable.
//
// A schedule changes the bounds by time. A maximum that it lowers is approached by the scale-down policies; an edited one is a jump.
package policy
