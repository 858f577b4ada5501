package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// simulationTable is the ticks of a simulation as lines of text. Ticks in which nothing changes are folded into one line.
type simulationTable struct {
	signals []policy.Signal
	lines   []simulationLine
	// widths are those of the columns.
	widths []int
	// last is the tick printed last, folded how many ticks after it were the same.
	last   []string
	folded int
}

// simulationLine is a time, and the columns of a tick or a note.
type simulationLine struct {
	at    string
	cells []string
	note  string
}

// printSimulation prints ticks and score. Lines are cut to width, if that is above 0.
func printSimulation(to io.Writer, result *simulate.Result, width int) error {
	out := bufio.NewWriter(to)
	first, last := result.Ticks[0].Time, result.Ticks[len(result.Ticks)-1].Time
	layout := "15:04:05"
	if first.YearDay() != last.YearDay() || first.Year() != last.Year() {
		layout = "01-02 15:04:05"
	}
	t := simulationTable{signals: signalColumns(result.Ticks)}
	t.header()
	for i := range result.Ticks {
		t.tick(&result.Ticks[i], layout)
	}
	t.unfold()
	fmt.Fprintf(out, "From %s, times in UTC. PODS are ready/loading/unschedulable,\n", first.Format(time.DateTime))
	fmt.Fprint(out, "STAGES recommended>guarded>stabilized>limited where they differ from DESIRED.\n\n")
	for i := range t.lines {
		fmt.Fprintln(out, cutLine(t.text(&t.lines[i]), width))
	}
	fmt.Fprintln(out)
	printScore(out, &result.Score)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the simulation: %w", err)
	}
	return nil
}

// signalColumns returns the signals of any tick, in order.
func signalColumns(ticks []simulate.Tick) []policy.Signal {
	found := map[policy.Signal]bool{}
	for i := range ticks {
		for s := range ticks[i].Signals {
			found[s] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (t *simulationTable) header() {
	cells := []string{"REPLICAS", "PODS"}
	for _, s := range t.signals {
		cells = append(cells, strings.ToUpper(string(s)))
	}
	t.add("TIME", append(cells, "STAGES", "DESIRED", "REASON"), "MESSAGE")
}

// tick adds a tick, unless it is like the one before and nothing happens.
func (t *simulationTable) tick(tick *simulate.Tick, layout string) {
	at, cells := tick.Time.Format(layout), t.cells(tick)
	if len(tick.Events) == 0 && tick.Desired == tick.Replicas && slices.Equal(cells, t.last) {
		t.folded++
		return
	}
	t.unfold()
	for _, e := range tick.Events {
		t.lines = append(t.lines, simulationLine{at: at, note: "* " + e})
	}
	t.add(at, cells, tick.Message)
	t.last = cells
}

// add adds a line with columns. The note is the last column.
func (t *simulationTable) add(at string, cells []string, note string) {
	for i, cell := range cells {
		if i == len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
	t.lines = append(t.lines, simulationLine{at, cells, note})
}

// unfold tells how many ticks were left out.
func (t *simulationTable) unfold() {
	if t.folded == 0 {
		return
	}
	note := "… 1 tick unchanged"
	if t.folded > 1 {
		note = fmt.Sprintf("… %d ticks unchanged", t.folded)
	}
	t.lines = append(t.lines, simulationLine{note: note})
	t.folded = 0
}

// cells are what is compared to tell whether anything changed: not the time, and not the message, which counts down.
func (t *simulationTable) cells(tick *simulate.Tick) []string {
	cells := []string{strconv.Itoa(tick.Replicas), fmt.Sprintf("%d/%d/%d", tick.Ready, tick.Loading, tick.Unschedulable)}
	for _, name := range t.signals {
		text := "-"
		if s, ok := tick.Signals[name]; ok && s.Value != nil {
			text = strconv.FormatFloat(*s.Value, 'f', 3, 64)
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		cells = append(cells, text)
	}
	return append(cells, stages([]int{tick.Recommended, tick.Guarded, tick.Stabilized, tick.Limited}, tick.Desired), strconv.Itoa(tick.Desired), string(tick.Reason))
}

// stages are the numbers on the way to the desired one, if they are not all that one.
func stages(numbers []int, desired int) string {
	if !slices.ContainsFunc(numbers, func(n int) bool { return n != desired }) {
		return ""
	}
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ">")
}

// text lays a line out.
func (t *simulationTable) text(l *simulationLine) string {
	const gap = "  "
	b := strings.Builder{}
	fmt.Fprintf(&b, "%-*s", utf8.RuneCountInString(t.lines[1].at), l.at)
	for i, cell := range l.cells {
		fmt.Fprintf(&b, "%s%-*s", gap, t.widths[i], cell)
	}
	b.WriteString(gap)
	b.WriteString(l.note)
	return strings.TrimRight(b.String(), " ")
}

// cutLine cuts a line to a width, if that is above 0.
func cutLine(line string, width int) string {
	if width < 1 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// printScore prints the numbers of a score, one a line.
func printScore(out io.Writer, s *simulate.Score) {
	rows := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(rows, "GPU-hours\t%.2f\n", s.GPUHours)
	fmt.Fprintf(rows, "changes\t%d up, %d down, %d reversals\n", s.ScaleUps, s.ScaleDowns, s.Reversals)
	fmt.Fprintf(rows, "over target\t%.2f min\n", s.MinutesOverTarget)
	if s.Score != nil {
		fmt.Fprintf(rows, "requests\t%d, %d completed\n", s.Requests, s.Completed)
		fmt.Fprintf(rows, "within SLO\t%.2f %%\n", 100*s.SLOAttainment)
		fmt.Fprintf(rows, "first token\t%.3f s median, %.3f s 99th percentile\n", s.TTFTP50, s.TTFTP99)
	}
	rows.Flush()
}

// terminalWidth is how wide the lines of a terminal are, 0 if it is none.
func terminalWidth(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok || !isTerminal(out) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
