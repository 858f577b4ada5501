// Package controller decides when to decide and on whom: it watches Deployments and their pods, has the signals read
// once a tick, asks policy.Decide about every Deployment that opted in, writes the scale subresource, and tells what it did.
//
// A tick is one pass over all targets (the Deployments that opted in):
//
//	read     one query per signal for all targets at once          query.go
//	observe  pods by ownership, the samples beside them            observe.go
//	         how many more fit on the nodes, other autoscalers     ledger.go, rivals.go
//	decide   policy.Decide                                         tick.go
//	contend  who gets the places that several want                 contend.go
//	write    one JSON Patch, if the number is to change            writes.go, scale.go
//	report   one Snapshot, from which all else is rendered         snapshot.go
//
// The loop alone owns what is remembered of a target: what it asks for (asked.go), what was seen and decided (target.go), and
// what became of its writes (settle.go). Writes run beside the loop; a target is left alone
// until its write has come back and can be seen in the cache.
package controller
