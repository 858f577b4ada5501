package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// The sources of an explanation.
const (
	fromController = "controller"
	fromHere       = "computed"
)

// explanation is what explain prints.
type explanation struct {
	// Namespace and Name are empty where a recorded input does not tell them.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Source is whose decision it is: the running controller's, or one computed here.
	Source string `json:"source"`
	// Notes are what is to be known of it, in words.
	Notes []string `json:"notes"`
	explain.Story
	// Input is what it was made from, so that the explanation can be replayed; nil if nothing was decided.
	Input *policy.Input `json:"input,omitempty"`
}

// explain tells the present decision.
func (o *explainOptions) explain(cmd *cobra.Command, g *globals, c *cluster) error {
	ctx, errOut := cmd.Context(), cmd.ErrOrStderr()
	fmt.Fprintf(errOut, "Looking at %s of %s\n", o.scope(c), c.describe())
	e, err := o.told(ctx, c)
	if err != nil {
		o.silent = err
		if e, err = o.computed(ctx, g, c, errOut); err != nil {
			return err
		}
	}
	return e.show(cmd.OutOrStdout(), g.output)
}

// ask fetches what the running controller keeps of the Deployment's past.
func (o *explainOptions) ask(ctx context.Context, c *cluster, since time.Duration) (controller.History, error) {
	var h controller.History
	params := map[string]string{"since": since.String()}
	err := askController(ctx, c, o.controllerURL, params, &h, "api/v1/workloads", c.namespace, o.deployment, "history")
	return h, err
}

// told explains the last decision of the running controller.
func (o *explainOptions) told(ctx context.Context, c *cluster) (*explanation, error) {
	h, err := o.ask(ctx, c, time.Second)
	switch {
	case err != nil:
		return nil, err
	case h.Latest == nil:
		return nil, fmt.Errorf("the controller at %s has decided nothing about it yet", o.controllerURL)
	}
	e := explanationOf(&h, fromController)
	e.Notes = append([]string{fmt.Sprintf("decided by the running controller at %s", o.controllerURL)}, e.Notes...)
	return e, nil
}

// explanationOf explains the latest decision of a History. Where the same input leads to another outcome here, that which was told counts.
func explanationOf(h *controller.History, source string) *explanation {
	latest := h.Latest
	e := &explanation{Namespace: h.Namespace, Name: h.Name, Source: source, Notes: []string{}, Input: latest.Input}
	if latest.Input == nil {
		e.Story = explain.Told(latest.Decision, latest.Last)
		e.Notes = append(e.Notes, "nothing was decided from readings, so nothing can be tried: `gpuscaler check` tells what is wrong with annotations")
		return e
	}
	e.Story = explain.Of(latest.Input)
	if differences := compareOutcomes(latest.Decision, e.Decision); len(differences) > 0 {
		e.Story = explain.Told(latest.Decision, latest.Input.Time)
		e.Notes = append(e.Notes, fmt.Sprintf("the controller is another version than this program (%s), which would decide otherwise (%s): its numbers are shown, and what would change them is not known",
			readVersion().Version, shortest(differences)))
	}
	return e
}

// shortest is the one that is read most easily.
func shortest(texts []string) string {
	return slices.MinFunc(texts, func(a, b string) int { return len(a) - len(b) })
}

// computed makes the decision here, as plan does, and explains it.
func (o *explainOptions) computed(ctx context.Context, g *globals, c *cluster, errOut io.Writer) (*explanation, error) {
	scaler, s, err := o.scaler(ctx, g, c, errOut, errOut)
	if err != nil {
		return nil, err
	}
	snapshot, remembered, err := o.first(ctx, scaler, s, c, errOut)
	if err != nil {
		return nil, err
	}
	w := snapshot.Find(c.namespace, o.deployment)
	if w == nil {
		return nil, fmt.Errorf("the Deployment %q in namespace %q is gone or does not ask to be scaled any more", o.deployment, c.namespace)
	}
	h := w.History(time.Time{})
	if h.Latest == nil {
		h.Latest = &controller.Record{Decision: w.Decision.Outcome(), Last: snapshot.Time, Ticks: 1}
	}
	e := explanationOf(&h, fromHere)
	e.Notes = append([]string{remembered}, e.Notes...)
	if w.Note != "" || len(w.Problems) > 0 {
		e.Notes = append(e.Notes, oneLine(w.Message()))
	}
	dateSignals(ctx, s, e)
	return e, nil
}

// dateSignals fetches when the samples were taken, where the readings do not tell. What cannot be fetched stays unknown.
func dateSignals(ctx context.Context, s *source, e *explanation) {
	for i := range e.Signals {
		signal := &e.Signals[i]
		if _, builtin := signal.Signal.Info(); !builtin || signal.Sampled == 0 || signal.PerWorkload || !signal.Oldest.IsZero() {
			continue
		}
		times, err := s.ReadTimes(ctx, signal.Signal, []string{e.Namespace})
		if err != nil || times.Pod == nil {
			continue
		}
		signal.Date(func(pod string) time.Time {
			sample, _ := times.Pod(e.Namespace, pod)
			// As in the controller: what is younger than the decision or too old is the time of another sample than the one that was read.
			if age := e.Time.Sub(sample.Time); age < 0 || age.Seconds() > signal.MaxAge {
				return time.Time{}
			}
			return sample.Time
		})
	}
}
