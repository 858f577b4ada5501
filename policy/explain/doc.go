// Package explain tells the story of one decision: what was read, what each stage made of it, what holds it and until when, and the
// smallest changes that would change the outcome. The latter are not reckoned but found, by asking policy.Decide about inputs that
// differ in one thing and are then held tick after tick.
//
//	story := explain.Of(&input)
//
// The package is a pure function of a policy.Input: no clock, no I/O, no goroutine.
package explain
