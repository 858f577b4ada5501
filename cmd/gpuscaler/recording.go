package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gpuscaler/gpuscaler/policy"
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
