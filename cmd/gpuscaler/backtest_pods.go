package main

import (
	"context"
	"fmt"
	"math"
	"regexp"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/past"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
)

// owners tells which pods of the past were the Deployment's. The API server knows no more of those that are gone.
func (r *recorder) owners(ctx context.Context) (func(pod string) bool, error) {
	rows, err := r.pods(ctx, metrics.OwnedPods, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		r.recording.Sources = append(r.recording.Sources, "pods: their owners as kube-state-metrics recorded them")
		return func(pod string) bool { _, known := rows[pod]; return known }, nil
	}
	// Kubernetes makes up names of these letters and digits: no vowels, and nothing that can be mistaken.
	const random = "[bcdfghjklmnpqrstvwxz2456789]"
	pattern := regexp.MustCompile("^" + regexp.QuoteMeta(r.recording.Name) + "-" + random + "{1,10}-" + random + "{5}$")
	r.recording.Sources = append(r.recording.Sources, fmt.Sprintf("pods: by their names, %s-REPLICASET-POD, because kube_pod_owner is not recorded", r.recording.Name))
	return pattern.MatchString, nil
}

// pods reads what is recorded of each pod.
func (r *recorder) pods(ctx context.Context, query metrics.Query, owned func(string) bool) (map[string]backtest.Row, error) {
	var all backtest.Signal
	key, read := r.query(query, owned)
	if err := r.Read(ctx, key, read, func(part *backtest.Signal, first int) { past.Append(&all, part, first) }); err != nil {
		return nil, err
	}
	return all.Pods, nil
}

// replicaSources are where spec.replicas of the past are looked for, the best first.
var replicaSources = []struct {
	name  string
	query metrics.Query
}{
	{"kube_deployment_spec_replicas of kube-state-metrics", metrics.SpecReplicas},
	{"gpuscaler_current_replicas of gpuscaler", metrics.CurrentReplicas},
}

// replicas reads the number of replicas of each time. Where it is not recorded, the Ready pods are counted.
func (r *recorder) replicas(ctx context.Context) error {
	for _, from := range replicaSources {
		var all backtest.Signal
		key, read := r.query(from.query, func(string) bool { return false })
		if err := r.Read(ctx, key, read, func(part *backtest.Signal, first int) { past.Append(&all, part, first) }); err != nil {
			return err
		}
		if all.Workload != nil {
			r.recording.Replicas = filled(all.Workload, r.Steps)
			r.recording.Sources = append(r.recording.Sources, "replicas: "+from.name)
			return nil
		}
	}
	r.recording.CountPods()
	r.recording.Sources = append(r.recording.Sources, "replicas: the pods that had samples are counted, because neither kube_deployment_spec_replicas nor gpuscaler_current_replicas is recorded; pods that were loading are missing among them, and zero cannot be told from missing data")
	return nil
}

// filled are the numbers of a row, each until the next one is known, and the first since the start.
func filled(row *backtest.Row, steps int) []int {
	numbers := make([]int, steps)
	last := -1
	for i, v := range row.Values {
		if n := float64(v); !math.IsNaN(n) {
			if last < 0 {
				for j := range row.From + i {
					numbers[j] = int(n)
				}
			}
			last = int(n)
		}
		numbers[row.From+i] = max(last, 0)
	}
	for i := row.From + len(row.Values); i < steps; i++ {
		numbers[i] = max(last, 0)
	}
	return numbers
}
