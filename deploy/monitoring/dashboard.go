// Package monitoring makes the Grafana dashboard beside it, dashboard.json, and checks the other manifests of the folder.
//
// The queries are in one table, so that tests can try each of them on what a controller really exposes.
package monitoring

import (
	"encoding/json"
	"fmt"
)

// Panel is a chart of the dashboard.
type Panel struct {
	Title, Description string
	// Type is Grafana's: timeseries, stat or state-timeline.
	Type string
	// Unit is Grafana's, empty for plain numbers.
	Unit string
	// Width is in columns, of which a row has 24.
	Width   int
	Queries []Query
}

// Query is one query of a panel, and how its series are called.
type Query struct {
	Expr, Legend string
	// Rare says that there is nothing to see while all is well.
	Rare bool
}

// Row is a row of panels under a title.
type Row struct {
	Title  string
	Panels []Panel
}

// ofWorkload selects what the variables of the dashboard choose.
const ofWorkload = `namespace=~"$namespace", workload=~"$workload"`

// name is how a workload is called in a legend.
const name = "{{namespace}}/{{workload}}"

// Rows are the dashboard. Series of a workload are merged over the controllers, of which one at a time has them.
func Rows() []Row {
	return []Row{
		{"Workloads", []Panel{
			{"Replicas", "What there is, and the bounds.", "timeseries", "", 12, []Query{
				{Expr: workloads("gpuscaler_current_replicas"), Legend: name + " current"},
				{Expr: workloads("gpuscaler_desired_replicas"), Legend: name + " desired"},
				{Expr: workloads("gpuscaler_spec_min_replicas"), Legend: name + " min"},
				{Expr: workloads("gpuscaler_spec_max_replicas"), Legend: name + " max"},
			}},
			{"Signals in percent of their target", "The average over the ready pods. Above 110 and below 90 replicas are changed, unless something holds them.", "timeseries", "percent", 12, []Query{
				{Expr: fmt.Sprintf("100 * max by (namespace, workload, signal) (gpuscaler_signal_value{%s} / gpuscaler_signal_target{%s})", ofWorkload, ofWorkload), Legend: name + " {{signal}}"},
			}},
			{"What holds", "The reason of the decision while it keeps the replicas from what the signals ask for.", "state-timeline", "", 12, []Query{
				{Expr: fmt.Sprintf("max by (namespace, workload, reason) (gpuscaler_held{%s}) == 1", ofWorkload), Legend: name + " {{reason}}", Rare: true},
			}},
			{"What Events tell of", "Whether or not it holds anything.", "state-timeline", "", 12, []Query{
				{Expr: fmt.Sprintf("max by (namespace, workload, reason) (gpuscaler_condition{%s}) == 1", ofWorkload), Legend: name + " {{reason}}", Rare: true},
			}},
			{"GPUs held", "By pods that serve, load, or should be Ready by now.", "timeseries", "", 8, []Query{
				{Expr: fmt.Sprintf("sum by (state) (rate(gpuscaler_gpu_seconds_total{%s}[$__rate_interval]))", ofWorkload), Legend: "{{state}}"},
			}},
			{"Pods read, by source", "Of which pods each signal was read at the last tick.", "timeseries", "", 8, []Query{
				{Expr: fmt.Sprintf("sum by (signal, source) (gpuscaler_signal_samples{%s})", ofWorkload), Legend: "{{signal}} from {{source}}"},
			}},
			{"Signals", "The average over the ready pods, in each signal's own unit.", "timeseries", "", 8, []Query{
				{Expr: fmt.Sprintf("max by (namespace, workload, signal) (gpuscaler_signal_value{%s})", ofWorkload), Legend: name + " {{signal}}"},
			}},
		}},
		{"Controller", []Panel{
			{"Leaders", "Exactly one process decides.", "stat", "", 3, []Query{{Expr: "sum(gpuscaler_leader)", Legend: "leaders"}}},
			{"Ticks missed in an hour", "Because the one before took too long.", "stat", "", 3, []Query{{Expr: "sum(increase(gpuscaler_ticks_missed_total[1h]))", Legend: "missed"}}},
			{"Panics in an hour", "Each left one workload alone for 10 minutes.", "stat", "", 3, []Query{{Expr: "sum(increase(gpuscaler_panics_total[1h]))", Legend: "panics"}}},
			{"Workloads not in sight", "The API server has not shown their last write yet, or they are not watched: nothing is written.", "stat", "", 3, []Query{
				{Expr: "max(gpuscaler_stale_workloads)", Legend: "workloads"},
			}},
			{"Startup of pods", "From their node to Ready, of the last six hours.", "timeseries", "s", 12, []Query{
				{Expr: `max by (quantile) (gpuscaler_startup_seconds{quantile=~"0.5|0.9"})`, Legend: "quantile {{quantile}}"},
			}},
			{"Decisions", "By reason.", "timeseries", "cps", 12, []Query{
				{Expr: "sum by (reason) (rate(gpuscaler_decisions_total[$__rate_interval]))", Legend: "{{reason}}"},
			}},
			{"Writes", "By what became of them. A conflict is a race that was lost; the next tick decides anew.", "timeseries", "cps", 12, []Query{
				{Expr: "sum by (result) (rate(gpuscaler_scale_writes_total[$__rate_interval]))", Legend: "{{result}}"},
			}},
			{"Duration of ticks and queries", "99 of 100 are shorter.", "timeseries", "s", 8, []Query{
				{Expr: quantile("gpuscaler_tick_duration_seconds"), Legend: "tick"},
				{Expr: quantile("gpuscaler_query_duration_seconds"), Legend: "query"},
			}},
			{"Samples refused", "By signal and why.", "timeseries", "cps", 8, []Query{
				{Expr: "sum by (signal, why) (rate(gpuscaler_samples_dropped_total[$__rate_interval]))", Legend: "{{signal}} {{why}}", Rare: true},
			}},
			{"Pods and agents asked", "Where signals are read past Prometheus.", "timeseries", "cps", 8, []Query{
				{Expr: "sum by (source, result) (rate(gpuscaler_scrapes_total[$__rate_interval]))", Legend: "{{source}} {{result}}", Rare: true},
			}},
		}},
	}
}

