// Package importer translates other autoscalers into annotations that mean the same: HorizontalPodAutoscalers and KEDA's
// ScaledObjects.
//
//	documents   files to objects, each with the text it was written in   documents.go
//	hpa         HorizontalPodAutoscalers                                 hpa.go, hpametric.go, behavior.go
//	keda        ScaledObjects                                            keda.go, kedazero.go, trigger.go, cron.go
//	names       metrics, selectors and queries to signals                signal.go, promql.go, custom.go
//	output      a patch, or the manifest edited                          patch.go, edit.go
//
// Nothing is dropped silently: each field that has a meaning and no equivalent becomes a Gap. What comes out always passes
// policy.Parse.
package importer
