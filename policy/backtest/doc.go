// Package backtest replays a policy on what was recorded of a Deployment: Replay decides at each time as the controller did,
// and WhatIf lets the pods follow what a policy decides, so that another one can be tried on the same demand.
//
// The package is pure: no clock, no I/O. Recordings are read and written by the caller.
//
// # The recording
//
// A Recording has one row of readings per pod and signal, at Start, Start+Step and so on, and the number of replicas of each of
// these times. A pod is Ready from the row's first reading to its last, unless something recorded says better: see Gather.
//
// # Replay
//
// At each time the Observation is what the controller saw: the pods that were Ready, those on their way to it, and what was read
// of them. The replicas are those that really were. A change that came to what was decided, at once or within half a
// minute, was the decision's write. All else that the controller saw, such as nodes and hands, is not recorded and not known.
//
// # What if
//
// The demand of a time is what the ready pods read together: the mean of the readings times the pods that were Ready. It is
// shared evenly by the pods that another policy has Ready then, of which none reads more than the range of its signal has. Not
// shared are latencies and GPU memory, which do not fall in proportion: they are read as they were recorded.
//
// What the pods cannot show is not in the demand: what waits behind a GPU at 100 percent, and requests that were refused. A
// backlog that was worked off late would have been worked off earlier by more pods; here it is as long as it was.
package backtest