// workloads queries a gauge of workloads.
func workloads(metric string) string {
	return fmt.Sprintf("max by (namespace, workload) (%s{%s})", metric, ofWorkload)
}

// quantile queries the 99th percentile of a histogram.
func quantile(metric string) string {
	return fmt.Sprintf("histogram_quantile(0.99, sum by (le) (rate(%s_bucket[$__rate_interval])))", metric)
}

// Variables are the queries by which the choices of the dashboard are filled, by the variable's name. $namespace is any.
func Variables() map[string]string {
	return map[string]string{
		"namespace": "label_values(gpuscaler_current_replicas, namespace)",
		"workload":  `label_values(gpuscaler_current_replicas{namespace=~"$namespace"}, workload)`,
	}
}

// object is a JSON object.
type object map[string]any

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// Dashboard is the dashboard as Grafana imports it: JSON that ends with a newline, the same each time.
func Dashboard() ([]byte, error) {
	text, err := json.MarshalIndent(object{
		"title": "gpuscaler", "uid": "gpuscaler", "tags": []string{"gpuscaler"}, "schemaVersion": 39, "editable": true,
		"refresh": "30s", "time": object{"from": "now-6h", "to": "now"}, "timezone": "",
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
			choice("namespace"), choice("workload"),
		}},
		"panels": panels(),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the dashboard: %w", err)
	}
	return append(text, '\n'), nil
}

// choice is a variable of several values.
func choice(name string) object {
	query := Variables()[name]
	return object{
		"name": name, "label": name, "type": "query", "datasource": datasource, "definition": query,
		"query":      object{"query": query, "refId": name},
		"includeAll": true, "allValue": ".*", "multi": true, "refresh": 2, "sort": 1,
		"current": object{"text": "All", "value": "$__all"},
	}
}

// height is that of a panel, in Grafana's units.
const height = 8

// panels lays the rows out.
func panels() []object {
	var list []object
	x, y := 0, 0
	add := func(p object, width, high int) {
		if x+width > 24 {
			x, y = 0, y+height
		}
		p["id"], p["gridPos"] = len(list)+1, object{"x": x, "y": y, "w": width, "h": high}
		list = append(list, p)
		x += width
	}
	for _, row := range Rows() {
		add(object{"type": "row", "title": row.Title, "collapsed": false, "panels": []object{}}, 24, 1)
		x, y = 0, y+1
		for _, p := range row.Panels {
			add(p.object(), p.Width, height)
		}
		x, y = 0, y+height
	}
	return list
}

// object is a panel without its place.
func (p *Panel) object() object {
	targets := make([]object, len(p.Queries))
	for i, q := range p.Queries {
		targets[i] = object{"refId": string(rune('A' + i)), "datasource": datasource, "expr": q.Expr, "legendFormat": q.Legend}
		if p.Type == "stat" {
			targets[i]["instant"] = true
		}
	}
	return object{
		"type": p.Type, "title": p.Title, "description": p.Description, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit(), "min": 0}, "overrides": []object{}},
		"options":     object{},
	}
}

// unit is Grafana's name of the unit.
func (p *Panel) unit() string {
	if p.Unit == "" {
		return "short"
	}
	return p.Unit
}
