package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// recorded is one recorded decision as a file holds it. Decision is kept as it was written, so that nothing in it is overlooked.
type recorded struct {
	Input    *policy.Input   `json:"input"`
	Decision json.RawMessage `json:"decision"`
}

// recording is what a file may hold: the history that explain prints, one of its records, what explain prints of one decision, or only
// what a decision is made from.
type recording struct {
	Records []recorded `json:"records"`
	Latest  *recorded  `json:"latest"`
	recorded
	Spec *policy.Spec `json:"spec"`
}

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

// readRecording reads the recorded decisions of a file, or of standard input for "-"; or bare, what one is made from and nothing more.
func readRecording(in io.Reader, path string) (list []recorded, bare *policy.Input, err error) {
	name := "standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("reading --replay: %w", err)
		}
		defer file.Close()
		in, name = file, path
	}
	text, err := io.ReadAll(io.LimitReader(in, maxMemory+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	case len(text) > maxMemory:
		return nil, nil, fmt.Errorf("%s is over %d bytes: record a shorter --history", name, maxMemory)
	}
	if list, bare, err = parseRecording(text); err != nil {
		return nil, nil, fmt.Errorf("%s holds no recorded decisions: %w; `gpuscaler explain deployment/NAME --history 1h -o json` prints some", name, err)
	}
	return list, bare, nil
}

// parseRecording finds the decisions in a text.
func parseRecording(text []byte) (list []recorded, bare *policy.Input, err error) {
	var r recording
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, nil, fmt.Errorf("it is not JSON as explain prints it: %w", err)
	}
	list = r.Records
	if r.Latest != nil {
		list = append(list, *r.Latest)
	}
	switch {
	case r.Decision != nil:
		list = append(list, r.recorded)
	case r.Spec != nil:
		bare = &policy.Input{}
		return nil, bare, json.Unmarshal(text, bare)
	case len(list) == 0:
		return nil, nil, errors.New(`it has neither "records", nor "input" and "decision", nor "spec", "state" and "seen"`)
	}
	for i := range list {
		if list[i].Decision == nil {
			return nil, nil, fmt.Errorf(`record %d has no "decision"`, i+1)
		}
	}
	return list, nil, nil
}
