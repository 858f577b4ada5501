package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The processes that are told apart.
const (
	ControlPlane = "control plane"
	Scaler       = "scaler"
	Adapter      = "adapter"
	Prometheus   = "Prometheus"
	Fleet        = "fleet"
)

// Idle is the arm without a scaler: what the control plane takes by itself.
const Idle = "idle"

// Markdown is all tables. Deployments says how many of them an arm scales.
func (rs Records) Markdown(deployments int) string {
	arms := rs.distinct(func(r Record) (string, bool) { return r.Arm, r.Arm != Idle })
	slices.Sort(arms)
	var b strings.Builder
	rs.reactions(&b, arms)
	rs.costs(&b, arms, Rest, fmt.Sprintf("At rest: %d Deployments, nothing changes", deployments))
	rs.costs(&b, arms, Steps, "While each Deployment steps once")
	rs.requests(&b, arms)
	rs.noise(&b, arms)
	rs.outages(&b, arms)
	return b.String()
}

// table writes a heading and the rows, unless there are none.
func table(b *strings.Builder, title string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	line := func(cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	fmt.Fprintf(b, "\n#### %s\n\n", title)
	line(head)
	fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(head)))
	for _, row := range rows {
		line(row)
	}
}

func (rs Records) reactions(b *strings.Builder, arms []string) {
	var rows [][]string
	for _, arm := range arms {
		took, missed := rs.pick(arm, Steps, Reaction, ""), Sum(rs.pick(arm, Steps, Missed, ""))
		if len(took) == 0 && missed == 0 {
			continue
		}
		row := []string{arm, fmt.Sprint(len(took) + int(missed))}
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			row = append(row, seconds(Quantile(took, q)))
		}
		rows = append(rows, append(row, fmt.Sprint(missed)))
	}
	table(b, "Reaction: from the step of load to the write at the API server",
		[]string{"arm", "steps", "p50", "p90", "p99", "max", "never"}, rows)
}

// costs are what an arm takes in a phase; of the control plane that is what it takes beyond an idle one.
func (rs Records) costs(b *strings.Builder, arms []string, phase, title string) {
	var rows [][]string
	idle := 1000 * rs.perSecond(Idle, Rest, CPU, ControlPlane)
	for _, arm := range arms {
		if len(rs.pick(arm, phase, Seconds, "")) == 0 {
			continue
		}
		cpu := func(process string) float64 { return 1000 * rs.perSecond(arm, phase, CPU, process) }
		source := Adapter
		if len(rs.pick(arm, phase, CPU, Prometheus)) > 0 {
			source = Prometheus
		}
		metrics, memory := "–", "–"
		if len(rs.pick(arm, phase, CPU, source)) > 0 {
			metrics = fmt.Sprintf("%s (%s)", whole(cpu(source)), source)
			memory = mebibytes(rs.pick(arm, phase, Resident, source))
		} else {
			source = ""
		}
		sum := cpu(Scaler) + cpu(ControlPlane) - idle
		if source != "" {
			sum += cpu(source)
		}
		rows = append(rows, []string{
			arm,
			whole(60 * rs.perSecond(arm, phase, Requests, "")),
			whole(60 * (rs.perSecond(arm, phase, EtcdWrites, "") - rs.perSecond(Idle, Rest, EtcdWrites, ""))),
			whole(cpu(Scaler)), metrics, whole(cpu(ControlPlane) - idle), whole(sum),
			mebibytes(rs.pick(arm, phase, Resident, Scaler)), memory,
		})
	}
	table(b, title, []string{
		"arm", "API requests/min", "etcd writes/min over idle", "scaler, CPU ms/s", "source of metrics, CPU ms/s",
		"control plane over idle, CPU ms/s", "all, CPU ms/s", "scaler, RSS", "source, RSS",
	}, rows)
}

// requests are what the API server is asked at rest.
func (rs Records) requests(b *strings.Builder, arms []string) {
	kinds := rs.distinct(func(r Record) (string, bool) {
		return r.Subject, r.Phase == Rest && r.Measure == Requests && r.Value > 0
	})
	slices.Sort(kinds)
	var rows [][]string
	for _, kind := range kinds {
		row := []string{"`" + kind + "`"}
		for _, arm := range arms {
			row = append(row, fmt.Sprintf("%.1f", 60*rs.perSecond(arm, Rest, Requests, kind)))
		}
		rows = append(rows, row)
	}
	table(b, "Requests to the API server at rest, per minute", append([]string{"request"}, arms...), rows)
}

func (rs Records) noise(b *strings.Builder, arms []string) {
	var rows [][]string
	for _, arm := range arms {
		if len(rs.pick(arm, Noise, Seconds, "")) > 0 {
			rows = append(rows, []string{
				arm, fmt.Sprintf("%.1f", 60*rs.perSecond(arm, Noise, Moves, "")), fmt.Sprintf("%.1f", 60*rs.perSecond(arm, Noise, Reversed, "")),
				whole(60 * rs.perSecond(arm, Noise, Requests, "")),
			})
		}
	}
	table(b, "Noise around a level load", []string{"arm", "moves/min", "direction changes/min", "API requests/min"}, rows)
}

func (rs Records) outages(b *strings.Builder, arms []string) {
	phases := rs.distinct(func(r Record) (string, bool) { return r.Phase, strings.HasPrefix(r.Phase, Outage) })
	var rows [][]string
	for _, phase := range phases {
		for _, arm := range arms {
			wrong := rs.pick(arm, phase, WrongMoves, "")
			if len(wrong) == 0 {
				continue
			}
			late, early := rs.pick(arm, phase, CatchUp, ""), rs.pick(arm, phase, Reaction, "")
			rows = append(rows, []string{
				strings.TrimPrefix(phase, Outage), arm, fmt.Sprint(len(wrong)), fmt.Sprint(Sum(wrong)), fmt.Sprint(len(early)),
				seconds(Quantile(late, 0.5)), seconds(Quantile(late, 1)), fmt.Sprint(Sum(rs.pick(arm, phase, Missed, ""))),
			})
		}
	}
	table(b, "Outage of the metrics, while half of the loads rise", []string{
		"metrics", "arm", "Deployments", "wrong moves", "raised during it", "raised after it, p50", "max", "never",
	}, rows)
}

// seconds prints a time, a dash for none.
func seconds(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.2f s", v)
}

// whole prints a number without a fraction, and none as -0.
func whole(v float64) string { return strconv.Itoa(int(math.Round(v))) }

func mebibytes(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", slices.Max(values)/(1<<20))
}
