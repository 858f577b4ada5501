// Package pods tells which pods hold a GPU of this node, by the kubelet's pod-resources API, and which of them a
// process on the node belongs to.
//
// The kubelet says which pod was given which device, by namespace and name. A process says in /proc/PID/cgroup which
// pod it is in, by UID. What connects the two are the names of the folders that the kubelet makes for the logs of every
// pod before it starts one: /var/log/pods/NAMESPACE_NAME_UID. Their names are all that is read there. It needs neither a
// right in the API server nor one at the kubelet, nor ptrace as reading a process's own files would, and a workload
// cannot forge it, as it could its environment or hostname.
package pods
