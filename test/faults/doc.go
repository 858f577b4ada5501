// Package faults breaks, one after the other, what the program lives on, and says what must happen then: see README.md for the matrix.
// All of it is in the tests, which run the built program between a real Prometheus and a real API server with something broken in the
// way.
//
// Each row of the matrix names a guard of the program. With -guards each row is played once more by a program that lacks it, and
// must fail.
package faults
