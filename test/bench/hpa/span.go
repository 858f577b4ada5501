package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/bench/hpa/report"
)

// span is a stretch of time in which is counted what an arm takes.
type span struct {
	began    time.Time
	audit    int64
	revision float64
	used     map[string]usage
}

// begin begins one.
func (s *stage) begin(ctx context.Context) (sp span, err error) {
	if _, sp.audit, err = bed.ReadAudit(s.ready.Audit, s.audited); err != nil {
		return sp, err
	}
	s.audited = sp.audit
	if sp.revision, err = s.revision(ctx); err != nil {
		return sp, err
	}
	sp.used, err = s.used()
	sp.began = time.Now()
	return sp, err
}

// finish ends it and returns what was counted.
func (s *stage) finish(ctx context.Context, sp span, a *arm, phase string) (rs report.Records, err error) {
	used, err := s.used()
	if err != nil {
		return nil, err
	}
	lasted := time.Since(sp.began).Seconds()
	revision, err := s.revision(ctx)
	if err != nil {
		return nil, err
	}
	add := func(measure, subject string, value float64) {
		rs = append(rs, report.Record{Arm: a.name, Phase: phase, Measure: measure, Subject: subject, Value: value})
	}
	add(report.Seconds, "", lasted)
	add(report.EtcdWrites, "", revision-sp.revision)
	for process, now := range used {
		add(report.CPU, process, now.cpu-sp.used[process].cpu)
		add(report.Resident, process, now.resident)
	}
	events, _, err := bed.ReadAudit(s.ready.Audit, sp.audit)
	if err != nil {
		return nil, err
	}
	kinds := map[string]float64{}
	for _, e := range events {
		if e.User == a.user {
			kinds[kindOf(&e)]++
		}
	}
	for kind, n := range kinds {
		add(report.Requests, kind, n)
	}
	return rs, nil
}

// kindOf names the kind of a request.
func kindOf(e *bed.AuditEvent) string {
	for _, api := range []*metricsAPI{podMetrics, externalMetrics} {
		if strings.HasPrefix(e.URI, api.root()+"/") {
			return e.Verb + " " + api.group
		}
	}
	switch {
	case e.Resource == "":
		return e.Verb + " discovery"
	case e.Subresource != "":
		return e.Verb + " " + e.Resource + "/" + e.Subresource
	}
	return e.Verb + " " + e.Resource
}

// revision is etcd's: it grows by one with each write.
func (s *stage) revision(ctx context.Context) (float64, error) {
	list, err := s.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("asking for etcd's revision: %w", err)
	}
	return strconv.ParseFloat(list.ResourceVersion, 64)
}

// used is what each process has used so far.
func (s *stage) used() (map[string]usage, error) {
	used := map[string]usage{}
	for process, c := range map[string]*child{
		report.ControlPlane: s.cluster, report.Scaler: s.scaler, report.Adapter: s.adapter, report.Prometheus: s.prometheus,
	} {
		// The adapter has nothing to do where there is no HPA.
		if c == nil || process == report.Adapter && s.arm.tuning == nil {
			continue
		}
		u, err := usageOf(c.cmd.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("%w, of %s, which has ended: %w", err, process, c.failure())
		}
		used[process] = u
	}
	u, err := usageOf(os.Getpid())
	used[report.Fleet] = u
	return used, err
}

// written returns when the replicas of each Deployment were first written after a time, as the audit log has it from an offset on. It is
// an error if anybody but the arm has tried to.
func (s *stage) written(offset int64, after map[string]time.Time) (map[string]time.Time, error) {
	events, _, err := bed.ReadAudit(s.ready.Audit, offset)
	if err != nil {
		return nil, err
	}
	first := map[string]time.Time{}
	for _, e := range events {
		if e.Namespace != namespace || e.Subresource != "scale" || e.Verb != "patch" && e.Verb != "update" {
			continue
		}
		if e.User != s.arm.user {
			return nil, fmt.Errorf("somebody else scales: %s", &e)
		}
		began, wanted := after[e.Name]
		if _, seen := first[e.Name]; wanted && !seen && e.Code == 200 && e.Time.After(began) {
			first[e.Name] = e.Time
		}
	}
	return first, nil
}
