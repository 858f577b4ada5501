// Package bed runs a real Kubernetes control plane inside one Go process: etcd, kube-apiserver, the deployment,
// replicaset, garbage collector, endpointslice, namespace, serviceaccount and horizontal-pod-autoscaler controllers and
// kube-scheduler, all from their own Go modules and at their own defaults where a test does not need them faster.
//
// Nothing is shared between two beds but the process: each has its own ports, its own certificates and its own data
// directory, and several may run at once. Stop removes everything. A process that crashes takes its servers with it;
// the data directory it leaves is removed by the next Start.
//
// There is no kubelet: package fleet plays the nodes. Pod addresses (10.244.0.0/16) do not exist on the machine, so the
// API server reaches them through a CONNECT proxy that maps them to loopback listeners, see Egress.
//
// Importing this package links the whole control plane: about ten seconds and 3 GB of linker memory for every test
// binary. Keep all tests that need it in one package with one TestMain, and never build it with -race.
package bed
