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
// Steps ask for a change while a signal is in a band. A band that fired is answered again only by a sample taken after the pods it
// brought are ready.
//
// A schedule changes the bounds by time. A maximum that it lowers is approached by the scale-down policies; an edited one is a jump.
package policy
