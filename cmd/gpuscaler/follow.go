package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/controller"
)

// follower shows one Snapshot after the other.
type follower struct {
	out    io.Writer
	format outputFormat
	// screen is where a live table is drawn, nil if there is no terminal: then only what changes is printed.
	screen *screen
	paint  func(*row, string) string
	// nothing is what to say while there is no workload.
	nothing string

	shown map[string]row
	began bool
}

// newFollower shows Snapshots there, live if it is a terminal.
func newFollower(out io.Writer, format outputFormat, nothing string) *follower {
	f := &follower{out: out, format: format, nothing: nothing, paint: paintFor(out), shown: map[string]row{}}
	if format == tableOutput && isTerminal(out) {
		f.screen = newScreen(out)
	}
	return f
}

// logTo returns where to log so that lines do not tear the live table apart.
func (f *follower) logTo(errOut io.Writer) io.Writer {
	if f.screen != nil {
		return f.screen
	}
	return errOut
}

// follow shows each new Snapshot until the context ends.
func (f *follower) follow(ctx context.Context, latest func() *controller.Snapshot) error {
	if f.screen != nil {
		f.screen.show([]string{"reading the cluster…"})
	}
	const look = 50 * time.Millisecond // below what anyone sees; looking costs one atomic load
	tick := time.NewTicker(look)
	defer tick.Stop()
	for last := latest(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s := latest(); s != last {
			last = s
			if err := f.show(s); err != nil {
				return err
			}
		}
	}
}

// show shows a Snapshot.
func (f *follower) show(s *controller.Snapshot) error {
	rows := rowsOf(s)
	if f.screen != nil {
		f.draw(s.Time, rows)
		return nil
	}
	changed, gone := f.changes(rows)
	if f.began && len(changed) == 0 && len(gone) == 0 {
		return nil
	}
	f.began = true
	if f.format != tableOutput {
		return f.value(controller.ReportOf(s))
	}
	_, err := fmt.Fprint(f.out, f.block(s.Time, changed, gone))
	return err
}

// draw shows everything on the terminal.
func (f *follower) draw(at time.Time, rows []row) {
	width, _ := f.screen.size()
	lines := []string{cut(fmt.Sprintf("%s  %s; Ctrl-C ends", at.Format(time.TimeOnly), count(len(rows), "workload")), width), ""}
	if len(rows) == 0 {
		lines = append(lines, cut(f.nothing, width))
	} else {
		lines = append(lines, tableOf(rows, width, f.paint)...)
	}
	f.screen.show(lines)
}

// block is what is appended where there is no terminal.
func (f *follower) block(at time.Time, changed []row, gone []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", at.UTC().Format(time.RFC3339))
	if len(changed) > 0 {
		fmt.Fprintln(&b, strings.Join(tableOf(changed, 0, unpainted), "\n"))
	}
	for _, key := range gone {
		fmt.Fprintf(&b, "%s is gone, or no longer asks to be scaled\n", key)
	}
	if len(f.shown) == 0 {
		fmt.Fprintln(&b, f.nothing)
	}
	return b.String()
}

// changes returns the rows in which a number or the reason has changed, and the workloads that are gone. Readings change
// all the time and are no change.
func (f *follower) changes(rows []row) (changed []row, gone []string) {
	present := map[string]bool{}
	for _, r := range rows {
		key := r.namespace + "/" + r.name
		present[key] = true
		old, known := f.shown[key]
		if !known || old.current != r.current || old.desired != r.desired || old.reason != r.reason {
			changed = append(changed, r)
		}
		f.shown[key] = r
	}
	for key := range f.shown {
		if !present[key] {
			gone = append(gone, key)
			delete(f.shown, key)
		}
	}
	return changed, gone
}

// value prints a report: JSON a line each, YAML a document each.
func (f *follower) value(report controller.Report) error {
	if f.format == jsonOutput {
		return json.NewEncoder(f.out).Encode(report)
	}
	if _, err := fmt.Fprintln(f.out, "---"); err != nil {
		return err
	}
	return printValue(f.out, f.format, report)
}
