// Package sampler reads the GPUs of this node once a second and keeps what it read for the longest window.
//
// Each device has a goroutine of its own, so that one on which the driver hangs costs nobody else anything: no second
// call is made to it until the first returns. What is old is not shown: a series ends when its newest sample is older
// than 5 seconds.
package sampler
