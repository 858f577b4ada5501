package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// runReplay decides again from what was recorded and compares.
func runReplay(cmd *cobra.Command, format outputFormat, path string) error {
	list, bare, err := readRecording(cmd.InOrStdin(), path)
	if err != nil {
		return err
	}
	if bare != nil {
		e := &explanation{Source: fromHere, Notes: []string{}, Story: explain.Of(bare), Input: bare}
		return e.show(cmd.OutOrStdout(), format)
	}
	r := replay(list)
	if format != tableOutput {
		err = printValue(cmd.OutOrStdout(), format, r)
	} else {
		err = r.print(cmd.OutOrStdout())
	}
	if err == nil && len(r.Differences) > 0 {
		err = fmt.Errorf("%d of %d decisions replay to another outcome: another version of gpuscaler made them, or the file was edited", len(r.Differences), r.Decisions)
	}
	return err
}

// replayed is what came of decisions that were made again.
type replayed struct {
	// Decisions were made again, Same of them with the same outcome. Skipped had no input: annotations that let nothing be decided.
	Decisions   int          `json:"decisions"`
	Same        int          `json:"same"`
	Skipped     int          `json:"skipped"`
	Differences []difference `json:"differences"`
}

// difference is one decision that came out differently.
type difference struct {
	// Position counts from 1.
	Position int       `json:"position"`
	Time     time.Time `json:"time"`
	What     []string  `json:"what"`
}

// replay decides again.
func replay(list []recorded) replayed {
	r := replayed{Differences: []difference{}}
	for i, one := range list {
		if one.Input == nil {
			r.Skipped++
			continue
		}
		r.Decisions++
		d, _ := one.Input.Decide()
		if what := compareOutcomes(one.Decision, d.Outcome()); len(what) > 0 {
			r.Differences = append(r.Differences, difference{i + 1, one.Input.Time.UTC(), what})
		} else {
			r.Same++
		}
	}
	return r
}

// print tells it to people.
func (r *replayed) print(out io.Writer) error {
	for _, d := range r.Differences {
		fmt.Fprintf(out, "decision %d, of %s:\n", d.Position, d.Time.Format(time.RFC3339))
		for _, what := range d.What {
			fmt.Fprintf(out, "  %s\n", what)
		}
	}
	text := fmt.Sprintf("%d of %d decisions replay to the same outcome", r.Same, r.Decisions)
	if r.Skipped > 0 {
		text += fmt.Sprintf("; %d had no input, as nothing was decided from readings", r.Skipped)
	}
	if _, err := fmt.Fprintln(out, text); err != nil {
		return fmt.Errorf("printing the replay: %w", err)
	}
	return nil
}

// compareOutcomes returns where two outcomes differ as JSON, in words; none where they are the same to the byte.
func compareOutcomes(told, replayed any) []string {
	a, errA := generic(told)
	b, errB := generic(replayed)
	if err := errors.Join(errA, errB); err != nil {
		return []string{err.Error()}
	}
	var differences []string
	diff("", a, b, &differences)
	return differences
}

// generic is a value as JSON has it, with numbers as they are written.
func generic(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	err = decoder.Decode(&v)
	return v, err
}

// diff collects where two values differ.
func diff(path string, a, b any, to *[]string) {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		keys := slices.AppendSeq(slices.Collect(maps.Keys(x)), maps.Keys(y))
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			diff(strings.TrimPrefix(path+"."+key, "."), x[key], y[key], to)
		}
		return
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		for i := range x {
			diff(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], to)
		}
		return
	}
	told, _ := json.Marshal(a) // it was JSON a moment ago
	again, _ := json.Marshal(b)
	if !bytes.Equal(told, again) {
		*to = append(*to, fmt.Sprintf("%s: recorded %s, replayed %s", path, told, again))
	}
}
