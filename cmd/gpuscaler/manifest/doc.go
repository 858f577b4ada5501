// Package manifest finds annotated Deployments in the files that are given to kubectl apply, and what is wrong with them.
//
//	documents  text to documents, YAML or JSON, each node with its line   documents.go, json.go
//	objects    documents to Kubernetes objects, through Lists             objects.go, mapping.go
//	check      objects to Findings, by policy.Parse and rules of its own  check.go, advice.go
//
// What it reads are other people's files: whatever they contain, it returns Findings and never fails.
package manifest
