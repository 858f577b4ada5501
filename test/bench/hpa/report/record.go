// Package report computes what the benchmark tells from what it measured: quantiles, reversals, wrong moves, the table and the CSV file.
// It does nothing but compute, so its tests need no control plane.
package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Record is one measurement.
type Record struct {
	Round int
	// Arm is what was measured, Phase what happened meanwhile: rest, steps, noise, or outage-KIND.
	Arm, Phase string
	// Measure is one of the constants, in the unit that its name ends with. Subject is a Deployment, a process or a kind of request.
	Measure, Subject string
	Value            float64
}

// What is measured. Counts have no unit.
const (
	// Seconds is how long the phase lasted, for the three that follow.
	Seconds    = "duration-seconds"
	Requests   = "requests"
	EtcdWrites = "etcd-writes"
	CPU        = "cpu-seconds"
	// Resident is the memory of a process at the end of the phase.
	Resident = "resident-bytes"
	// Reaction is from a step of load to the write at the API server; CatchUp from the end of an outage to the replicas that a step
	// during it asks for. A step that they do not follow within the time is a Missed one.
	Reaction = "reaction-seconds"
	CatchUp  = "catch-up-seconds"
	Missed   = "missed"
	// Moves are changes of replicas, Reversed those of them that undo the direction of the one before, WrongMoves those that lead
	// away from what the load needs.
	Moves      = "moves"
	Reversed   = "reversals"
	WrongMoves = "wrong-moves"
)

// Phases.
const (
	Rest   = "rest"
	Steps  = "steps"
	Noise  = "noise"
	Outage = "outage-"
)

// Records are the measurements of a run, in their order.
type Records []Record

// WriteCSV writes them, a line each.
func (rs Records) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"round", "arm", "phase", "measure", "subject", "value"}}
	for _, r := range rs {
		value := strconv.FormatFloat(r.Value, 'f', -1, 64)
		rows = append(rows, []string{strconv.Itoa(r.Round), r.Arm, r.Phase, r.Measure, r.Subject, value})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("writing the measurements as CSV: %w", err)
	}
	return nil
}

// pick returns the values of a measure, of one subject or with "" of all.
func (rs Records) pick(arm, phase, measure, subject string) []float64 {
	var values []float64
	for _, r := range rs {
		if r.Arm == arm && r.Phase == phase && r.Measure == measure && (subject == "" || r.Subject == subject) {
			values = append(values, r.Value)
		}
	}
	return values
}

// perSecond is the sum of a measure over all rounds by the time that it was measured for; 0 if it was not measured.
func (rs Records) perSecond(arm, phase, measure, subject string) float64 {
	seconds := Sum(rs.pick(arm, phase, Seconds, ""))
	if seconds == 0 {
		return 0
	}
	return Sum(rs.pick(arm, phase, measure, subject)) / seconds
}

// distinct returns the different values of a field, in the order in which they come.
func (rs Records) distinct(field func(Record) (value string, wanted bool)) []string {
	var seen []string
	for _, r := range rs {
		if v, ok := field(r); ok && !slices.Contains(seen, v) {
			seen = append(seen, v)
		}
	}
	return seen
}
