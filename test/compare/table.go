package compare

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// writeCSV writes every result, a line each.
func writeCSV(w io.Writer, comparisons []comparison) error {
	out := csv.NewWriter(w)
	rows := [][]string{{
		"load", "startup_seconds", "hazard", "arm", "setting", "best",
		"slo_attainment", "ttft_p99_seconds", "gpu_hours", "peak_pods", "reversals",
	}}
	for i := range comparisons {
		c := &comparisons[i]
		for _, settings := range c.results {
			chosen := best(settings)
			for _, r := range settings {
				rows = append(rows, []string{
					c.cell.load.name, number(c.cell.startup.Seconds()), string(c.cell.hazard), r.arm, r.setting, strconv.FormatBool(r == chosen),
					number(r.attainment), number(r.ttftP99), number(r.gpuHours), number(r.peakPods), number(r.reversals),
				})
			}
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("writing the table as CSV: %w", err)
	}
	return nil
}

// number prints with six digits after the point at most.
func number(v float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v, 'f', 6, 64), "0"), ".")
}

// markdown is the verdicts and a table for each hazard.
func markdown(comparisons []comparison) string {
	var b strings.Builder
	b.WriteString(criterion(comparisons))
	b.WriteString(sums(comparisons))
	b.WriteString(fixed(comparisons))
	for _, h := range []hazard{calm, outage, shortage} {
		title := map[hazard]string{calm: "Nothing goes wrong", outage: "Three minutes without metrics", shortage: "Twenty minutes with four GPUs"}[h]
		fmt.Fprintf(&b, "\n### %s\n\n", title)
		b.WriteString("| load | startup | autoscaler | its best setting | SLO attainment | TTFT p99 | GPU-hours | peak pods | reversals |\n")
		b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
		for i := range comparisons {
			if comparisons[i].cell.hazard == h {
				b.WriteString(rows(&comparisons[i]))
			}
		}
	}
	return b.String()
}

// rows are the lines of one cell.
func rows(c *comparison) string {
	var b strings.Builder
	for _, settings := range c.results {
		r := best(settings)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.1f %% | %.1f s | %.2f | %.1f | %.1f |\n",
			c.cell.load.name, short(c.cell.startup), r.arm, r.setting, 100*r.attainment, r.ttftP99, r.gpuHours, r.peakPods, r.reversals)
	}
	return b.String()
}

// criterion tells in words where ours stands, and in which cells it loses.
func criterion(comparisons []comparison) string {
	var b strings.Builder
	literal, hindsight := judge(comparisons, chosen), judge(comparisons, every)
	fmt.Fprintf(&b, "Startup of %v and more, each rival at its best setting of the cell: %s.\n\n", slow, &literal)
	fmt.Fprintf(&b, "The same against every setting of every rival, so against somebody who knew the load beforehand: %s.\n", &hindsight)
	for _, v := range []struct {
		title string
		lost  []string
	}{{"Cells lost to a rival at its best setting", literal.lost}, {"Cells lost to any setting", hindsight.lost}} {
		if len(v.lost) > 0 {
			fmt.Fprintf(&b, "\n<details><summary>%s: %d</summary>\n\n", v.title, len(v.lost))
			for _, l := range v.lost {
				fmt.Fprintf(&b, "* %s\n", l)
			}
			b.WriteString("\n</details>\n")
		}
	}
	return b.String()
}

// sums is the mean over all loads and hazards, by startup time.
func sums(comparisons []comparison) string {
	var b strings.Builder
	b.WriteString("\n### All loads and hazards together\n\n| startup | autoscaler | SLO attainment | TTFT p99 | GPU-hours | peak pods | reversals |\n|---|---|---|---|---|---|---|\n")
	for _, startup := range startups {
		for arm := range comparisons[0].results {
			var sum outcome
			name, n := "", 0.0
			for i := range comparisons {
				if c := &comparisons[i]; c.cell.startup == startup {
					r := best(c.results[arm])
					sum.add(&r.outcome, 1)
					name, n = r.arm, n+1
				}
			}
			if n > 0 {
				fmt.Fprintf(&b, "| %s | %s | %.1f %% | %.1f s | %.2f | %.1f | %.1f |\n", short(startup), name,
					100*sum.attainment/n, sum.ttftP99/n, sum.gpuHours/n, sum.peakPods/n, sum.reversals/n)
			}
		}
	}
	return b.String()
}

// fixed is every setting over all cells in which startups are slow: what a user gets who chooses once, as ours does.
func fixed(comparisons []comparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### Every setting, over all cells with startups of %v and more\n\n", slow)
	b.WriteString("| autoscaler | setting | SLO attainment | GPU-hours | reversals | better than ours in both | worse in both |\n|---|---|---|---|---|---|---|\n")
	for arm, settings := range comparisons[0].results {
		for k := range settings {
			var sum outcome
			better, worse, n := 0, 0, 0.0
			for i := range comparisons {
				c := &comparisons[i]
				if c.cell.startup < slow {
					continue
				}
				own, r := &c.results[0][0].outcome, &c.results[arm][k].outcome
				sum.add(r, 1)
				n++
				if r.dominates(own) {
					better++
				}
				if own.dominates(r) {
					worse++
				}
			}
			if n > 0 {
				fmt.Fprintf(&b, "| %s | %s | %.1f %% | %.2f | %.1f | %d of %.0f | %d of %.0f |\n", settings[k].arm, settings[k].setting,
					100*sum.attainment/n, sum.gpuHours/n, sum.reversals/n, better, n, worse, n)
			}
		}
	}
	return b.String()
}
