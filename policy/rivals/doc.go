// Package rivals decides as other autoscalers do, to compare with: the HorizontalPodAutoscaler of Kubernetes, and KEDA, which
// feeds one. Its functions stand in for policy.Decide. The test module holds them equal to the code of Kubernetes itself.
//
// The State that they are given and return holds the same as ours: recommendations, and the changes that were written.
package rivals
