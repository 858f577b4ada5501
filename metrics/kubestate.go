package metrics

// What kube-state-metrics tells of a Deployment's past, as queries for ReadQuery and ReadQueryRange. The API server knows no more of
// pods that are gone.
var (
	// OwnedPods has a sample for each pod that was the Deployment's: pod -> ReplicaSet -> Deployment.
	OwnedPods = Query{Name: "the owners of pods", Query: `max by (pod) (max by (pod, owner_name) (kube_pod_owner{owner_kind="ReplicaSet"}) * on (owner_name) group_left () ` +
		`max by (owner_name) (label_replace(kube_replicaset_owner{owner_kind="Deployment", owner_name="$deployment"}, "owner_name", "$1", "replicaset", "(.*)")))`}
	// ReadyPods has a sample for each pod of the namespace that was Ready.
	ReadyPods = Query{Name: "whether a pod was Ready", Query: `max by (pod) (kube_pod_status_ready{condition="true"}) == 1`}
	// SpecReplicas is spec.replicas.
	SpecReplicas = Query{Name: "the replicas", Query: `max(kube_deployment_spec_replicas{deployment="$deployment"})`}
	// CurrentReplicas is the same in gpuscaler's own metrics, scraped with honor_labels or without.
	CurrentReplicas = Query{
		Name:  "the replicas",
		Query: `max(gpuscaler_current_replicas{workload="$deployment"} or gpuscaler_current_replicas{exported_namespace!="", workload="$deployment"})`,
	}
)
