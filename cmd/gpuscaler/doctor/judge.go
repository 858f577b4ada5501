package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Judge makes Findings of Facts: first those about the cluster, then Prometheus, then each workload in its order.
func Judge(facts *Facts) Report {
	cluster, prometheus := &findings{part: clusterPart}, &findings{part: prometheusPart}
	judgeCluster(cluster, facts)
	judgePrometheus(prometheus, facts)
	report := Report{Findings: append(cluster.list, prometheus.list...)}
	for i := range facts.Workloads {
		w := &facts.Workloads[i]
		of := &findings{part: workloadPart, namespace: w.Namespace, name: w.Name}
		judgeWorkload(of, w, facts)
		report.Findings = append(report.Findings, of.list...)
	}
	return report
}

// judgeCluster judges the API server and the rights.
func judgeCluster(f *findings, facts *Facts) {
	c := &facts.Cluster
	version := ""
	if c.Version != "" {
		version = ", Kubernetes " + c.Version
	}
	f.add(OK, APIServer, "", c.Name+version, "")
	judgeRights(f, c)
	judgeSkew(f, APIClock, "the API server", c.Skew, c.Slack, "the ages of pods are counted from its times")
	for _, u := range facts.Unread {
		f.add(Info, NotChecked, "", fmt.Sprintf("%s could not be read: %s", u.What, oneLine(u.Err)), "not checked: "+u.Loses)
	}
	judgeAgents(f, facts)
	switch {
	case len(facts.Workloads) == 0:
		f.add(Warning, Targets, "", "no Deployment in "+c.Scope+` has the annotation gpuscaler.io/enabled: "true"`,
			"annotate one, or look elsewhere with -n NAMESPACE or -A")
	case !c.One:
		f.add(OK, Targets, "", fmt.Sprintf("%s in %s", count(len(facts.Workloads), "annotated Deployment"), c.Scope), "")
	}
}

// judgeRights judges what the user may do. Rights to write are missed by the controller only.
func judgeRights(f *findings, c *ClusterFacts) {
	if c.RightsErr != nil {
		f.add(Info, NotChecked, "", "your rights could not be asked for: "+oneLine(c.RightsErr), "not checked: whether they suffice")
		return
	}
	had := map[bool]int{}
	var lacking []string
	for _, r := range c.Rights {
		switch {
		case r.Allowed:
			had[r.Write]++
		case r.Write && !c.Writes:
			lacking = append(lacking, r.What)
		case r.Vital:
			f.add(Error, checkOf(r), "", "you may not "+r.What+": "+r.Loses, granted(r))
		default:
			f.add(Warning, checkOf(r), "", "you may not "+r.What+": "+r.Loses, granted(r))
		}
	}
	if n := had[false]; n > 0 {
		f.add(OK, ReadRights, "", fmt.Sprintf("you have %s to read that plan and run --dry-run need", many(n, len(c.Rights)-writes(c.Rights))), "")
	}
	if len(lacking) > 0 {
		f.add(Info, WriteRights, "", "you may not "+strings.Join(lacking, ", ")+": only a controller that writes needs that",
			"to check the controller's own rights: --as system:serviceaccount:gpuscaler-system:gpuscaler")
	} else if n := had[true]; n > 0 {
		f.add(OK, WriteRights, "", fmt.Sprintf("you have %s to write that run needs", many(n, writes(c.Rights))), "")
	}
}

func writes(rights []Right) int {
	n := 0
	for _, r := range rights {
		if r.Write {
			n++
		}
	}
	return n
}

func checkOf(r Right) Check {
	if r.Write {
		return WriteRights
	}
	return ReadRights
}

// granted tells which of the roles that are shipped grants a right.
func granted(r Right) string {
	switch {
	case r.Write:
		return "grant what deploy/rbac grants: kubectl apply -k deploy/rbac"
	case strings.Contains(r.What, "services/proxy"):
		return "grant what deploy/rbac/viewer grants, or give --prometheus-url https://…"
	case strings.Contains(r.What, "services"):
		return "grant what deploy/rbac/prometheus-discovery grants, or give --prometheus-url https://…"
	}
	return "grant what deploy/rbac/viewer grants to a person, or deploy/rbac to the controller"
}

// maxSkew is how far two clocks may be apart before times of one cannot be compared with the other's.
const maxSkew = 5 * time.Second

// judgeSkew judges a clock against ours.
func judgeSkew(f *findings, check Check, whose string, skew, slack time.Duration, why string) {
	if slack == 0 {
		return
	}
	direction := "ahead of"
	if skew < 0 {
		skew, direction = -skew, "behind"
	}
	if skew <= maxSkew+slack {
		f.add(OK, check, "", fmt.Sprintf("the clock of %s agrees with ours", whose), "")
		return
	}
	f.add(Warning, check, "", fmt.Sprintf("the clock of %s is %v %s ours", whose, skew.Round(time.Second), direction),
		"set both clocks by NTP: "+why)
}

// oneLine makes one line of an error.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// many says how many rights of all there are.
func many(n, of int) string {
	switch {
	case n == of && n == 1:
		return "the right"
	case n == of:
		return "all " + count(n, "right")
	}
	return fmt.Sprintf("%d of %s", n, count(of, "right"))
}
